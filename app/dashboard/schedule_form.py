"""Making a schedule, or changing one: /schedules/new and /schedules/<schedule_id>/edit, with a preview before it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import demand, may
from app.agents import registry, secrecy
from app.budgets.amounts import UNITS
from app.dashboard import actions, budgets, cadence, forms, schedules
from app.dashboard.cadence import Typed
from app.dashboard.forms import Field
from app.dashboard.session import asking
from app.db import Row, db
from app.errors import Invalid, NotFound
from app.jobs import spending
from app.jobs.states import PRIORITIES, Priority
from app.schedules import changes, cron, queries
from app.workflows import templates

JSON = dict[str, Any]

BLANK = {
    "name": "",
    "priority": "normal",
    "overlap": "allow",
    "misfire": "run_once",
    "jitter_seconds": "0",
    "enabled": "on",
    "budget_limit": "",
    "budget_unit": "usd",
    "budget_period": "month",
}
PERIODS = {name: budgets.PERIOD_WORDS[name] for name in ("day", "month", "total")}

# Where complaints of the rooms belong in this form.
_PLACES = {
    "execute_at": "date",
    "agent_id": "",
    "workflow_template": "",
    "workflow": "",
    "limit": "budget_limit",
    "unit": "budget_unit",
    "period": "budget_period",
}
_SHOWN = {*cadence.FIELDS, *BLANK}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What shall run by itself, and the schema of what it is given."""

    kind: Literal["agent", "template", "definition"]
    name: str
    title: str
    about: str
    schema: JSON

    @property
    def key(self) -> str:
        """Itself in a form's field: `agent:analyst`."""
        return f"{self.kind}:{self.name}"

    @property
    def word(self) -> str:
        """What kind of thing it is."""
        return "Agent" if self.kind == "agent" else "Workflow"

    def wish(self) -> JSON:
        """Itself as the room takes it, for a new schedule; that of one that is there does not change."""
        return {"agent_id" if self.kind == "agent" else "template_name": self.name}


def new() -> str:
    """GET /schedules/new: choose what; `?target=agent:analyst`, with any field after it, is the form."""
    demand(asking(), "create_schedule")
    if not request.args.get("target"):
        return render_template("schedules/pick.html", groups=_groups())
    target = _target(request.args["target"])
    typed = _typed(request.args, cadence.BLANK | BLANK | {"name": target.title})
    return _form(None, target, typed, _filled(target, request.args))


def creating() -> AnyResponse:
    """POST /schedules/new: its page, a preview, or the form again with what is wrong with it."""
    demand(asking(), "create_schedule")
    target = _target(request.form.get("target", ""))
    typed, filled = _typed(request.form), forms.typed(target.schema, request.form)
    if _is_preview():
        return _previewed(None, target, typed, filled)
    try:
        row = changes.create(
            changes.Wish(
                submitted_by=asking().user_id, **target.wish(), **_permits(), **_wish(target, typed, filled)
            )
        )
        _give_budget(row, typed)
    except Invalid as wrong:
        return _again(None, target, typed, filled, wrong)
    return _done("schedule.created", row, f"{row['name']} is made: {queries.describe(row)}.")


def edit(schedule_id: str) -> str:
    """GET /schedules/<schedule_id>/edit."""
    row = schedules.visible(schedule_id, "manage_schedule")
    target = _target_of(row)
    shown = secrecy.hidden(target.schema, row["parameters"])
    return _form(row, target, _typed_of(row), forms.filled_with(target.schema, shown))


def changing(schedule_id: str) -> AnyResponse:
    """POST /schedules/<schedule_id>/edit: its page, a preview, or the form again."""
    row = schedules.visible(schedule_id, "manage_schedule")
    target = _target_of(row)
    typed, filled = _typed(request.form), forms.typed(target.schema, request.form)
    if _is_preview():
        return _previewed(row, target, typed, filled)
    try:
        wish = _wish(target, typed, filled)
        wish["parameters"] = _unmasked(wish["parameters"], row["parameters"])
        if not _moves(row, wish):  # a one-time schedule that has run keeps its time and may be renamed
            del wish["cron_expression"], wish["execute_at"]
        changed = changes.change(row["schedule_id"], **_permits(), **wish)
        _give_budget(changed, typed)
    except Invalid as wrong:
        return _again(row, target, typed, filled, wrong)
    return _done("schedule.changed", changed, f"{changed['name']} is changed: {queries.describe(changed)}.")


def _unmasked(edited: JSON, before: JSON) -> JSON:
    """What was edited, with the secrets that were hidden; Invalid where it cannot be told which one is meant."""
    restored: JSON = secrecy.restored(edited, before)
    if secrecy.is_masked(restored):
        why = f"{secrecy.MASK} hides a secret that is not known here; type it anew"
        raise Invalid("A secret is missing.", [("/parameters", why)])
    return restored


