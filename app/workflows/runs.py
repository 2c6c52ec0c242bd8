"""What people do with runs: start, pause, resume, cancel, try again, forget. What runs by itself is in progress.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app import clock
from app.approvals import asking
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.jobs.states import Priority
from app.secrets import sealing
from app.workflows import graph, intake, progress, queries, rows
from app.workflows.definition import Definition, read
from app.workflows.graph import Again, Tree
from app.workflows.intake import RunWish as RunWish  # noqa: PLC0414 - it belongs to start()

JSON = dict[str, Any]
MOST_AT_ONCE = 200
"""So many runs are removed by one transaction."""
WITH_PARENT = "paused with the run around it"
"""The `status_reason` of a run that goes on when the one around it does."""


def check_only(definition: Definition, inputs: JSON | None = None, submitted_by: str | None = None) -> JSON:
    """Raise what `start` would raise for this definition and these inputs; answers the inputs with their defaults."""
    return intake.checked(definition, inputs or {}, submitted_by)


def start(wish: RunWish) -> Row:
    """Start a run: its rows, and the jobs of its first steps, in one transaction; answers the run (queries.get)."""
    workflow_id = intake.insert(wish)
    progress.advance(workflow_id)
    return queries.get(workflow_id)


def inputs_of(row: Row) -> dict[str, Any]:
    """What RunWish takes for the same inputs as a run (queries.get, full) has: {inputs, secret}."""
    kept = row["inputs"]
    return {
        "inputs": sealing.opened(kept, intake.owner_of(row["workflow_id"]), "/inputs"),
        "secret": frozenset(sealing.places(kept)),
    }


def pause(workflow_id: str) -> Row:
    """Let nothing new of a run start; what runs goes on. Pausing twice is no error, a finished run a Conflict."""
    _pause(_open(workflow_id, "pause"), None)
    return queries.get(workflow_id)


def _pause(run: Row, why: str | None) -> None:
    if run["status"] != "running":
        return
    if run["cancel_requested_at"]:
        raise Conflict("the run is being cancelled")
    db.run(
        """UPDATE workflows SET status = 'paused', status_reason = %(why)s, paused_at = clock_timestamp()
           WHERE workflow_id = %(id)s""",
        id=run["workflow_id"],
        why=why,
    )
    for inner in _inside(run):
        if not inner["cancel_requested_at"]:
            _pause(inner, WITH_PARENT)


def resume(workflow_id: str) -> Row:
    """Let a paused run go on; resuming a running one is no error, a finished one a Conflict."""
    _resume(_open(workflow_id, "resume"))
    return queries.get(workflow_id)


def _resume(run: Row) -> None:
    if run["status"] != "paused":
        return
    db.run(
        """UPDATE workflows SET status = 'running', status_reason = NULL, paused_at = NULL
           WHERE workflow_id = %(id)s""",
        id=run["workflow_id"],
    )
    for inner in _inside(run):
        if inner["status_reason"] == WITH_PARENT:
            _resume(inner)
    progress.advance(run["workflow_id"])


def _inside(run: Row) -> list[Row]:
    """The runs inside a locked run that have not ended, locked."""
    found = db.rows(
        """SELECT workflow_id::text FROM workflows WHERE parent_workflow_id = %(id)s AND finished_at IS NULL
           ORDER BY workflow_id""",
        id=run["workflow_id"],
    )
    held = [rows.locked(row["workflow_id"]) for row in found]
    return [row for row in held if row and row["finished_at"] is None]


def cancel(workflow_id: str) -> Row:
    """End a run with all that is in it: what waits at once, what runs as soon as its workers hear of it.

    It is `cancelled` when nothing of it runs any more; until then its status_reason is `cancelling`. Asking twice is
    no error, a finished run is a Conflict.
    """
    progress.cancel(_open(workflow_id, "cancel"))
    return queries.get(workflow_id)


def _open(workflow_id: str, verb: str) -> Row:
    """The locked row of a run that has not ended."""
    run = rows.locked(workflow_id)
    if run is None:
        raise NotFound(f"there is no workflow {workflow_id}")
    if run["finished_at"] is not None:
        raise Conflict(f"cannot {verb} a run that is {run['status']}", allowed=["retry"])
    return run


def retry(workflow_id: str, *, by: str, from_step: str | None = None) -> Row:
    """Run a finished run again, as a new one of `by` that names it: what is done in it is kept, the rest is done again.

    `from_step` is done again too, with everything after it. A run that has not ended is a Conflict, and so is one of
    which everything is done, unless a step is named.
    """
    old = queries.get(workflow_id, full=True)
    if old["finished_at"] is None:
        raise Conflict(f"the run is {old['status']}; only finished runs are run again", allowed=["cancel"])
    if old["parent_workflow_id"]:
        raise Conflict("this run is a step of another one; run that one again")
    plan = _what_again(workflow_id, from_step)
    wish = RunWish(
        definition=read(old["definition"]),
        submitted_by=by,
        **inputs_of(old),
        priority=Priority(old["priority_rank"]).word,
        tags=tuple(old["tags"]),
        # Whoever asked to hear of the first one wants to hear of this one; nobody else's wishes are taken over.
        notify=old["notify"] if by == old["submitted_by"] else None,
        external_key=old["external_key"],
        template_name=old["template_name"],
        template_version=old["template_version"],
        schedule_id=old["schedule_id"],
        session_id=old["session_id"],
        correlation_id=old["correlation_id"],
    )
    new_id = intake.insert(wish, retry_of=workflow_id, with_steps=False)
    rows.copy(workflow_id, new_id, plan)
    progress.advance(new_id)
    return queries.get(new_id)


def _what_again(workflow_id: str, from_step: str | None) -> Again:
    tree = Tree(rows.states(workflow_id).values())
    if from_step is not None:
        if from_step not in tree.by_id:
            raise Invalid(f"there is no step {from_step!r}", [("/from_step", "is no step of this run")])
        step = tree.by_id[from_step]
        if tree.not_chosen(step) or any(s.status == "skipped" for s in tree.around(step)):
            said = "what this step is in was skipped; name that, or a step before it"
            raise Invalid(f"{from_step}: {said}", [("/from_step", said)])
    plan = graph.again(tree, from_step)
    if not plan.redo:
        raise Conflict("everything in this run is done; name the step to begin from")
    return plan


def purge(days: float, limit: int = MOST_AT_ONCE) -> int:
    """Remove runs that ended so many days ago, with those inside them and their questions; answers how many.

    Their jobs have a retention of their own.
    """
    old = db.rows(
        """SELECT workflow_id::text FROM workflows
           WHERE workflow_id < %(young)s::uuid AND finished_at < now() - %(days)s * interval '1 day'
             AND parent_workflow_id IS NULL
           ORDER BY workflows.workflow_id LIMIT %(limit)s""",
        young=clock.least_id(clock.now() - timedelta(days=days)),  # ids begin with their time
        days=days,
        limit=limit,
    )
    ids = [row["workflow_id"] for row in old]
    asking.forget(_families(ids))
    return db.run("DELETE FROM workflows WHERE workflow_id = ANY(%(ids)s::uuid[])", ids=ids)


def _families(workflow_ids: list[str]) -> list[str]:
    """Runs with all runs inside them."""
    found = db.rows(
        """WITH RECURSIVE family AS (
               SELECT workflow_id FROM workflows WHERE workflow_id = ANY(%(ids)s::uuid[])
               UNION SELECT w.workflow_id FROM workflows w JOIN family f ON w.parent_workflow_id = f.workflow_id)
           SELECT workflow_id::text FROM family""",
        ids=workflow_ids,
    )
    return [row["workflow_id"] for row in found]
