"""Charts' memory: what ended in each minute and hour, and how full each pool was, written down as time goes by.

`roll_up` sums the history of finished jobs (task_history) by minute and by hour, agent and owner; `series` answers
from these sums, and from the history itself for what is not summed yet: a chart is right to the second, however far
behind the sums are. Nothing here is the only record of anything: sums that are lost are made again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from app import clock
from app.db import Row, db
from app.kept import Kept
from app.replica import may_lag

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SETTLED = timedelta(minutes=2)
"""What ended longer ago than this stands in the history: whoever ends a job commits within seconds."""
KEPT_MINUTES = timedelta(days=8)
"""How long sums of minutes and samples of pools are kept; sums of hours stay as long as the history."""
CHUNK = 50_000
"""So many lines of history are summed in one transaction, or one step's where it has more."""
AGAIN = {MINUTE: 3, HOUR: 1}
"""So many of the newest steps are summed anew whenever something follows them."""


class Window(NamedTuple):
    """A time that ends now, and the even parts in which it is told."""

    lasts: timedelta
    parts: int

    @property
    def step(self) -> timedelta:
        """How long one part is."""
        return self.lasts / self.parts


WINDOWS = {
    "1h": Window(HOUR, 12),
    "6h": Window(6 * HOUR, 24),
    "24h": Window(DAY, 24),
    "7d": Window(7 * DAY, 28),
    "30d": Window(30 * DAY, 30),
}
SAMPLED = {
    "1h": Window(HOUR, 60),
    "6h": Window(6 * HOUR, 72),
    "24h": Window(DAY, 96),
    "7d": Window(7 * DAY, 84),
}
"""The times of which samples of pools are told."""

_kept = Kept(seconds=5, most=500)
forget = _kept.forget


def floor(moment: datetime, step: timedelta) -> datetime:
    """The whole step in which `moment` lies; days begin at midnight UTC."""
    return moment - (moment - EPOCH) % step


# -- writing


def roll_up() -> bool:
    """Sum what ended since the last time, at most CHUNK lines of history each; answers whether there is more to do.

    For one transaction, one process at a time. Doing it again changes nothing.
    """
    now = clock.now()
    more = [
        _advance(MINUTE, floor(now - SETTLED, MINUTE), oldest=floor(now - KEPT_MINUTES, MINUTE)),
        _advance(HOUR, floor(now - SETTLED, HOUR)),
    ]
    return any(more)


def _advance(step: timedelta, until: datetime, *, oldest: datetime = EPOCH) -> bool:
    done = _done(step)
    news = _nth(0, max(done or oldest, oldest), until)
    if news is None:
        return False
    begin = floor(news, step)
    ahead = _nth(CHUNK, begin, until)
    end = max(floor(ahead, step), begin + step) if ahead else until
    _write(step, done - AGAIN[step] * step if done else begin, end)
    return end < until


def _done(step: timedelta) -> datetime | None:
    """The end of the newest step that is summed; None before the first."""
    newest = db.value("SELECT max(at) FROM job_rollups WHERE step = %(step)s", step=int(step.total_seconds()))
    return newest + step if newest else None


def _nth(place: int, since: datetime, until: datetime) -> datetime | None:
    """When the job ended that comes after `place` others; None where there are not so many."""
    ended: datetime | None = db.value(
        """SELECT completed_at FROM task_history WHERE completed_at >= %(since)s AND completed_at < %(until)s
           ORDER BY completed_at OFFSET %(place)s LIMIT 1""",
        place=place,
        since=since,
        until=until,
    )
    return ended


def _write(step: timedelta, since: datetime, until: datetime) -> None:
    values = {"step": int(step.total_seconds()), "width": step, "since": since, "until": until}
    db.run(
        "DELETE FROM job_rollups WHERE step = %(step)s AND at >= %(since)s AND at < %(until)s",
        **values,
    )
    db.run(
        f"""INSERT INTO job_rollups (step, at, agent_id, submitted_by, completed, failed, cancelled, run_seconds,
                                     wait_seconds, started)
            SELECT %(step)s, date_bin(%(width)s, completed_at, 'epoch'), agent_id, submitted_by, {_SUMS}
            FROM task_history WHERE completed_at >= %(since)s AND completed_at < %(until)s GROUP BY 1, 2, 3, 4""",
        **values,
    )


