"""Lines of history, for tests of figures; inside `db.quick()`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app import clock
from app.db import db
from tests import acting

NOW = datetime(2026, 3, 10, 12, 30, 20, tzinfo=UTC)


def ended(
    hours_ago: float = 1,
    *,
    status: str = "completed",
    seconds: float | None = 4.0,
    wait: float | None = 1.0,
    agent_id: str = "writer",
    owner: str = acting.OWNER,
) -> None:
    """A line of history as a finished job leaves it."""
    db.run(
        """INSERT INTO task_history (job_id, agent_id, submitted_by, priority_rank, status, wait_seconds,
                                     duration_seconds, completed_at)
           VALUES (gen_random_uuid(), %(agent)s, %(owner)s, 2, %(status)s, %(wait)s, %(seconds)s, %(at)s)""",
        agent=agent_id,
        owner=owner,
        status=status,
        wait=wait,
        seconds=seconds,
        at=clock.now() - timedelta(hours=hours_ago),
    )
