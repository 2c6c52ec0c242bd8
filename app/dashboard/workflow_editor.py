"""GET and POST /workflows/new: write a workflow, have it checked, look at what it would do, run it, keep it.

One form and one address for all of it, so whatever is pressed, what was typed comes back with the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from flask import flash, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may
from app.agents import secrecy
from app.dashboard import actions, workflow_inputs
from app.dashboard.forms import PREFIX
from app.dashboard.session import asking
from app.dashboard.workflow_picture import of_plan
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.jobs.states import PRIORITIES
from app.workflows import plan, queries, review, runs, source, templates
from app.workflows.review import Complaint, Review

FEWEST_ROWS = 18
FIRST = ("name", "step_id", "title", "description", "type", "agent_id", "template", "question", "when")
LAST = ("inputs", "parameters", "over", "step", "tasks", "cases", "default", "steps", "output")

EMPTY = """\
name: My first workflow
steps:
  - id: write
    agent_id: copywriter
    parameters:
      topic: A night queue for agents
  - id: post
    agent_id: social-media-manager
    parameters:
      content: "{{steps.write.output.excerpt}}"
      platform: linkedin
"""


@dataclass(frozen=True, kw_only=True)
class Typed:
    """Everything that stands in the form."""

    text: str = ""
    base: str = ""
    """The template it began with, as `name@version`."""
    inputs: dict[str, str] = field(default_factory=dict)
    name: str = ""
    title: str = ""
    note: str = ""
    visibility: str = "private"
    priority: str = "normal"


def page() -> str:
    """GET /workflows/new; `?template=` begins with a template, `?from=` with what a run did and was given."""
    demand(asking(), "submit_workflow")
    if name := request.args.get("template"):
        return _draw(_of_template(visible(name)))
    if earlier := request.args.get("from"):
        return _draw(_of_run(actions.checked_id(earlier)))
    return _draw(Typed(text=EMPTY))


def submit() -> AnyResponse:
    """POST /workflows/new: what `verb` says, or the form again with what is wrong."""
    demand(asking(), "submit_workflow")
    verb = VERBS.get(request.form.get("verb", ""), _check)
    answer = verb(_typed())
    return answer if isinstance(answer, AnyResponse) else make_response(answer)


def visible(name: str, version: int | None = None, *, archived: bool = False) -> Row:
    """A template that whoever asks may see."""
    row = templates.get(name, version, archived=archived)
    if not templates.is_visible(row, asking().user_id, asking().is_admin):
        raise NotFound
    return row


def listed() -> list[Row]:
    """The templates that whoever asks may see."""
    return templates.page(asking().user_id, asking().is_admin)


def as_yaml(definition: dict[str, Any]) -> str:
    """A definition as people read and write it."""
    return source.written(_ordered(definition))


def _ordered(value: Any) -> Any:
    """With what names a thing first and what is in it last; the database keeps keys in an order of its own."""
    if isinstance(value, list):
        return [_ordered(each) for each in value]
    if not isinstance(value, dict) or not value.keys() & {"step_id", "steps"}:
        return value
    middle = [key for key in value if key not in FIRST + LAST]
    return {key: _ordered(value[key]) for key in (*FIRST, *middle, *LAST) if key in value}


def _of_template(row: Row) -> Typed:
    mine = may(asking(), "manage_template", row["owner"])
    return Typed(
        text=row["source"],
        base=f"{row['name']}@{row['version']}",
        name=row["name"] if mine else "",
        title=row["title"] if mine else "",
        visibility=row["visibility"] if mine else "private",
    )


def _of_run(workflow_id: str) -> Typed:
    row = queries.get(workflow_id, full=True)
    demand(asking(), "view_workflow", row["submitted_by"])
    demand(asking(), "view_workflow_content", row["submitted_by"])
    schema = row["definition"].get("inputs")
    shown = secrecy.hidden(schema, row["inputs"])
    known = {
        name: value for name, value in row["inputs"].items() if shown[name] == value
    }  # secrets begin empty
    return Typed(text=as_yaml(row["definition"]), inputs=workflow_inputs.filled_with(schema, known))


def _typed() -> Typed:
    form = request.form
    # A box that is not ticked is not sent: of the fields that were shown, what is missing is empty.
    shown = dict.fromkeys(form.getlist("shown"), "")
    return Typed(
        text=form.get("text", "").replace("\r\n", "\n"),
        base=form.get("base", ""),
        inputs=shown
        | {
            name.removeprefix(PREFIX): "\n".join(form.getlist(name)).replace("\r\n", "\n")
            for name in form
            if name.startswith(PREFIX)
        },
        name=form.get("name", "").strip(),
        title=form.get("title", "").strip(),
        note=form.get("note", "").strip(),
        visibility="shared" if form.get("visibility") == "shared" else "private",
        priority=form["priority"] if form.get("priority") in PRIORITIES else "normal",
    )


def _base(typed: Typed) -> Row | None:
    """The version of the template it began with, if that can still be seen."""
    name, _, version = typed.base.partition("@")
    try:
        return visible(name, int(version)) if version.isdecimal() else None
    except NotFound:
        return None


def _load(typed: Typed) -> str:
    """Begin with another template, unless that would lose what was typed."""
    base = _base(typed)
    untouched = typed.text.strip() in {"", EMPTY.strip()} or (base and base["source"] == typed.text)
    if not untouched:
        return _draw(typed, asks_to_replace=request.form.get("template", ""))
    return _replace(typed)


def _replace(typed: Typed) -> str:
    name = request.form.get("template", "")
    if not name:
        return _draw(typed)
    return _draw(replace(_of_template(visible(name)), inputs=typed.inputs))


def _check(typed: Typed) -> AnyResponse:
    return _answer(typed, _reviewed(typed), says_sound=True)


def _reviewed(typed: Typed) -> Review:
    """The text alone, without what is given to it."""
    return review.of_text(typed.text, templates.knowledge(asking().user_id))


def _given(typed: Typed) -> tuple[Review, dict[str, Any]]:
    """The text together with its inputs, and these as they are meant."""
    alone = _reviewed(typed)
    if alone.definition is None or alone.complaints:
        return alone, {}
    try:
        inputs = workflow_inputs.values(alone.definition.inputs, _fields_typed(typed, alone))
    except Invalid as wrong:
        told = [
            Complaint(pointer=pointer.replace("/parameters", "/inputs", 1), message=said)
            for pointer, said in wrong.fields
        ]
        return replace(alone, complaints=told), {}
    seen = review.of_text(typed.text, templates.knowledge(asking().user_id), inputs)
    return seen, inputs


def _fields_typed(typed: Typed, seen: Review) -> dict[str, str]:
    """What was typed for the inputs; what had no field yet begins with its default."""
    schema = seen.definition.inputs if seen.definition else None
    return {each.name: typed.inputs.get(each.name, each.value) for each in workflow_inputs.fields(schema, {})}


def _plan(typed: Typed) -> AnyResponse:
    seen, _ = _given(typed)
    return _answer(typed, seen, says_plan=True)


def _run(typed: Typed) -> AnyResponse:
    seen, inputs = _given(typed)
    if seen.definition is None or seen.complaints:
        return _answer(typed, seen)
    base = _base(typed)
    same = base if base and base["source"] == typed.text else None
    try:
        row = start(seen.definition, inputs, template=same, priority=typed.priority)
    except Invalid as wrong:
        db.session.rollback()
        told = [Complaint(pointer=pointer, message=said) for pointer, said in wrong.fields]
        return _answer(typed, replace(seen, complaints=told or [Complaint(message=wrong.message)]))
    return redirect(url_for("dashboard.workflow", workflow_id=row["workflow_id"]), 303)


def start(
    definition: Any, inputs: dict[str, Any], *, template: Row | None = None, priority: str = "normal"
) -> Row:
    """Run a definition for whoever asks, and commit; Invalid points at what is wrong."""
    row = runs.start(
        runs.RunWish(
            definition=definition,
            submitted_by=asking().user_id,
            inputs=inputs,
            priority=priority,
            correlation_id=g.get("request_id"),
            template_name=template["name"] if template else None,
            template_version=template["version"] if template else None,
        )
    )
    actions.noted("workflow.submitted", str(row["workflow_id"]), name=definition.name)
    db.session.commit()
    flash("Started.", "green")
    return row


def _save(typed: Typed) -> AnyResponse:
    """Keep it as a template: a new one, or the next version of one's own."""
    demand(asking(), "manage_template")
    try:
        row = templates.save(
            typed.name,
            text=typed.text,
            by=asking().user_id,
            title=typed.title or None,
            visibility="shared" if typed.visibility == "shared" else "private",
            note=typed.note or None,
            over_others=asking().is_admin,
        )
    except Invalid as wrong:
        db.session.rollback()
        return _answer(typed, _reviewed(typed), wrong={p.strip("/"): said for p, said in wrong.fields})
    except Conflict as taken:
        db.session.rollback()
        return _answer(typed, _reviewed(typed), wrong={"name": taken.message})
    actions.noted("workflow_template.saved", row["name"], version=row["version"])
    db.session.commit()
    flash(f"Kept as {row['name']}, version {row['version']}.", "green")
    return redirect(url_for("dashboard.workflow_template", name=row["name"]), 303)


