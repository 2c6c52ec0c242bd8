"""Answers of people, and the runs that wait for them."""

from __future__ import annotations

from typing import Any

from app.approvals import asking, queries
from app.approvals.asking import Answering, Decision
from app.db import Row
from app.errors import Conflict
from app.workflows import progress, rows


def answer(
    approval_id: str, *, decision: Decision, by: Answering, answer: Any = None, comment: str | None = None
) -> Row:
    """Settle a question as a person says, and let its run go on (unless it is paused); answers the approval.

    Forbidden for those who may not answer it, Conflict for one that is settled, too late, or of a run that has
    ended or is being cancelled, Invalid when what was filled in does not fit the form.
    """
    asked = queries.get(approval_id)
    run = rows.locked(asked["workflow_id"]) if asked["workflow_id"] else None
    if run and asking.may_answer(asked, by) and (run["finished_at"] or run["cancel_requested_at"]):
        state = run["status"] if run["finished_at"] else "being cancelled"
        raise Conflict(f"the run that asked this is {state}")
    settled = asking.answer(approval_id, decision=decision, by=by, answer=answer, comment=comment)
    if run:
        progress.go_on(run)
    return settled
