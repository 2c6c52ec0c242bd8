"""Schedules: make them, look at them, change them, run one now, and see what came of each time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app import clock
from app.accounts.permissions import demand, may, own_only
from app.api.answers import Answer
from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.schedule_shapes import (
    FiresOut,
    FiresQuery,
    PreviewIn,
    PreviewOut,
    RanOut,
    RecurringIn,
    ScheduleFields,
    ScheduleGone,
    ScheduleIn,
    ScheduleOut,
    SchedulePatch,
    SchedulesOut,
    SchedulesQuery,
    ScheduleWhole,
    UpcomingOut,
    UpcomingQuery,
)
from app.budgets import queries as budgets
from app.db import Row
from app.errors import Invalid, NotFound
from app.schedules import changes, cron, queries
from app.schedules.changes import Wish
from app.schedules.queries import Filter
from app.schedules.targets import OPTIONS

AHEAD = 5
# What the room calls otherwise.
_ROOMS = {
    "workflow_template": "template_name",
    "workflow_version": "template_version",
    "workflow": "definition",
}


@op(
    "POST",
    "/api/v1/schedules",
    verb="create_schedule",
    out=ScheduleOut,
    status=201,
    errors=(400,),
    idempotent=True,
)
def create_schedule(body: ScheduleIn) -> Answer:
    """Make a schedule that runs once or again and again; 400 for a time that has passed."""
    _demand_type(body)
    return _created(body)


@op(
    "POST",
    "/api/v1/schedules/recurring",
    verb="create_schedule",
    out=ScheduleOut,
    status=201,
    errors=(400,),
    idempotent=True,
)
def create_recurring_schedule(body: RecurringIn) -> Answer:
    """Make a schedule that runs again and again."""
    if body.execute_at is not None:
        raise Invalid("A recurring schedule has no execute_at.", [("/execute_at", "is for one_time only")])
    return _created(body)


@op("GET", "/api/v1/schedules", verb="view_schedule", out=SchedulesOut)
def list_schedules(query: SchedulesQuery) -> dict[str, Any]:
    """List schedules, those that come next first: your own, or all for admins and viewers."""
    chosen = Filter(
        owner=own_only(current_principal(), "view_schedule"),
        agent_id=query.agent_id,
        template_name=query.workflow_template,
        status=query.status,
        schedule_type=query.schedule_type,
        text=query.q,
    )
    rows = queries.page(chosen, limit=query.limit, offset=query.offset)
    return {
        "schedules": [_shown(row) for row in rows],
        "total": queries.count(chosen),
        "limit": query.limit,
        "offset": query.offset,
    }


@op("GET", "/api/v1/schedules/upcoming", verb="view_schedule", out=UpcomingOut)
def list_upcoming(query: UpcomingQuery) -> dict[str, Any]:
    """List the next executions over all schedules, in order."""
    owner = own_only(current_principal(), "view_schedule")
    rows = queries.upcoming(owner, limit=query.limit, until=query.until)
    return {
        "upcoming": [
            {
                "at": row["at"],
                "local": queries.local(row["at"], row["timezone"]),
                "schedule_id": row["schedule_id"],
                "name": row["name"],
                "agent_id": row["agent_id"],
                "workflow_template": row["template_name"],
                "timezone": row["timezone"],
            }
            for row in rows
        ]
    }


@op("POST", "/api/v1/schedules/preview", verb="view_schedule", out=PreviewOut)
def preview_schedule(body: PreviewIn) -> dict[str, Any]:
    """Say what a cron expression means, and when it comes next; nothing is made."""
    expression = cron.normal(body.cron_expression)
    cron.zone(body.timezone)
    moments = cron.upcoming(expression, body.timezone, clock.now(), AHEAD)
    return {
        "cron_expression": expression,
        "timezone": body.timezone,
        "description": cron.explain(expression, body.timezone),
        "next": [{"utc": moment, "local": queries.local(moment, body.timezone)} for moment in moments],
    }


@op("GET", "/api/v1/schedules/<schedule_id>", verb="view_schedule", out=ScheduleWhole, errors=(404,))
def get_schedule(schedule_id: UUID) -> dict[str, Any]:
    """Show a schedule, and what may be spent on it."""
    row = _demanded(schedule_id, "view_schedule")
    return _shown(row) | {"budgets": [budgets.public(each) for each in queries.spending(row["schedule_id"])]}


@op(
    "PATCH",
    "/api/v1/schedules/<schedule_id>",
    verb="manage_schedule",
    out=ScheduleOut,
    errors=(400, 404, 409),
)
def change_schedule(schedule_id: UUID, body: SchedulePatch) -> dict[str, Any]:
    """Change a schedule; what is left out stays, and times of the past never come again."""
    old = _demanded(schedule_id, "manage_schedule")
    row = changes.change(
        old["schedule_id"],
        version=body.version,
        may_exceed_budget=may(current_principal(), "exceed_budget"),
        **_told(body),
    )
    noted("schedule.changed", row["schedule_id"], {"fields": sorted(body.model_fields_set - {"version"})})
    return _shown(row)


@op("DELETE", "/api/v1/schedules/<schedule_id>", verb="manage_schedule", out=ScheduleGone, errors=(404,))
def delete_schedule(schedule_id: UUID) -> dict[str, Any]:
    """Remove a schedule; jobs and workflows that it submitted stay and go on."""
    row = _demanded(schedule_id, "manage_schedule")
    changes.delete(row["schedule_id"])
    noted("schedule.deleted", row["schedule_id"])
    return {"schedule_id": row["schedule_id"], "status": "cancelled"}


@op(
    "POST",
    "/api/v1/schedules/<schedule_id>/run",
    verb="manage_schedule",
    out=RanOut,
    status=201,
    errors=(404, 409, 422),
    idempotent=True,
)
def run_schedule(schedule_id: UUID) -> dict[str, Any]:
    """Run a schedule once more now, also one that is paused; its times stay as they are."""
    row = _demanded(schedule_id, "manage_schedule")
    ran = changes.run_now(row["schedule_id"], may_exceed_budget=may(current_principal(), "exceed_budget"))
    noted("schedule.run", row["schedule_id"], {"outcome": ran["outcome"]})
    return ran


@op(
    "POST",
    "/api/v1/schedules/<schedule_id>/pause",
    verb="manage_schedule",
    out=ScheduleOut,
    errors=(404,),
)
def pause_schedule(schedule_id: UUID) -> dict[str, Any]:
    """Let a schedule submit nothing more until it is resumed; what it submitted goes on."""
    return _switched(schedule_id, enabled=False)


@op(
    "POST",
    "/api/v1/schedules/<schedule_id>/resume",
    verb="manage_schedule",
    out=ScheduleOut,
    errors=(400, 404, 422),
)
def resume_schedule(schedule_id: UUID) -> dict[str, Any]:
    """Let a paused schedule go on from now; what was due meanwhile is not made up for."""
    return _switched(schedule_id, enabled=True)


@op("GET", "/api/v1/schedules/<schedule_id>/fires", verb="view_schedule", out=FiresOut, errors=(404,))
def list_fires(schedule_id: UUID, query: FiresQuery) -> dict[str, Any]:
    """List what became of a schedule's times, newest first."""
    row = _demanded(schedule_id, "view_schedule")
    fires = queries.fires(row["schedule_id"], outcome=query.outcome, before=query.before, limit=query.limit)
    for fire in fires:
        del fire["schedule_id"]
    return {"schedule_id": row["schedule_id"], "fires": fires}


