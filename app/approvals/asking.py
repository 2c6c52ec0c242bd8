"""A question to a person, from being asked to being settled. Whoever asked locks what the question belongs to first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import uuid_utils.compat

from app import clock
from app.agents import params
from app.approvals import news, queries
from app.db import Row, as_json, db, storable
from app.errors import Conflict, Forbidden, Invalid, InvalidParameters

Decision = Literal["approve", "reject"]
STATUS_OF: dict[str, str] = {"approve": "approved", "reject": "rejected"}
LONGEST_QUESTION = 10_000
LONGEST_COMMENT = 4000
_EMAIL = re.compile(r"[^@\s\x00]+@[^@\s\x00]+")
ROLES = ("admin", "user")
"""Whose everybody may be asked; viewers only look."""


class Answering(Protocol):
    """Who answers; a Principal is one."""

    @property
    def user_id(self) -> str: ...  # noqa: D102 - as a Principal has it
    @property
    def email(self) -> str: ...  # noqa: D102
    @property
    def role(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked, and of whom."""

    question: str
    requested_by: str
    """The user id of whoever's work waits for it."""
    workflow_id: str | None = None
    step_id: str | None = None
    job_id: str | None = None
    shown: Any = None
    form: dict[str, Any] | None = None
    """JSON Schema of what they fill in."""
    approvers: tuple[str, ...] = ()
    """E-mail addresses and roles; (): whoever requested it, and admins."""
    deadline_at: datetime | None = None
    on_timeout: Decision = "reject"


def ask(question: Question) -> str:
    """Put a question to those who may answer it; answers its id."""
    return ask_many([question])[0]


def ask_many(questions: Sequence[Question]) -> list[str]:
    """Put several questions by one statement; ids come back in the given order."""
    ids = [str(uuid_utils.compat.uuid7()) for _ in questions]
    rows = [_row(each, approval_id) for each, approval_id in zip(questions, ids, strict=True)]
    db.run(_ASK, rows=as_json(rows))
    news.of_asked(rows)
    return ids


_ASK = """
    INSERT INTO approvals (approval_id, workflow_id, step_id, job_id, question, shown, form, approvers, requested_by,
                           deadline_at, on_timeout)
    SELECT n.approval_id, n.workflow_id, n.step_id, n.job_id, n.question, nullif(n.shown, 'null'::jsonb),
           nullif(n.form, 'null'::jsonb), n.approvers, n.requested_by, n.deadline_at, n.on_timeout
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS n(approval_id uuid, workflow_id uuid, step_id text, job_id uuid,
         question text, shown jsonb, form jsonb, approvers text[], requested_by text, deadline_at timestamptz,
         on_timeout text)"""


def _row(question: Question, approval_id: str) -> Row:
    return {
        "approval_id": approval_id,
        "workflow_id": question.workflow_id,
        "step_id": question.step_id,
        "job_id": question.job_id,
        "question": storable(question.question[:LONGEST_QUESTION]),
        "shown": question.shown,
        "form": question.form,
        "approvers": named(question.approvers),
        "requested_by": question.requested_by,
        "deadline_at": question.deadline_at,
        "on_timeout": question.on_timeout,
    }


def named(approvers: Iterable[str]) -> list[str]:
    """A list of approvers as it is kept; Invalid for what is neither an e-mail address nor a role."""
    kept = [str(each).strip().lower() for each in approvers]
    for each in kept:
        if each not in ROLES and not _EMAIL.fullmatch(each):
            raise Invalid(f"{each!r} is neither an e-mail address nor a role ({', '.join(ROLES)})")
    return kept


def may_answer(approval: Row, who: Answering) -> bool:
    """Whether they may: admins always; those on the list; without a list whoever requested it."""
    if who.role == "admin":
        return True
    if not approval["approvers"]:
        return bool(approval["requested_by"] == who.user_id)
    return who.email.lower() in approval["approvers"] or who.role in approval["approvers"]


def answer(
    approval_id: str, *, decision: Decision, by: Answering, answer: Any = None, comment: str | None = None
) -> Row:
    """Settle an open question as a person says; answers the approval as it is then.

    Forbidden for those who may not, Conflict for one that is settled or whose time is over, Invalid when what was
    filled in does not fit the form (an approval must, a rejection may leave it out).
    """
    approval = queries.locked(approval_id)
    if not may_answer(approval, by):
        raise Forbidden("this question is for somebody else to answer")
    _demand_open(approval)
    filled = _filled(approval["form"], decision, answer)
    if comment is not None and len(comment) > LONGEST_COMMENT:
        raise Invalid(
            f"at most {LONGEST_COMMENT} characters", [("/comment", f"at most {LONGEST_COMMENT} characters")]
        )
    return settle(approval_id, STATUS_OF[decision], by=by.email, answer=filled, comment=comment)


def _demand_open(approval: Row) -> None:
    if approval["status"] != "open":
        raise Conflict(f"this question was settled already: it is {approval['status']}")
    if approval["deadline_at"] and approval["deadline_at"] <= clock.now():
        raise Conflict("the time to answer this question is over")


def _filled(form: dict[str, Any] | None, decision: Decision, answer: Any) -> dict[str, Any] | None:
    if form is None and answer is None:
        return None
    if answer is None and decision == "reject":
        return None
    given = {} if answer is None else answer
    if not isinstance(given, dict):
        raise Invalid("the answer must be an object", [("/answer", "must be an object")])
    try:
        return params.check(form or {}, given)
    except InvalidParameters as wrong:
        fields = [(place.replace("/parameters", "/answer", 1), said) for place, said in wrong.fields]
        raise Invalid(wrong.message.replace("parameters", "answer", 1), fields) from wrong


def settle(
    approval_id: str, status: str, *, by: str | None = None, answer: Any = None, comment: str | None = None
) -> Row:
    """Close an open question as approved, rejected, expired or cancelled; a closed one is a Conflict."""
    row = db.row(
        f"""UPDATE approvals SET status = %(status)s, answered_by = %(by)s, answered_at = clock_timestamp(),
                   answer = %(answer)s, comment = %(comment)s
            WHERE approval_id = %(id)s AND status = 'open' RETURNING {queries.COLUMNS}""",
        id=approval_id,
        status=status,
        by=by,
        answer=None if answer is None else as_json(answer),
        comment=storable(comment) if comment else None,
    )
    if row is None:
        raise Conflict("this question was settled already")
    return row


def cancel(approval_ids: Sequence[str]) -> int:
    """Nobody needs an answer any more; closed ones stay as they are. Answers how many were open."""
    return db.run(
        """UPDATE approvals SET status = 'cancelled', answered_at = clock_timestamp()
           WHERE approval_id = ANY(%(ids)s::uuid[]) AND status = 'open'""",
        ids=list(approval_ids),
    )


def forget(workflow_ids: Sequence[str]) -> int:
    """Remove the questions of runs that are removed; answers how many."""
    return db.run("DELETE FROM approvals WHERE workflow_id = ANY(%(ids)s::uuid[])", ids=list(workflow_ids))
