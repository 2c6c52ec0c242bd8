"""What people do to a schedule: make it, change it, switch it off and on, run it now, remove it.

Whatever moves its times counts the next one out from now, so that times of the past never come in a flood. None of
these verbs commits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from app.agents import secrecy
from app.db import Row, as_json, db
from app.errors import Conflict, Invalid, NotFound
from app.jobs.lifecycle import new_id
from app.jobs.states import PRIORITIES, Priority
from app.schedules import cron, due, queries, targets
from app.schedules.targets import OPTIONS, OPTIONS_OF_WORKFLOWS, Owner

MISFIRES: Final = ("run_once", "skip", "all")
OVERLAPS: Final = ("allow", "skip", "queue")
LONGEST_NAME: Final = 255
LONGEST_JITTER: Final = 86_400
LONGEST_GRACE: Final = 86_400

_TARGETS = ("agent_id", "template_name", "definition")
_TARGET = (*_TARGETS, "template_version", "parameters", "options", "priority_rank")
_TIMES = ("schedule_type", "cron_expression", "execute_at", "timezone")
# What the columns of a schedule are called where people meet them.
_SHOWN = {
    "template_name": "workflow_template",
    "template_version": "workflow_version",
    "definition": "workflow",
}


class InThePast(Invalid):
    """The time has passed already."""

    code = "in_the_past"
    status = 400


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A new schedule as a person or program says it; nothing in it is trusted yet."""

    submitted_by: str
    name: str | None = None
    """None: it is called as what it runs."""
    agent_id: str | None = None
    template_name: str | None = None
    template_version: int | None = None
    definition: dict[str, Any] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    """Of the agent, or the inputs of the workflow."""
    options: dict[str, Any] = field(default_factory=dict)
    """What targets.OPTIONS lists."""
    priority: str = "normal"
    cron_expression: str | None = None
    execute_at: datetime | None = None
    timezone: str = "UTC"
    jitter_seconds: int = 0
    misfire: str = "run_once"
    grace_seconds: int = 60
    overlap: str = "allow"
    enabled: bool = True
    may_exceed_budget: bool = False
    """Whoever asks may give a job more than its agent's definition does."""


def create(wish: Wish) -> Row:
    """Make a schedule and answer it as `queries.get` does; everything is checked as if it ran now.

    Raises Invalid, AgentNotFound or InvalidParameters with pointers, and InThePast for a time that has passed.
    """
    told = {name: getattr(wish, name) for name in Wish.__dataclass_fields__}
    owner = Owner(may_exceed_budget=bool(told.pop("may_exceed_budget")))
    _demand(_wrong_target(told))
    told["options"] = _given(told["options"])
    told["schedule_type"] = _type(told)
    told["priority_rank"] = _rank(told.pop("priority"))
    told["name"] = told["name"] or _named(told)
    row = _checked({"schedule_id": new_id(), **told})
    _check_target(row, owner)
    _demand_future(row)
    row["next_fire_at"] = _next(row)
    db.run(
        """INSERT INTO schedules (schedule_id, name, agent_id, template_name, template_version, definition, parameters,
                  options, priority_rank, schedule_type, cron_expression, execute_at, timezone, jitter_seconds, misfire,
                  grace_seconds, overlap, enabled, next_fire_at, submitted_by)
           VALUES (%(schedule_id)s, %(name)s, %(agent_id)s, %(template_name)s, %(template_version)s, %(definition)s,
                  %(parameters)s, %(options)s, %(priority_rank)s, %(schedule_type)s, %(cron_expression)s,
                  %(execute_at)s, %(timezone)s, %(jitter_seconds)s, %(misfire)s, %(grace_seconds)s, %(overlap)s,
                  %(enabled)s, %(next_fire_at)s, %(submitted_by)s)""",
        **_stored(row),
    )
    return queries.get(row["schedule_id"])


def change(
    schedule_id: str, *, version: int | None = None, may_exceed_budget: bool = False, **told: Any
) -> Row:
    """Change what is told (the names of Wish) and answer the schedule; what is left out stays.

    With `version` it must still be the one that was seen: else Conflict. A new target replaces the old one with its
    parameters; of `options` those that are named change, and None takes one back; a one-time schedule that has run
    or was missed is new again with another `execute_at`.
    """
    old = _locked(schedule_id, version)
    if "priority" in told:
        told["priority_rank"] = _rank(told.pop("priority"))
    row = old | _retargeted(old, told)
    if row["parameters"] is not old["parameters"]:
        row["parameters"] = secrecy.restored(row["parameters"], old["parameters"])
    row["schedule_type"] = (
        _type(row) if {"cron_expression", "execute_at"} & told.keys() else old["schedule_type"]
    )
    row = _checked(row)
    enabling = row["enabled"] and not old["enabled"]
    if enabling or any(row[name] != old[name] for name in _TARGET):
        _check_target(row, Owner(may_exceed_budget=may_exceed_budget))
    if enabling or any(row[name] != old[name] for name in _TIMES):
        _demand_future(row)
        row |= {"next_fire_at": _next(row), "ended": None}
    _write(row)
    if old["enabled"] and not row["enabled"]:
        _let_go(schedule_id)
    return queries.get(schedule_id)