def _created(body: ScheduleFields) -> Answer:
    who = current_principal()
    row = changes.create(
        Wish(submitted_by=who.user_id, may_exceed_budget=may(who, "exceed_budget"), **_told(body))
    )
    noted("schedule.created", row["schedule_id"])
    return Answer(_shown(row), headers={"Location": f"/api/v1/schedules/{row['schedule_id']}"})


def _switched(schedule_id: UUID, *, enabled: bool) -> dict[str, Any]:
    row = changes.enable(_demanded(schedule_id, "manage_schedule")["schedule_id"], enabled=enabled)
    noted("schedule.resumed" if enabled else "schedule.paused", row["schedule_id"])
    return _shown(row)


def _demand_type(body: ScheduleIn) -> None:
    """What is said of the type must be what is given."""
    time = {"one_time": "execute_at", "recurring": "cron_expression"}.get(body.schedule_type or "")
    if time and getattr(body, time) is None:
        raise Invalid(f"{time} is required for {body.schedule_type}.", [(f"/{time}", "is required")])


def _told(body: ScheduleFields) -> dict[str, Any]:
    """What was given, by the names of the room; null takes an option back, and is otherwise the same as nothing."""
    given = body.model_dump(exclude_unset=True, exclude={"version", "schedule_type"})
    options = {name: given.pop(name) for name in OPTIONS if name in given}
    if options.get("budget"):
        options["budget"] = {unit: amount for unit, amount in options["budget"].items() if amount is not None}
    wanted, email = given.pop("notify_on_completion", None), given.pop("notification_email", None)
    if wanted is not None or email:
        options["notify"] = {"email": email} if wanted or email else None
    told = {_ROOMS.get(name, name): value for name, value in given.items() if value is not None}
    if "workflow_version" in given:
        told["template_version"] = given["workflow_version"]
    return told | ({"options": options} if options else {})


def _demanded(schedule_id: UUID, verb: str) -> Row:
    """The schedule, if it exists and the caller may `verb` it; the same NotFound for somebody else's."""
    nothing = NotFound(f"There is no schedule {schedule_id}.")
    try:
        row = queries.get(str(schedule_id))
        demand(current_principal(), verb, row["submitted_by"])
    except NotFound:
        raise nothing from None
    return row


def _shown(row: Row) -> dict[str, Any]:
    who = current_principal()
    return queries.public(row, content=may(who, "view_task_content", row["submitted_by"]))
