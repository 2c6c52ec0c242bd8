"""What a session does by itself after something was said: it hands the new part to its two agents, if it wants that."""

from __future__ import annotations

from app.accounts.permissions import Principal, may
from app.db import Row, db
from app.errors import CallboardError
from app.observe import logs
from app.sessions import delegating

AGENTS = ("conversation-processor", "memory-keeper")
SWITCH = "process"
"""The key of a session's metadata that switches it on, when it is true."""

log = logs.get("sessions")


def after_batch(session: Row, *, by: str, first_place: int) -> list[str]:
    """Delegate both agents to what was said from `first_place` on; answers the ids of the jobs, in this transaction.

    Nothing where `session` does not ask for it, or `by` (the id of a user) may not submit jobs. A job that waits already
    will read the new messages as well, so there is never more than one of a kind that waits. Whoever speaks is not
    refused because an agent is switched off.
    """
    if session["metadata"].get(SWITCH) is not True:
        return []
    who = person(by)
    if who is None or not may(who, "submit_task"):
        return []
    jobs = (_delegated(session["session_id"], agent, who, first_place - 1) for agent in AGENTS)
    return [job_id for job_id in jobs if job_id]


def person(user_id: str) -> Principal | None:
    """Somebody with the rights they have now; None if they have no account here, or it is disabled."""
    row = db.row(
        "SELECT user_id::text, email, role FROM users WHERE user_id::text = %(id)s AND enabled", id=user_id
    )
    return Principal(user_id=row["user_id"], email=row["email"], role=row["role"]) if row else None


def _delegated(session_id: str, agent_id: str, who: Principal, since: int) -> str | None:
    if _waits(session_id, agent_id):
        return None
    try:
        job = delegating.delegate(
            session_id,
            agent_id=agent_id,
            parameters={"session_id": session_id, "since": since},
            priority="low",
            who=who,
        )
    except CallboardError as refused:
        log.warning("session.not_processed", session_id=session_id, agent_id=agent_id, error=str(refused))
        return None
    return str(job["job_id"])


def _waits(session_id: str, agent_id: str) -> bool:
    """Whether such a job has not begun, and cannot until this transaction is over: it must see what was said in it."""
    return bool(
        db.value(
            """SELECT true FROM jobs WHERE session_id = %(session)s AND agent_id = %(agent)s
               AND status IN ('pending', 'queued', 'retry') LIMIT 1 FOR UPDATE SKIP LOCKED""",
            session=session_id,
            agent=agent_id,
        )
    )