def enable(schedule_id: str, *, enabled: bool, version: int | None = None) -> Row:
    """Switch a schedule on or off; what it has submitted goes on.

    Switching on begins at now: nothing that was due meanwhile is made up for. It raises what `create` raises: its
    agent is gone, say, or its only time has passed. Twice is no error.
    """
    if _locked(schedule_id, version)["enabled"] == enabled:
        return queries.get(schedule_id)
    return change(schedule_id, enabled=enabled)


def delete(schedule_id: str) -> None:
    """Remove a schedule with the list of its times; jobs and workflows that it submitted stay and go on."""
    if not db.run("DELETE FROM schedules WHERE schedule_id = %(id)s", id=schedule_id):
        raise _nothing(schedule_id)


def run_now(schedule_id: str, *, may_exceed_budget: bool = False) -> Row:
    """Run it once more now, also while it is switched off; its times stay as they are.

    Answers {schedule_id, slot_at, outcome, reason, job_id, workflow_id} (due.run_now). Raises what keeps it from
    being submitted: its agent is gone or switched off, its parameters do not fit any more, its owner may not.
    """
    row = _locked(schedule_id, None)
    owner = targets.owners([row["submitted_by"]]).get(row["submitted_by"], Owner())
    return due.run_now(row, Owner(owner.may_submit, owner.may_exceed_budget or may_exceed_budget))


# -- checking


def seal_late() -> int:
    """Seal what schedules keep in plain, say from before their agent called it secret; answers in how many."""
    done = 0
    for row in db.rows(f"SELECT {queries.COLUMNS} FROM schedules s"):
        kept = targets.sealed(row)
        if kept != row["parameters"]:
            done += db.run(
                """UPDATE schedules SET parameters = %(kept)s
                   WHERE schedule_id = %(id)s AND parameters = %(old)s""",
                kept=as_json(kept),
                old=as_json(row["parameters"]),
                id=row["schedule_id"],
            )
    return done


def _type(row: Row) -> str:
    if (row["cron_expression"] is None) == (row["execute_at"] is None):
        said = "give cron_expression or execute_at, and not both"
        raise Invalid(said, [("/cron_expression", said), ("/execute_at", said)])
    return "recurring" if row["cron_expression"] is not None else "one_time"


def _rank(priority: str) -> int:
    if priority not in PRIORITIES:
        said = f"must be one of {', '.join(PRIORITIES)}"
        raise Invalid(f"priority {said}", [("/priority", said)])
    return int(Priority.named(priority))


def _named(row: Row) -> str:
    return str(row["agent_id"] or row["template_name"] or (row["definition"] or {}).get("name") or "")[
        :LONGEST_NAME
    ]


def _retargeted(old: Row, told: dict[str, Any]) -> dict[str, Any]:
    """What is told, and of another kind of time or target than before without what belongs to the old one."""
    changes = dict(told)
    for given, other in (("cron_expression", "execute_at"), ("execute_at", "cron_expression")):
        if changes.get(given) is not None:
            changes.setdefault(other, None)
    if any(changes.get(name) is not None for name in _TARGETS):
        changes = {**dict.fromkeys((*_TARGETS, "template_version")), **changes}
        if "parameters" not in told and any(changes[name] != old[name] for name in _TARGETS):
            changes["parameters"] = {}
    if changes.get("agent_id") is None and (changes.get("template_name") or changes.get("definition")):
        kept = {name: value for name, value in old["options"].items() if name in OPTIONS_OF_WORKFLOWS}
    else:
        kept = old["options"]
    changes["options"] = _given(kept | changes.get("options", {}))
    return changes


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _checked(row: Row) -> Row:
    """The row with its times as they are kept; Invalid points at everything that is wrong with it."""
    _demand(_wrong_words(row))
    cron.zone(row["timezone"])
    if row["cron_expression"] is not None:
        row["cron_expression"] = cron.normal(row["cron_expression"])
    return row


def _check_target(row: Row, owner: Owner) -> None:
    """Raise what would be raised if it were submitted now; agent and definition become as they are kept."""
    _demand([*_wrong_target(row), *_wrong_options(row)])
    row |= targets.checked(row, owner)


