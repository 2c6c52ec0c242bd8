"""Jobs that ask people, for the tests of what lets them ask: submitted, looked at, answered."""

from __future__ import annotations

from typing import Any

from app.accounts.permissions import Principal
from app.approvals import queries
from app.db import db
from app.workflows import asking as doors
from tests import acting

ADMIN = Principal(user_id="u-admin", email="ada@example.com", role="admin")


def submitted(agent_id: str, **parameters: Any) -> str:
    """The id of a job of an agent."""
    with db.quick():
        return acting.submitted(agent_id, parameters=parameters)


def job(job_id: str) -> dict[str, Any]:
    """Its row."""
    with db.quick():
        return acting.job(job_id)


def questions(job_id: str, status: str | None = None) -> list[dict[str, Any]]:
    """What it asked, oldest first; all of it without a status."""
    with db.quick():
        return db.rows(
            f"""SELECT {queries.COLUMNS} FROM approvals WHERE job_id = %(id)s
                AND (%(status)s::text IS NULL OR status = %(status)s) ORDER BY approvals.approval_id""",
            id=job_id,
            status=status,
        )


def answered(job_id: str, decision: str = "approve", **more: Any) -> None:
    """A person answers the question that is open."""
    (question,) = questions(job_id, "open")
    with db.transaction():
        doors.answer(question["approval_id"], decision=decision, by=ADMIN, **more)  # type: ignore[arg-type]
