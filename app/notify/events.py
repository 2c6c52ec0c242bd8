"""What can be told of: every event has a title here, and one that is not here is a programming error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One kind of news."""

    name: str
    title: str
    alert: bool = False
    """Whoever runs the place should hear of it: it also goes to the alert addresses."""


EVENTS: dict[str, Event] = {
    event.name: event
    for event in (
        Event("job.completed", "A job is done"),
        Event("job.failed", "A job failed"),
        Event("job.cancelled", "A job was cancelled"),
        Event("dead_letter", "A job ended in the dead letters", alert=True),
        Event("workflow.completed", "A workflow is done"),
        Event("workflow.failed", "A workflow failed"),
        Event("workflow.cancelled", "A workflow was cancelled"),
        Event("approval.requested", "Somebody is asked to approve"),
        Event("approval.escalated", "Nobody answered an approval yet, and others are asked as well"),
        Event("approval.expired", "Nobody answered an approval in time"),
        Event("bulk.finished", "A bulk action is over"),
        Event("schedule.missed", "A schedule missed its time", alert=True),
        Event("schedule.failed", "A schedule could not start its work", alert=True),
        Event("budget.warned", "A budget is nearly used up", alert=True),
        Event("budget.stopped", "A budget is used up", alert=True),
        Event("provider.down", "A model provider does not answer", alert=True),
        Event("worker.all_gone", "No worker is left", alert=True),
        Event("alert.raised", "Something that is watched is wrong", alert=True),
        Event("alert.resolved", "It is right again", alert=True),
        Event("test", "A test"),
    )
}


def named(name: str) -> Event:
    """The event; raises ValueError for one that does not exist."""
    if name not in EVENTS:
        msg = f"there is no event {name!r}; app/notify/events.py lists them"
        raise ValueError(msg)
    return EVENTS[name]


def patterns(name: str) -> list[str]:
    """Every way to ask for the event: `workflow.failed`, `workflow.*`, `*`. A test is only sent where it is asked for."""
    if name == "test":
        return [name]
    family, dot, _ = name.partition(".")
    return [name, "*", *([f"{family}.*"] if dot else [])]


def complaint(pattern: str) -> str | None:
    """What is wrong with `pattern` as something to ask for; None: nothing."""
    if pattern in EVENTS or pattern == "*":
        return None
    family = pattern.removesuffix(".*")
    if family != pattern and any(name.startswith(f"{family}.") for name in EVENTS):
        return None
    return f"is no event; choose from *, {', '.join(sorted(EVENTS))}, or a family like workflow.*"
