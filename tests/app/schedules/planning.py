"""Short ways to make schedules, and to let their times come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from app import clock
from app.agents import registry
from app.db import Row, db
from app.schedules import changes, due, queries
from app.schedules.changes import Wish

OWNER = "ada"


def at(text: str) -> datetime:
    """A moment in UTC: `2026-03-29 01:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ago(**how_long: float) -> datetime:
    """A moment in the past."""
    return clock.now() - timedelta(**how_long)


def minute_ago(minutes: float) -> datetime:
    """A whole minute in the past of the present transaction, as times of cron are."""
    moment: datetime = db.value("SELECT date_trunc('minute', now())")
    return moment - timedelta(minutes=minutes)


def made(**wish: Any) -> Row:
    """A schedule; of the agent test-noop and every minute unless told."""
    told: dict[str, Any] = {"submitted_by": OWNER} | wish
    if not {"agent_id", "template_name", "definition"} & told.keys():
        told["agent_id"] = "test-noop"
    if not {"cron_expression", "execute_at"} & told.keys():
        told["cron_expression"] = "* * * * *"
    return changes.create(Wish(**told))


def late(moment: datetime, **wish: Any) -> str:
    """The id of a schedule that nobody fired since `moment`."""
    schedule_id = str(made(**wish)["schedule_id"])
    come(schedule_id, moment)
    return schedule_id


def come(schedule_id: str, moment: datetime) -> None:
    """Let it be due since `moment`."""
    db.run(
        """UPDATE schedules SET next_fire_at = %(at)s,
                  execute_at = CASE WHEN schedule_type = 'one_time' THEN %(at)s ELSE execute_at END
           WHERE schedule_id = %(id)s""",
        id=schedule_id,
        at=moment,
    )


def fire() -> list[due.News]:
    """Fire until nothing is due; answers what failed or was missed."""
    news: list[due.News] = []
    while (done := due.fire()).schedules:
        news += done.news
    news += due.fire_queued().news
    return news


def outcomes(schedule_id: str) -> list[str]:
    """What became of its times, oldest first."""
    return [row["outcome"] for row in reversed(queries.fires(schedule_id, limit=1000))]


def jobs(schedule_id: str) -> list[Row]:
    """Its jobs in the order of their times."""
    return db.rows(
        """SELECT j.*, f.slot_at FROM schedule_fires f JOIN jobs j USING (job_id)
           WHERE f.schedule_id = %(id)s ORDER BY f.slot_at""",
        id=schedule_id,
    )


def remove_agent(agent_id: str) -> None:
    """Take an agent away, and every process knows of it."""
    db.run("DELETE FROM agents WHERE agent_id = %(id)s", id=agent_id)
    registry.forget()


def end_jobs(schedule_id: str) -> None:
    """Let all its jobs have ended, as if somebody had cancelled them."""
    db.run(
        """UPDATE jobs SET status = 'cancelled', cancel_requested_at = now(), finished_at = now()
           WHERE schedule_id = %(id)s AND finished_at IS NULL""",
        id=schedule_id,
    )