def _moves(row: Row, wish: JSON) -> bool:
    return any(row[name] != wish[name] for name in ("cron_expression", "execute_at", "timezone"))


def _permits() -> JSON:
    return {"may_exceed_budget": may(asking(), "exceed_budget")}


def _is_preview() -> bool:
    return request.form.get("do") == "preview"


def _done(action: str, row: Row, words: str) -> AnyResponse:
    actions.noted(action, row["schedule_id"], name=row["name"])
    db.session.commit()
    flash(words, "green")
    return redirect(url_for("dashboard.schedule", schedule_id=row["schedule_id"]), 303)


# -- what shall run


def _groups() -> list[tuple[str, list[Row]]]:
    """What can be chosen: the workflows and the agents, each as a tile."""
    who = asking()
    workflows = [
        {
            "href": _chosen(f"template:{t['name']}"),
            "name": t["title"],
            "about": t["description"] or "",
            "id": t["name"],
        }
        for t in templates.page(who.user_id, who.is_admin)
    ]
    agents = [
        {
            "href": _chosen(f"agent:{a.agent_id}"),
            "name": a.agent_name,
            "about": a.description,
            "id": a.agent_id,
        }
        for a in registry.all_agents()
    ]
    return [("Workflows", workflows), ("Agents", agents)]


def _chosen(key: str) -> str:
    return url_for("dashboard.schedule_new", target=key)


def _target(key: str) -> Target:
    """What a form names; NotFound if there is no such thing for the one who asks."""
    kind, _, name = key.partition(":")
    if kind == "agent":
        return _agent(name)
    who = asking()
    if kind != "template" or not templates.is_visible(templates.owner_of(name), who.user_id, who.is_admin):
        raise NotFound
    return _template(name, None)


def _target_of(row: Row) -> Target:
    """What a schedule runs; NotFound if that is gone: then there is no form for it."""
    if row["agent_id"]:
        return _agent(row["agent_id"])
    if row["template_name"]:
        return _template(row["template_name"], row["template_version"])
    made = row["definition"]
    if not made:
        raise NotFound("its agent is gone: make another schedule")
    return Target(
        kind="definition",
        name="",
        title=made["name"],
        about=made.get("description") or "",
        schema=made.get("inputs") or {},
    )


def _agent(agent_id: str) -> Target:
    agent = registry.get(agent_id)
    return Target(
        kind="agent",
        name=agent.agent_id,
        title=agent.agent_name,
        about=agent.description,
        schema=agent.schema,
    )


def _template(name: str, version: int | None) -> Target:
    found = templates.get(name, version)
    return Target(
        kind="template",
        name=name,
        title=found["title"],
        about=found["description"] or "",
        schema=found["definition"].get("inputs") or {},
    )


# -- what is typed


def _typed(source: MultiDict[str, str], start: Mapping[str, str] | None = None) -> Typed:
    """What is typed, per field; what `source` does not have is as in `start`."""
    begun = start or {}
    typed = {
        name: source.get(name, begun.get(name, "")).strip().replace("\x00", "") for name in sorted(_SHOWN)
    }
    return typed | {"weekdays": ",".join(source.getlist("weekdays"))}


def _filled(target: Target, source: MultiDict[str, str]) -> Typed:
    """The parameters that an address fills in."""
    given = {f"{forms.PREFIX}{name}" for name in target.schema.get("properties", {})} & set(source)
    return {
        name: text
        for name, text in forms.typed(target.schema, source).items()
        if f"{forms.PREFIX}{name}" in given
    }


def _typed_of(row: Row) -> Typed:
    when = cadence.typed_of(row["cron_expression"], row["execute_at"], row["timezone"])
    how = {name: str(row[name]) for name in ("name", "overlap", "misfire", "jitter_seconds")}
    return (
        BLANK
        | when
        | how
        | {"priority": Priority(row["priority_rank"]).word, "enabled": "on" if row["enabled"] else ""}
    )


def _wish(target: Target, typed: Typed, filled: Typed) -> JSON:
    """What is typed as the room takes it; Invalid points at all that cannot be read."""
    wrong: list[tuple[str, str]] = []
    wish = {
        "name": typed["name"] or None,
        "priority": typed["priority"],
        "overlap": typed["overlap"],
        "misfire": typed["misfire"],
        "enabled": typed["enabled"] == "on",
        "timezone": typed["timezone"] or "UTC",
    }
    readers: list[Callable[[], JSON]] = [
        lambda: _times(typed),
        lambda: _jitter(typed),
        lambda: _parameters(target, filled),
    ]
    for read in readers:
        try:
            wish |= read()
        except Invalid as found:
            wrong += found.fields or [("", found.message)]
    if wrong:
        raise Invalid("Some fields cannot be read.", wrong)
    return wish


