"""Answers of people, and the runs and jobs that wait for them: what every door calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.accounts.permissions import Answering
from app.approvals import answering, asking, links, queries
from app.approvals.asking import Decision
from app.db import Row
from app.errors import Conflict
from app.workflows import progress, rows


def answer(
    approval_id: str,
    *,
    decision: Decision,
    by: Answering,
    answer: Any = None,
    edited: Any = None,
    comment: str | None = None,
) -> Row:
    """Settle a question as a person says, and let its run (unless it is paused) or its job go on; answers the approval.

    Forbidden for those who may not answer it, Conflict for one that is settled, withdrawn, too late, or of a run that
    has ended or is being cancelled, Invalid when the question does not take such an answer.
    """
    run = _locked(queries.get(approval_id), by)
    settled = answering.answer(
        approval_id, decision=decision, by=by, answer=answer, edited=edited, comment=comment
    )
    if run:
        progress.go_on(run)
    return settled


_answer = answer  # the name is also that of an argument


def answer_by_link(
    token: str,
    *,
    key: str | Sequence[str],
    decision: Decision,
    answer: Any = None,
    edited: Any = None,
    comment: str | None = None,
) -> Row:
    """`answer` by whoever holds a link, which is used up with it; raises as app.approvals.links.read does, too.

    An answer that does not fit leaves the link as it was, once the caller has rolled back.
    """
    asked = links.read(token, key=key)
    settled = _answer(
        asked["approval_id"],
        decision=decision,
        by=links.Holder(email=asked["email"]),
        answer=answer,
        edited=edited,
        comment=comment,
    )
    links.use(token)
    return settled


def expire(late: Row) -> bool:
    """Settle a question whose time is over as it says itself, and let its run or job go on.

    `late` is {approval_id, workflow_id, job_id}. False if somebody answered first, or holds the run or job just now:
    then it is left for the next time.
    """
    run = rows.locked_if_free(late["workflow_id"]) if late["workflow_id"] else None
    if run is None and late["workflow_id"]:
        return False
    if not answering.expire(late["approval_id"], late["job_id"]):
        return False
    if run:
        progress.go_on(run)
    return True


def _locked(asked: Row, by: Answering) -> Row | None:
    """The run that asks, held; Conflict when it needs no answer any more, for those who may give one."""
    run = rows.locked(asked["workflow_id"]) if asked["workflow_id"] else None
    if run and asking.may_answer(asked, by) and (run["finished_at"] or run["cancel_requested_at"]):
        state = run["status"] if run["finished_at"] else "being cancelled"
        raise Conflict(f"the run that asked this is {state}")
    return run
