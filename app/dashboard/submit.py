"""GET /submit: choose an agent, fill in the form made from its schema, and send the job in."""

from __future__ import annotations

from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.agents import registry, secrecy
from app.agents.registry import AgentRecord
from app.dashboard import actions, forms
from app.dashboard.agents import team_name
from app.dashboard.session import asking
from app.db import Row, db
from app.errors import Invalid
from app.jobs import queries
from app.jobs.states import PRIORITIES


def pick() -> str:
    """GET /submit: which agent?"""
    demand(asking(), "submit_task")
    return render_template("submit/pick.html", agents=registry.all_agents(), team_name=team_name)


def page(agent_id: str) -> str:
    """GET /submit/<agent_id>; `?example=1` fills in its example, `?from=<job>` that job's parameters but for its secrets."""
    demand(asking(), "submit_task")
    agent = registry.get(agent_id)
    start: dict[str, Any] = agent.example or {} if request.args.get("example") else {}
    if earlier := request.args.get("from"):
        row = queries.get(actions.checked_id(earlier), full=True)
        demand(asking(), "view_task_content", row["submitted_by"])
        start = _without_secrets(row)
    return _form(agent, forms.filled_with(agent.schema, start), {})


def _without_secrets(row: Row) -> dict[str, Any]:
    """The parameters of a job in which nothing is secret; the other fields begin empty."""
    shown = secrecy.parameters(row["agent_id"], row["agent_version"], row["parameters"])
    return {name: value for name, value in row["parameters"].items() if shown[name] == value}


def _form(agent: AgentRecord, typed: dict[str, str], wrong: dict[str, str]) -> str:
    return render_template(
        "submit/form.html",
        agent=agent,
        team=team_name(agent.team),
        fields=forms.fields(agent.schema, typed, wrong),
        wrong=wrong,
        priorities=PRIORITIES,
        form=request.form,
    )


def submit(agent_id: str) -> AnyResponse:
    """POST /submit/<agent_id>: the job's page, or the form again with what is wrong with it."""
    demand(asking(), "submit_task")
    agent = registry.get(agent_id)
    typed = forms.typed(agent.schema, request.form)
    try:
        job_id = actions.submit(
            agent.agent_id,
            forms.parameters(agent.schema, typed),
            priority=request.form.get("priority", "normal"),
            task_name=request.form.get("task_name", "").strip() or None,
            tags=_tags(request.form.get("tags", "")),
        )
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_form(agent, typed, forms.complaints(wrong)), 422)
    db.session.commit()
    flash("Sent in.", "green")
    return redirect(url_for("dashboard.job", job_id=job_id), 303)


def _tags(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tag.strip() for tag in text.split(",") if tag.strip()))
