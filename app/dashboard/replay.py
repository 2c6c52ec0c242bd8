"""Run a job again to compare (GET and POST /jobs/<id>/replay), and two jobs side by side (GET /jobs/compare)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may
from app.agents import registry, secrecy, versions
from app.dashboard import actions, forms
from app.dashboard.session import asking
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.jobs import compare as comparing
from app.jobs import intake, queries
from app.jobs.states import FINAL

PINNED, CURRENT = "pinned", "current"


def page(job_id: str) -> str:
    """GET /jobs/<job_id>/replay: its parameters in the form of the chosen version (`?version=current`)."""
    row = _mine(job_id)
    schema, version = _schema(row, request.args.get("version", PINNED))
    return _form(row, schema, version, forms.filled_with(schema, _without_secrets(row, schema)), {})


def submit(job_id: str) -> AnyResponse:
    """POST /jobs/<job_id>/replay: the new job's page, or the form again with what is wrong with it."""
    row = _mine(job_id)
    schema, version = _schema(row, request.form.get("version", PINNED))
    typed = forms.typed(schema, request.form)
    kept = _kept(row, schema, typed)
    try:
        new = intake.replay(
            row["job_id"],
            by=asking().user_id,
            parameters=kept | forms.parameters(schema, typed),
            version=version,
            may_exceed_budget=may(asking(), "exceed_budget"),
        )
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_form(row, schema, version, typed, forms.complaints(wrong)), 422)
    actions.noted("job.replayed", row["job_id"], new_job_id=new["job_id"], version=version)
    db.session.commit()
    flash("Sent in as a replay; compare the two when it is done.", "green")
    return redirect(url_for("dashboard.job", job_id=new["job_id"]), 303)


def _mine(job_id: str) -> Row:
    """A finished job that whoever asks may run again and look into."""
    row = queries.get(actions.checked_id(job_id), full=True)
    for verb in ("retry_task", "view_task_content"):
        demand(asking(), verb, row["submitted_by"])
    if row["status"] not in FINAL:
        raise Conflict(f"the job is {row['status']}; only finished jobs are replayed")
    return row


def _schema(row: Row, version: str) -> tuple[dict[str, Any], str]:
    """What the chosen version takes; the present one where the old one cannot be read any more."""
    if version != CURRENT:
        try:
            return registry.definition_of(row["agent_id"], row["agent_version"]).ours.parameters, PINNED
        except (NotFound, Invalid):
            flash("The definition it ran with cannot be used any more; this is the present one.", "amber")
    return registry.get(row["agent_id"]).schema, CURRENT


def _without_field(row: Row, schema: dict[str, Any]) -> dict[str, Any]:
    """The parameters that the schema takes without naming them: they go along as they are."""
    if schema.get("additionalProperties") is False:
        return {}
    return {
        name: value for name, value in row["parameters"].items() if name not in schema.get("properties", {})
    }


def _kept(row: Row, schema: dict[str, Any], typed: dict[str, str]) -> dict[str, Any]:
    """What goes along as it is: parameters without a field, and secrets that nobody typed anew."""
    secret = {
        name: row["parameters"][name]
        for name in _secret(row, schema)
        if name in row["parameters"] and not typed.get(name)
    }
    return _without_field(row, schema) | secret


def _secret(row: Row, schema: dict[str, Any]) -> list[str]:
    """The parameters of the form in which something is secret."""
    hidden = secrecy.hidden(schema, row["parameters"])
    return [name for name in schema.get("properties", {}) if hidden.get(name) != row["parameters"].get(name)]


def _without_secrets(row: Row, schema: dict[str, Any]) -> dict[str, Any]:
    """The parameters for the form; the fields of secrets begin empty, which keeps the old ones."""
    secret = _secret(row, schema)
    return {name: value for name, value in row["parameters"].items() if name not in secret}


def _form(
    row: Row, schema: dict[str, Any], version: str, typed: dict[str, str], wrong: dict[str, str]
) -> str:
    secret = _secret(row, schema)
    fields = [
        replace(field, required=field.required and field.name not in secret)
        for field in forms.fields(schema, typed, wrong)
    ]
    return render_template(
        "job/replay.html",
        job=row,
        since=versions.since(row["agent_id"], row["agent_version"]),
        version=version,
        fields=fields,
        kept=secrecy.hidden(schema, _without_field(row, schema)),
        secret=secret,
        wrong=wrong,
    )


def compare() -> str:
    """GET /jobs/compare?a=&b=: what two jobs have in common and what not."""
    ids = [actions.checked_id(request.args.get(name, "").strip()) for name in ("a", "b")]
    for job_id in ids:
        demand(asking(), "view_task_content", queries.get(job_id)["submitted_by"])
    found = comparing.compare(*ids, whole_definitions=may(asking(), "configure_agent"))
    return render_template("job/compare.html", **found)