def _times(typed: Typed) -> JSON:
    if typed["repeat"] == "once":
        return {"execute_at": cadence.moment(typed), "cron_expression": None}
    cron.zone(typed["timezone"] or "UTC")
    return {"cron_expression": cadence.expression(typed), "execute_at": None}


def _jitter(typed: Typed) -> JSON:
    text = typed["jitter_seconds"] or "0"
    if not (text.isdecimal() and len(text) <= 9):
        raise Invalid("A number is wrong.", [("/jitter_seconds", "must be a whole number of seconds")])
    return {"jitter_seconds": int(text)}


def _parameters(target: Target, filled: Typed) -> JSON:
    return {"parameters": forms.parameters(target.schema, filled)}


def _give_budget(row: Row, typed: Typed) -> None:
    """The limit that was typed as a budget of the schedule's own, if there is none yet."""
    limit = typed["budget_limit"].replace(",", "")
    if not limit or not may(asking(), "manage_budgets") or queries.spending(row["schedule_id"]):
        return
    made = spending.create(
        by=asking().user_id,
        name=f"Schedule {row['name']}"[:100],
        scope="schedule",
        subject=row["schedule_id"],
        unit=typed["budget_unit"],
        limit_amount=limit,
        period=typed["budget_period"],
    )
    actions.noted("budget.created", made["budget_id"], name=made["name"], limit=made["limit_amount"])


# -- the form


def _previewed(row: Row | None, target: Target, typed: Typed, filled: Typed) -> AnyResponse:
    """The form as it was typed, with when it would run or why that cannot be said."""
    try:
        _times(typed)
        wrong: dict[str, str] = {}
    except Invalid as found:
        wrong = _complaints(found)
    return make_response(_form(row, target, typed, filled, wrong, previewing=True))


def _again(row: Row | None, target: Target, typed: Typed, filled: Typed, wrong: Invalid) -> AnyResponse:
    db.session.rollback()
    return make_response(_form(row, target, typed, filled, _complaints(wrong)), 422)


def _complaints(wrong: Invalid) -> dict[str, str]:
    """Each complaint by its field; `/parameters/name` is the parameter's, `/name` the schedule's own."""
    own = [
        (p, m)
        for p, m in wrong.fields or [("", wrong.message)]
        if not p.startswith(("/parameters/", "/inputs/"))
    ]
    found: dict[str, str] = {}
    for pointer, message in own:
        name = pointer.strip("/").partition("/")[0]
        place = _PLACES.get(name, "cron" if name == "cron_expression" else name)
        found[place] = f"{found[place]}; {message}" if place in found else message
    theirs = [(p.replace("/inputs/", "/parameters/", 1), m) for p, m in wrong.fields if (p, m) not in own]
    if theirs:
        found |= {forms.PREFIX + name: said for name, said in forms.complaints(Invalid("", theirs)).items()}
    return found


def _preview(typed: Typed) -> JSON | None:
    """When it would run, in words and the next times; None while that cannot be said."""
    try:
        times, timezone = _times(typed), typed["timezone"] or "UTC"
    except Invalid:
        return None
    if moment := times["execute_at"]:
        return {"words": cron.explain_once(moment, timezone), "runs": [moment], "timezone": timezone}
    expression = times["cron_expression"]
    return {
        "words": cron.explain(expression, timezone),
        "runs": cron.upcoming(expression, timezone, clock.now(), schedules.NEXT),
        "timezone": timezone,
    }


def _fields(target: Target, filled: Typed, wrong: dict[str, str]) -> list[Field]:
    said = {
        name.removeprefix(forms.PREFIX): text for name, text in wrong.items() if name.startswith(forms.PREFIX)
    }
    return forms.fields(target.schema, filled, said)


def _form(
    row: Row | None,
    target: Target,
    typed: Typed,
    filled: Typed,
    wrong: dict[str, str] | None = None,
    *,
    previewing: bool = False,
) -> str:
    wrong = wrong or {}
    fields = _fields(target, filled, wrong)
    places = _SHOWN | {forms.PREFIX + f.name for f in fields}
    return render_template(
        "schedules/form.html",
        schedule=row,
        target=target,
        typed=typed,
        fields=fields,
        wrong=wrong,
        strays=[name for name in wrong if name not in places],
        previewing=previewing,
        preview=_preview(typed),
        budgets=queries.spending(row["schedule_id"]) if row else [],
        repeats=cadence.REPEATS,
        weekdays=cadence.WEEKDAYS,
        days=cadence.DAYS,
        zones=cadence.zones(),
        priorities={name: name.capitalize() for name in PRIORITIES},
        overlaps=schedules.OVERLAPS,
        misfires=schedules.MISFIRES,
        units={unit: budgets.UNIT_WORDS[unit] for unit in UNITS},
        periods=PERIODS,
    )