_SUMS = """count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'cancelled'),
    coalesce(sum(duration_seconds) FILTER (WHERE status = 'completed'), 0), coalesce(sum(wait_seconds), 0),
    count(wait_seconds)"""


def sample_pools(ttl_seconds: float = 60) -> int:
    """Write down how full each pool is, once a minute; answers how many lines that were.

    A worker of several pools counts in each; one that was silent for `ttl_seconds` does not count.
    """
    at = floor(clock.now(), MINUTE)
    if db.value("SELECT 1 FROM pool_samples WHERE at = %(at)s LIMIT 1", at=at):
        return 0
    return db.run(
        """INSERT INTO pool_samples (at, pool, waiting, oldest_seconds, running, threads)
           SELECT %(at)s, q.pool, coalesce(w.waiting, 0), w.oldest, coalesce(r.running, 0), coalesce(t.threads, 0)
           FROM queues q
           LEFT JOIN (SELECT pool, count(*) AS waiting, extract(epoch FROM now() - min(run_at)) AS oldest FROM jobs
                      WHERE status IN ('pending','queued','retry') AND run_at <= now() GROUP BY 1) w USING (pool)
           LEFT JOIN (SELECT pool, count(*) AS running FROM jobs WHERE status = 'running' GROUP BY 1) r USING (pool)
           LEFT JOIN (SELECT unnest(pools) AS pool, sum(threads) AS threads FROM workers
                      WHERE seen_at >= clock_timestamp() - %(ttl)s * interval '1 s' AND NOT draining AND wanted IS NULL
                      GROUP BY 1) t USING (pool)
           ON CONFLICT DO NOTHING""",
        at=at,
        ttl=ttl_seconds,
    )


def purge(history_days: int) -> int:
    """Forget what is past its retention; answers how many lines."""
    now = clock.now()
    oldest = {"minutes": now - KEPT_MINUTES, "hours": now - timedelta(days=history_days)}
    gone = db.run(
        """DELETE FROM job_rollups
           WHERE (step = 60 AND at < %(minutes)s) OR (step = 3600 AND at < %(hours)s)""",
        **oldest,
    )
    return gone + db.run("DELETE FROM pool_samples WHERE at < %(minutes)s", **oldest)


# -- reading


def series(window: str, *, owner: str | None = None, agent_id: str | None = None) -> list[Row]:
    """What ended in one of WINDOWS, part by part, oldest first; of `owner` or of one agent where told; seconds old.

    Parts begin at whole steps of the clock, and the last one is under way: all together they are a little shorter
    than the window. Each {at, until, completed, failed, cancelled, run_seconds (mean of the completed), wait_seconds
    (mean of all that started), success_rate and error_rate (of those not cancelled)}; what nothing is known of is None.
    """
    answer: list[Row] = _kept.answer(
        ("series", window, owner, agent_id), lambda: _series(WINDOWS[window], owner, agent_id)
    )
    return answer


@may_lag
def _series(window: Window, owner: str | None, agent_id: str | None) -> list[Row]:
    since = floor(clock.now(), window.step) + window.step - window.lasts
    return [
        {"at": since + place * window.step, "until": since + (place + 1) * window.step} | told(sums)
        for place, sums in enumerate(_sums(since, window.step, window.parts, owner, agent_id))
    ]


@may_lag
def compared(lasts: timedelta, *, owner: str | None = None, agent_id: str | None = None) -> tuple[Row, Row]:
    """What ended in the time `lasts` until now, and in as much time before that; whole minutes, 3 days at most.

    Each as a part of `series` has it.
    """
    since = floor(clock.now(), MINUTE) - 2 * lasts
    before, last = _sums(since, lasts, 2, owner, agent_id)
    return told(last), told(before)


def told(sums: Row) -> Row:
    """Sums as figures: rates of those not cancelled, means of those that have a time."""
    done, failed = int(sums.get("completed") or 0), int(sums.get("failed") or 0)
    started, counted = int(sums.get("started") or 0), done + failed
    return {
        "completed": done,
        "failed": failed,
        "cancelled": int(sums.get("cancelled") or 0),
        "run_seconds": sums["run_seconds"] / done if done else None,
        "wait_seconds": sums["wait_seconds"] / started if started else None,
        "success_rate": done / counted if counted else None,
        "error_rate": failed / counted if counted else None,
    }


