"""What a bulk action does to one batch: everything by the same verbs as for a single one, in the caller's transaction.

One that cannot be is refused with the reason, and undone as far as it went; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app import audit
from app.accounts import permissions
from app.accounts.permissions import Principal
from app.db import AWAY, Row, db
from app.errors import CallboardError
from app.jobs import intake, lifecycle
from app.jobs.bulk_choice import VERBS
from app.jobs.states import Priority
from app.observe import logs
from app.secrets import sealing

log = logs.get("bulk")

# So many at once that the transaction is over in less than a second or so: their rows are locked until then.
BATCH = {"cancel": 200, "priority": 200, "retry": 50, "resubmit": 50}
LONGEST_REASON = 300
NOT_THERE = "there is no such job"


@dataclass(frozen=True, kw_only=True)
class Task:
    """The action's row, and on whose behalf it is done."""

    row: Row
    who: Principal

    @property
    def owner(self) -> str | None:
        """Whose jobs it may touch; None for everybody's."""
        return permissions.own_only(self.who, VERBS[self.row["subject"]][self.row["verb"]].permission)


@dataclass(kw_only=True)
class Outcome:
    """What became of a batch."""

    done: int = 0
    refusals: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, id_: str, reason: str) -> None:
        """Say why one was left as it is."""
        self.refusals.append({"id": id_, "reason": reason[:LONGEST_REASON]})


def cancel(task: Task, ids: list[str]) -> Outcome:
    """Cancel waiting jobs at once and running ones soon; who is asked to already counts as done."""
    outcome = Outcome()
    found = _theirs(task, ids, outcome)
    reached = {row["job_id"] for row in lifecycle.cancel_many(list(found))}
    for job_id, row in found.items():
        if job_id in reached or (row["cancel_requested_at"] and row["status"] == "running"):
            outcome.done += 1
        else:
            outcome.refuse(job_id, f"the job is {_status(job_id)}")
    _note(task, "job.cancelled", [(job_id, {}) for job_id in found if job_id in reached])
    return outcome


def change_priority(task: Task, ids: list[str]) -> Outcome:
    """Make waiting jobs more or less urgent."""
    outcome, word = Outcome(), task.row["options"]["priority"]
    found = _theirs(task, ids, outcome)
    reached = set(lifecycle.change_priorities(list(found), Priority.named(word)))
    for job_id in found:
        if job_id in reached:
            outcome.done += 1
        else:
            outcome.refuse(job_id, f"the job is {_status(job_id)}")
    _note(
        task, "job.priority_changed", [(job_id, {"priority": word}) for job_id in found if job_id in reached]
    )
    return outcome


def retry(task: Task, ids: list[str]) -> Outcome:
    """Run finished jobs again, each as a new job of whoever asked for it."""
    outcome = Outcome()
    found = _theirs(task, ids, outcome)
    may_exceed = permissions.may(task.who, "exceed_budget")

    def again(job_id: str) -> str:
        return str(intake.again(job_id, by=task.who.user_id, may_exceed_budget=may_exceed)["job_id"])

    _note(task, "job.retried", _each(list(found), again, outcome))
    return outcome


def owner_of(bulk_id: str) -> str:
    """To whom the sealed values among the options of a bulk action belong (app/secrets/sealing.py)."""
    return f"bulk_actions/{bulk_id}"


def resubmit(task: Task, ids: list[str]) -> Outcome:
    """Send dead letters in again, each as a new job of its submitter."""
    outcome, options = Outcome(), task.row["options"]

    def again(dlq_id: str) -> str:
        opened = sealing.opened(options, owner_of(task.row["bulk_id"]), "/options")
        how = {name: opened.get(name) for name in ("priority", "override_parameters")}
        return str(intake.resubmit(dlq_id, by=task.who.user_id, **how)["new_job_id"])

    _note(task, "dead_letter.resubmitted", _each(ids, again, outcome))
    return outcome


def _theirs(task: Task, ids: list[str], outcome: Outcome) -> dict[str, Row]:
    """Those that are there and theirs to touch, in the given order; what is somebody else's is not there."""
    rows = db.rows(
        """SELECT job_id::text, status, cancel_requested_at FROM jobs WHERE job_id = ANY(%(ids)s::uuid[])
             AND (%(owner)s::text IS NULL OR submitted_by = %(owner)s)""",
        ids=ids,
        owner=task.owner,
    )
    found = {row["job_id"]: row for row in rows}
    for job_id in ids:
        if job_id not in found:
            outcome.refuse(job_id, NOT_THERE)
    return {job_id: found[job_id] for job_id in ids if job_id in found}


def _status(job_id: str) -> str:
    """What it is by now."""
    return str(db.value("SELECT status FROM jobs WHERE job_id = %(job)s", job=job_id)).replace("_", " ")


def _each(ids: list[str], do: Callable[[str], str], outcome: Outcome) -> list[tuple[str, dict[str, Any]]]:
    """Do it to one after the other; answers {new_job_id} of each that it was done to."""
    made = []
    for id_ in ids:
        db.run("SAVEPOINT bulk_item")
        try:
            made.append((id_, {"new_job_id": do(id_)}))
        except AWAY:
            raise
        except CallboardError as refused:
            outcome.refuse(id_, refused.message)
            db.run("ROLLBACK TO SAVEPOINT bulk_item")
        except Exception as broken:
            log.exception("bulk.item_broken", item=id_)
            outcome.refuse(id_, f"Callboard failed on it: {type(broken).__name__}")
            db.run("ROLLBACK TO SAVEPOINT bulk_item")
        db.run("RELEASE SAVEPOINT bulk_item")
    outcome.done += len(made)
    return made


def _note(task: Task, action: str, what: list[tuple[str, dict[str, Any]]]) -> None:
    """What a single action would have written, with the action that it was a part of."""
    audit.record_many(
        action,
        [(subject, details | {"bulk_id": task.row["bulk_id"]}) for subject, details in what],
        actor=task.who.user_id,
        correlation_id=task.row["correlation_id"],
    )


DO: dict[str, Callable[[Task, list[str]], Outcome]] = {
    "cancel": cancel,
    "priority": change_priority,
    "retry": retry,
    "resubmit": resubmit,
}