VERBS: dict[str, Callable[[Typed], Any]] = {
    "load": _load,
    "replace": _replace,
    "check": _check,
    "plan": _plan,
    "run": _run,
    "save": _save,
}


def _answer(typed: Typed, seen: Review, wrong: dict[str, str] | None = None, **said: Any) -> AnyResponse:
    is_sound = not seen.complaints and not wrong
    return make_response(_draw(typed, seen, wrong=wrong or {}, **said), 200 if is_sound else 422)


def _draw(
    typed: Typed, seen: Review | None = None, *, wrong: dict[str, str] | None = None, **said: Any
) -> str:
    """The editor with all that was typed and, where it was looked at, what was found."""
    found = seen or (_reviewed(typed) if typed.text.strip() else Review())
    definition = found.definition
    of_inputs = {
        each.pointer.removeprefix("/inputs/").partition("/")[0]: each.message
        for each in found.complaints
        if each.line is None and each.pointer.startswith("/inputs/")
    }
    fields = workflow_inputs.fields(definition.inputs if definition else None, typed.inputs, of_inputs)
    in_fields = {each.name for each in fields}
    shown = sorted(found.complaints, key=lambda each: each.line or 0) if seen else []
    return render_template(
        "workflows/editor.html",
        typed=typed,
        lines=max(typed.text.count("\n") + 2, FEWEST_ROWS),
        complaints=shown,
        bad_lines={each.line for each in shown if each.line},
        fields=fields,
        # What was typed for inputs that have no field at the moment is not lost.
        put_by={name: text for name, text in typed.inputs.items() if name not in in_fields},
        picture=of_plan(plan.steps(definition)) if definition and not found.complaints else None,
        plan=found.plan,
        wrong=wrong or {},
        templates=listed(),
        priorities=PRIORITIES,
        is_checked=seen is not None,
        **said,
    )
