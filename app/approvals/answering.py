"""Settling a question: as a person says, as silence says, or by asking others as well.

Everything that a question belongs to is locked before it, always in this order: run, job, question. Whoever waits for
a run's question is app/workflows/asking.py, which is also what doors call; a job that waits goes on from here.
"""

from __future__ import annotations

from typing import Any

from app import clock
from app.accounts.permissions import Answering
from app.agents import params
from app.approvals import news, queries
from app.approvals.asking import STATUS_OF, Decision, may_answer
from app.db import Row, as_json, db, dumps, storable
from app.errors import Conflict, Forbidden, Invalid, InvalidParameters
from app.jobs import lifecycle
from app.jobs import queries as jobs

LONGEST_COMMENT = 4000
LONGEST_TEXT = 200_000
LONGEST_VALUE = 1_000_000
WAITS = "awaiting_input"


def answer(
    approval_id: str,
    *,
    decision: Decision,
    by: Answering,
    answer: Any = None,
    edited: Any = None,
    comment: str | None = None,
) -> Row:
    """Settle an open question as a person says, and let the job that asked it go on; answers the approval.

    Forbidden for those who may not, Conflict for one that is settled or withdrawn or whose time is over, Invalid when
    the question does not take such an answer: what was filled in must fit the form (a rejection may leave it out),
    `edited` replaces what may be edited by something of its kind, and whoever asks back says why.
    """
    job_id = queries.get(approval_id)["job_id"]
    job = jobs.locked(job_id) if job_id else None
    approval = queries.locked(approval_id)
    if not may_answer(approval, by):
        raise Forbidden("this question is for somebody else to answer")
    _demand_open(approval)
    if job_id and (job is None or job["status"] != WAITS):
        raise Conflict(f"the job that asked this is {job['status'] if job else 'gone'}")
    _demand_option(approval, decision)
    filled = _filled(approval["form"], decision, answer)
    changed = _changed(approval["editable"], decision, edited)
    _demand_comment(decision, comment)
    settled = settle(
        approval_id, STATUS_OF[decision], by=by.email, answer=filled, edited=changed, comment=comment
    )
    if job_id:
        lifecycle.answered(job_id)
    return settled


def expire(approval_id: str, job_id: str | None) -> bool:
    """Close a question whose time is over as it says itself, and tell whoever's work waits; answers whether it was open.

    The job that asked goes on; one that somebody holds just now is left for the next time.
    """
    if job_id and jobs.locked(job_id, wait=False) is None:
        return False
    try:
        settled = settle(approval_id, "expired")
    except Conflict:  # somebody answered before we had the lock
        return False
    news.of_expired(settled)
    if job_id:
        lifecycle.answered(job_id)
    return True


def escalate(approval_id: str) -> bool:
    """From now on others may answer as well, and are told; answers whether it was time for that, which is once."""
    row = db.row(
        f"""UPDATE approvals SET escalated_at = clock_timestamp()
            WHERE approval_id = (
                SELECT approval_id FROM approvals
                WHERE approval_id = %(id)s AND status = 'open' AND escalated_at IS NULL
                  AND escalate_at <= clock_timestamp() FOR UPDATE SKIP LOCKED)
            RETURNING {queries.COLUMNS}""",
        id=approval_id,
    )
    if row:
        news.of_escalated(row)
    return row is not None


def settle(
    approval_id: str,
    status: str,
    *,
    by: str | None = None,
    answer: Any = None,
    edited: Any = None,
    comment: str | None = None,
) -> Row:
    """Close an open question as approved, rejected, sent_back, expired or cancelled; a closed one is a Conflict."""
    row = db.row(
        f"""UPDATE approvals SET status = %(status)s, answered_by = %(by)s, answered_at = clock_timestamp(),
                   answer = %(answer)s, edited = %(edited)s, comment = %(comment)s
            WHERE approval_id = %(id)s AND status = 'open' RETURNING {queries.COLUMNS}""",
        id=approval_id,
        status=status,
        by=by,
        answer=None if answer is None else as_json(answer),
        edited=None if edited is None else as_json(edited),
        comment=storable(comment) if comment else None,
    )
    if row is None:
        raise Conflict("this question was settled already")
    return row


def _demand_open(approval: Row) -> None:
    if approval["status"] == "cancelled":
        raise Conflict("this question was withdrawn: nobody needs the answer any more")
    if approval["status"] != "open":
        raise Conflict(f"this question was settled already: it is {approval['status']}")
    if approval["deadline_at"] and approval["deadline_at"] <= clock.now():
        raise Conflict("the time to answer this question is over")


def _demand_option(approval: Row, decision: Decision) -> None:
    if decision not in approval["options"]:
        said = f"this question takes {', '.join(approval['options'])}"
        raise Invalid(said, [("/decision", said)])


def _demand_comment(decision: Decision, comment: str | None) -> None:
    said = None
    if decision == "ask_back" and not (comment or "").strip():
        said = "say what should be different"
    elif comment is not None and len(comment) > LONGEST_COMMENT:
        said = f"at most {LONGEST_COMMENT} characters"
    if said:
        raise Invalid(said, [("/comment", said)])


def _filled(form: dict[str, Any] | None, decision: Decision, answer: Any) -> dict[str, Any] | None:
    if form is None and answer is None:
        return None
    if answer is None and decision in ("reject", "ask_back"):
        return None
    given = {} if answer is None else answer
    if not isinstance(given, dict):
        raise Invalid("the answer must be an object", [("/answer", "must be an object")])
    return _checked(form or {}, given, "/answer")


def _checked(schema: dict[str, Any], given: dict[str, Any], place: str) -> dict[str, Any]:
    """What was given as params.check has it, with complaints that say where it was given."""
    try:
        return params.check(schema, given)
    except InvalidParameters as wrong:
        fields = [(pointer.replace("/parameters", place, 1), said) for pointer, said in wrong.fields]
        raise Invalid(wrong.message.replace("parameters", place[1:], 1), fields) from wrong


def _changed(editable: dict[str, Any] | None, decision: Decision, edited: Any) -> Any:
    """What the person made of what they could edit."""
    complaint = _complaint(editable, decision, edited)
    if complaint:
        raise Invalid(f"edited: {complaint}", [("/edited", complaint)])
    if edited is not None and not isinstance(edited, str):
        _checked({}, {"edited": edited}, "")
    return edited


def _complaint(editable: dict[str, Any] | None, decision: Decision, edited: Any) -> str | None:
    if decision != "edit":
        return None if edited is None else "only goes with the decision edit"
    if edited is None:
        return "is required: what you made of it"
    if editable is None:
        return "this question has nothing to edit"
    if "text" in editable:
        return _complaint_about_text(edited)
    return _complaint_about_value(editable.get("value"), edited)


def _complaint_about_text(edited: Any) -> str | None:
    if not isinstance(edited, str) or not edited.strip():
        return "must be a text that is not empty"
    return f"at most {LONGEST_TEXT:,} characters" if len(edited) > LONGEST_TEXT else None


def _complaint_about_value(before: Any, edited: Any) -> str | None:
    if before is not None and _kind(before) != _kind(edited):
        return f"must be of type {_kind(before)}, as what it replaces"
    return f"at most {LONGEST_VALUE:,} characters as JSON" if len(dumps(edited)) > LONGEST_VALUE else None


def _kind(value: Any) -> str:
    """The JSON type; numbers are one, and true is none of them."""
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "null")