def _demand(wrong: list[tuple[str, str]]) -> None:
    if wrong:
        raise Invalid(f"{wrong[0][0][1:]} {wrong[0][1]}", wrong)


def _wrong_words(row: Row) -> list[tuple[str, str]]:
    wrong = []
    if not 1 <= len(row["name"]) <= LONGEST_NAME or "\x00" in row["name"]:
        wrong.append(("/name", f"must have 1 to {LONGEST_NAME} characters, without NUL"))
    for name, known in (("misfire", MISFIRES), ("overlap", OVERLAPS)):
        if row[name] not in known:
            wrong.append((f"/{name}", f"must be one of {', '.join(known)}"))
    for name, most in (("jitter_seconds", LONGEST_JITTER), ("grace_seconds", LONGEST_GRACE)):
        if not 0 <= row[name] <= most:
            wrong.append((f"/{name}", f"must be 0 to {most}"))
    if row["jitter_seconds"] and targets.is_workflow(row):
        wrong.append(("/jitter_seconds", "is for agents only: workflows start at once"))
    if row["execute_at"] is not None and row["execute_at"].tzinfo is None:
        wrong.append(("/execute_at", "must have a zone, like 2026-05-04T09:00:00Z"))
    return wrong


def _wrong_target(row: Row) -> list[tuple[str, str]]:
    given = [name for name in _TARGETS if row[name] is not None]
    if len(given) != 1:
        said = "give one of agent_id, workflow_template and workflow"
        return [(f"/{_SHOWN.get(name, name)}", said) for name in given or _TARGETS[:1]]
    if row["template_version"] is not None and not row["template_name"]:
        return [("/workflow_version", "is for a workflow_template only")]
    return []


def _wrong_options(row: Row) -> list[tuple[str, str]]:
    known = OPTIONS if row["agent_id"] else OPTIONS_OF_WORKFLOWS
    return [(f"/{name}", "is for agents only") for name in row["options"] if name not in known]


def _demand_future(row: Row) -> None:
    if row["execute_at"] is not None and row["execute_at"] <= _now():
        raise InThePast("execute_at has passed already", [("/execute_at", "must be in the future")])


def _next(row: Row) -> datetime | None:
    if row["schedule_type"] == "one_time":
        moment: datetime = row["execute_at"]
        return moment
    return cron.following(row["cron_expression"], row["timezone"], _now())


def _now() -> datetime:
    """Postgres' time, by which schedules fire: the clocks of web hosts may differ."""
    now: datetime = db.value("SELECT now()")
    return now


# -- writing


def _locked(schedule_id: str, version: int | None) -> Row:
    row = db.row(
        f"SELECT {queries.COLUMNS} FROM schedules s WHERE s.schedule_id = %(id)s FOR UPDATE", id=schedule_id
    )
    if row is None:
        raise _nothing(schedule_id)
    if version is not None and row["version"] != version:
        raise Conflict(f"somebody changed it meanwhile: it is at version {row['version']}, not {version}")
    return row


def _nothing(schedule_id: str) -> NotFound:
    return NotFound(f"there is no schedule {schedule_id}")


def _stored(row: Row) -> dict[str, Any]:
    return row | {
        "definition": as_json(row["definition"]) if row["definition"] is not None else None,
        "parameters": as_json(targets.sealed(row)),
        "options": as_json(row["options"]),
    }


def _write(row: Row) -> None:
    db.run(
        """UPDATE schedules SET name = %(name)s, agent_id = %(agent_id)s, template_name = %(template_name)s,
                  template_version = %(template_version)s, definition = %(definition)s, parameters = %(parameters)s,
                  options = %(options)s, priority_rank = %(priority_rank)s, schedule_type = %(schedule_type)s,
                  cron_expression = %(cron_expression)s, execute_at = %(execute_at)s, timezone = %(timezone)s,
                  jitter_seconds = %(jitter_seconds)s, misfire = %(misfire)s, grace_seconds = %(grace_seconds)s,
                  overlap = %(overlap)s, enabled = %(enabled)s, ended = %(ended)s, next_fire_at = %(next_fire_at)s,
                  updated_at = clock_timestamp(), version = version + 1
           WHERE schedule_id = %(schedule_id)s""",
        **_stored(row),
    )


def _let_go(schedule_id: str) -> None:
    """What waits for the run before it is not run while the schedule is off, nor later."""
    db.run(
        """UPDATE schedule_fires SET outcome = 'skipped', reason = 'the schedule was switched off while it waited'
           WHERE schedule_id = %(id)s AND outcome = 'queued'""",
        id=schedule_id,
    )