def _sums(since: datetime, step: timedelta, parts: int, owner: str | None, agent_id: str | None) -> list[Row]:
    """The sums of each part: of hours where parts are whole hours, of minutes after those, of the history after these."""
    hours, minutes = _summed_until(since, step)
    rows = db.rows(
        _READ,
        since=since,
        hours=hours,
        minutes=minutes,
        step=step.total_seconds(),
        last=parts - 1,
        owner=owner,
        agent=agent_id,
    )
    found: dict[int, Row] = {row["place"]: row for row in rows}
    return [found.get(place, {}) for place in range(parts)]


def _summed_until(since: datetime, step: timedelta) -> tuple[datetime, datetime]:
    """Until when sums of hours, and then of minutes, can be trusted for a time that begins at `since`."""
    now = clock.now()
    in_hours = step % HOUR == timedelta(0) and floor(since, HOUR) == since
    hours = min(_done(HOUR) or since, floor(now - SETTLED, HOUR)) if in_hours else since
    hours = max(hours, since)
    minutes = min(_done(MINUTE) or since, floor(now - SETTLED, MINUTE))
    if hours < now - KEPT_MINUTES + DAY:  # so far back there may be no minutes, and the history has to do
        return hours, hours
    return hours, max(minutes, hours)


_NAMES = ("completed", "failed", "cancelled", "run_seconds", "wait_seconds", "started")
_READ = f"""
    WITH line AS (
        SELECT at, {", ".join(_NAMES)} FROM job_rollups
        WHERE ((step = 3600 AND at >= %(since)s AND at < %(hours)s)
            OR (step = 60 AND at >= %(hours)s AND at < %(minutes)s)) AND {{mine}}
        UNION ALL
        SELECT date_bin('1 minute', completed_at, 'epoch'), {_SUMS} FROM task_history
        WHERE completed_at >= %(minutes)s AND {{mine}} GROUP BY 1)
    SELECT least(%(last)s, floor(extract(epoch FROM at - %(since)s::timestamptz) / %(step)s))::int AS place,
           {", ".join(f"sum({name}) AS {name}" for name in _NAMES)}
    FROM line GROUP BY 1
""".format(
    mine="(%(owner)s::text IS NULL OR submitted_by = %(owner)s) AND (%(agent)s::text IS NULL OR agent_id = %(agent)s)"
)


def pool_series(pool: str, window: str = "1h") -> list[Row]:
    """How full a pool was in one of SAMPLED, part by part, oldest first, up to some seconds old.

    Each {at, waiting, oldest_seconds, running, threads}: the most of each in that part; None where nobody looked.
    """
    pools: dict[str, list[Row]] = _kept.answer(("pools", window), lambda: _pools(SAMPLED[window]))
    return pools.get(pool) or [_unseen(point["at"]) for point in pools[""]]


@may_lag
def _pools(window: Window) -> dict[str, list[Row]]:
    since = floor(clock.now(), window.step) + window.step - window.lasts
    rows = db.rows(
        """SELECT pool, floor(extract(epoch FROM at - %(since)s::timestamptz) / %(step)s)::int AS place,
                  max(waiting) AS waiting, max(oldest_seconds) AS oldest_seconds, max(running) AS running,
                  max(threads) AS threads
           FROM pool_samples WHERE at >= %(since)s GROUP BY 1, 2""",
        since=since,
        step=window.step.total_seconds(),
    )
    moments = [since + place * window.step for place in range(window.parts)]
    pools: dict[str, list[Row]] = {"": [_unseen(at) for at in moments]}
    for row in rows:
        points = pools.setdefault(row["pool"], [_unseen(at) for at in moments])
        if row["place"] < window.parts:
            points[row["place"]] |= {name: row[name] for name in _SEEN}
    return pools


_SEEN = ("waiting", "oldest_seconds", "running", "threads")


def _unseen(at: datetime) -> dict[str, Any]:
    return {"at": at, **dict.fromkeys(_SEEN)}
