"""GET /blog-post: the form that sends a job to the content pipeline, and says beforehand what will come of it."""

from __future__ import annotations

from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may
from app.agents import registry
from app.agents.registry import AgentRecord
from app.dashboard import actions, forms
from app.dashboard.provider_list import SET_UP
from app.dashboard.session import asking, settings
from app.db import db
from app.errors import Conflict, Invalid, NotFound
from app.jobs.states import PRIORITIES
from app.providers import queries as providers

AGENT = "content-pipeline"
FIRST = ("topic", "style", "tone", "target_length", "tags")
"""What is asked first; all else that the agent takes stands below."""
FORTUNE = ("publish_below_threshold", "keep_rejected_as_draft")
"""What is done with a draft that does not pass: next to the promise of what will happen."""


def page() -> str:
    """GET /blog-post; `?topic=…` fills in a topic."""
    demand(asking(), "submit_task")
    agent = _agent()
    start = {"topic": request.args.get("topic", "")} if "topic" in request.args else {}
    return _form(agent, forms.filled_with(agent.schema, start) if agent else {}, {})


def _agent() -> AgentRecord | None:
    try:
        return registry.get(AGENT)
    except NotFound:  # archived, or its folder is not read
        return None


def submit() -> AnyResponse:
    """POST /blog-post: the job's page, or the form again with what is wrong with it."""
    demand(asking(), "submit_task")
    agent = _agent()
    if agent is None:
        return make_response(_form(None, {}, {}), 409)
    typed = forms.typed(agent.schema, request.form)
    try:
        job_id = actions.submit(
            agent.agent_id,
            forms.parameters(agent.schema, typed),
            priority=request.form.get("priority", "normal"),
            task_name=request.form.get("task_name", "").strip()
            or typed.get("topic", "").strip()[:200]
            or None,
        )
    except (Invalid, Conflict) as wrong:
        db.session.rollback()
        told = forms.complaints(wrong) if isinstance(wrong, Invalid) else {"": wrong.message}
        return make_response(_form(agent, typed, told), wrong.status)
    db.session.commit()
    flash("The blog post is on its way.", "green")
    return redirect(url_for("dashboard.job", job_id=job_id), 303)


def _form(agent: AgentRecord | None, typed: dict[str, str], wrong: dict[str, str]) -> str:
    fields = forms.fields(agent.schema, typed, wrong) if agent else []
    named = {field.name for field in fields} - {"task_name"}
    return render_template(
        "content/form.html",
        agent=agent,
        first=[field for name in FIRST for field in fields if field.name == name],
        more=[field for field in fields if field.name not in (*FIRST, *FORTUNE, "task_name")],
        fortune=[field for field in fields if field.name in FORTUNE],
        wrong=wrong,
        strays=[said for name, said in wrong.items() if name not in named],
        priorities=PRIORITIES,
        form=request.form,
        outcome=_outcome(agent) if agent else {},
        may_configure=may(asking(), "configure_agent"),
    )


def _outcome(agent: AgentRecord) -> dict[str, Any]:
    """Who will write it, with which model, and whether it is published at the end."""
    chain = providers.in_chain(providers.every(), agent.providers)
    ready = [row for row in chain if not isinstance(row, str) and providers.condition(row) in SET_UP]
    return {
        "has_cms": bool(settings().strapi_url),
        "publishes": bool(settings().strapi_url and ready),
        "writer": ready[0] if ready else None,
        "is_demo": bool(ready) and all(row["demo"] for row in ready),
    }
