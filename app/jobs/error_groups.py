"""Dead letters by what went wrong: how many, since when, and what people said of each kind.

Nothing is said of a kind that is open. `resolved` holds until it comes back: then it is open again by itself, and
counts what came since. `ignored` holds until somebody opens it again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app.db import Row, db, storable
from app.errors import Invalid, NotFound
from app.jobs.dead_letters import DESCRIBED, STATE, WINDOWS
from app.kept import Kept

LONGEST_NOTE = 2000
# The columns of the table: how many failed in so long, and ever.
COLUMNS = ("1h", "3h", "24h", "3d", "7d")
MOST_GROUPS = 100
MOST_AGENTS = 50
TREND_DAYS, TREND_STEPS = 7, 28
_kept = Kept(3.0, 100)


def forget() -> None:
    """Count anew at the next look."""
    _kept.forget()


def table(state: str = "open", *, sent_again: bool = False) -> dict[str, Any]:
    """How many letters of each kind and of each agent failed in each window; kept for some seconds.

    {groups: [{group_key, agent_id, error_type, error_message, counts: {window: n}, first_at, last_at, user_error,
    status, note, changed_by, changed_at, trend: [n, …]}], agents: [{agent_id, counts, last_at}], more}. `sent_again`
    counts those that were sent in again, too.
    """
    found: dict[str, Any] = _kept.answer((state, sent_again), lambda: _table(state, sent_again=sent_again))
    return found


def _table(state: str, *, sent_again: bool) -> dict[str, Any]:
    rows = db.rows(
        _TABLE, state=state, sent_again=sent_again, groups=MOST_GROUPS + 1, agents=MOST_AGENTS, owner=None
    )
    groups = [_counted(row) for row in rows if row["group_key"] is not None and row["status"] == state]
    agents = [_counted(row) for row in rows if row["group_key"] is None]
    shown = groups[:MOST_GROUPS]
    trends = _trends([group["group_key"] for group in shown])
    for group in shown:
        group["trend"] = trends[group["group_key"]]
    return {"groups": shown, "agents": agents, "more": len(groups) > MOST_GROUPS}


def _counted(row: Row) -> Row:
    counts = {window: row.pop(f"in_{window}") for window in (*COLUMNS, "all")}
    return row | {"counts": counts}


_IN_WINDOWS = ", ".join(
    f"count(*) FILTER (WHERE failed_at >= now() - interval '{WINDOWS[window].total_seconds():.0f} s') AS \"in_{window}\""
    for window in COLUMNS
)
# One look over the letters for both tables; `kind` is the place in each.
_TABLE = f"""
    WITH letters AS (
        SELECT dead_letters.group_key, dead_letters.agent_id, dead_letters.failed_at, dead_letters.user_error
        FROM dead_letters LEFT JOIN error_groups said USING (group_key)
        WHERE (%(sent_again)s OR NOT resubmitted) AND {STATE} = %(state)s)
    , counted AS (
        SELECT group_key, agent_id AS of_agent, {_IN_WINDOWS}, count(*) AS in_all, min(failed_at) AS first_at,
               max(failed_at) AS last_at, bool_and(user_error) AS user_error
        FROM letters GROUP BY GROUPING SETS ((group_key), (agent_id)))
    , found AS (
        (SELECT * FROM counted WHERE group_key IS NOT NULL ORDER BY last_at DESC LIMIT %(groups)s))
    , described AS ({DESCRIBED})
    (SELECT group_key, agent_id, error_type, error_message, newest_dlq_id, "in_1h", "in_3h", "in_24h", "in_3d",
            "in_7d", in_all, first_at, last_at, user_error, status, note, changed_by, changed_at
     FROM described ORDER BY in_all DESC, last_at DESC)
    UNION ALL
    (SELECT NULL, of_agent, NULL, NULL, NULL, "in_1h", "in_3h", "in_24h", "in_3d", "in_7d", in_all, first_at, last_at,
            user_error, NULL, NULL, NULL, NULL
     FROM counted WHERE group_key IS NULL ORDER BY in_all DESC LIMIT %(agents)s)"""


def _trends(group_keys: list[str]) -> dict[str, list[int]]:
    """How many of each kind failed in each quarter of a day of the last week, oldest first."""
    rows = db.rows(
        """SELECT group_key, least(%(steps)s - 1, floor(extract(epoch FROM now() - failed_at) / %(step)s))::int AS ago,
                  count(*) AS n
           FROM dead_letters WHERE group_key = ANY(%(keys)s) AND failed_at >= now() - %(span)s GROUP BY 1, 2""",
        keys=group_keys,
        steps=TREND_STEPS,
        step=TREND_DAYS * 86_400 / TREND_STEPS,
        span=timedelta(days=TREND_DAYS),
    )
    trends = {key: [0] * TREND_STEPS for key in group_keys}
    for row in rows:
        trends[row["group_key"]][TREND_STEPS - 1 - max(0, row["ago"])] = row["n"]
    return trends


def counts(state: str | None = None) -> dict[str, int]:
    """How many kinds there are in each state, of letters that were not sent in again; kept for some seconds."""
    found: dict[str, int] = _kept.answer(("counts", state), _counts)
    return found


def _counts() -> dict[str, int]:
    rows = db.rows(
        """WITH kinds AS (SELECT group_key, max(failed_at) AS last_at FROM dead_letters WHERE NOT resubmitted
                          GROUP BY group_key)
           SELECT CASE WHEN said.status = 'resolved' AND last_at > said.changed_at THEN 'open'
                       ELSE coalesce(said.status, 'open') END AS state, count(*) AS n
           FROM kinds LEFT JOIN error_groups said USING (group_key) GROUP BY 1"""
    )
    return {row["state"]: row["n"] for row in rows}


def get(group_key: str) -> Row:
    """One kind: what went wrong, since when, how often, and what was said of it; NotFound if nothing failed so.

    Besides what `table` says: {letters, unsent, agents: [{agent_id, n}], versions: [{agent_id, version, number, n}],
    trend}; versions are told of jobs that are still kept.
    """
    row = db.row(
        f"""WITH found AS (
                SELECT group_key, count(*) AS letters, count(*) FILTER (WHERE NOT resubmitted) AS unsent,
                       min(failed_at) AS first_at, max(failed_at) AS last_at, bool_and(user_error) AS user_error
                FROM dead_letters WHERE group_key = %(key)s GROUP BY group_key)
            {DESCRIBED}""",
        key=group_key,
        owner=None,
    )
    if row is None:
        raise NotFound("There are no dead letters of this kind.")
    return row | {"trend": _trends([group_key])[group_key], "versions": _versions(group_key)}


def _versions(group_key: str, limit: int = 10) -> list[Row]:
    return db.rows(
        """SELECT l.agent_id, j.agent_version AS version, v.number, count(*) AS n, max(l.failed_at) AS last_at
           FROM (SELECT agent_id, job_id, failed_at FROM dead_letters WHERE group_key = %(key)s
                 ORDER BY failed_at DESC LIMIT 1000) l
           JOIN jobs j USING (job_id)
           LEFT JOIN agent_versions v ON v.agent_id = j.agent_id AND v.version = j.agent_version
           GROUP BY 1, 2, 3 ORDER BY max(l.failed_at) DESC LIMIT %(limit)s""",
        key=group_key,
        limit=limit,
    )


def say(group_key: str, status: str, *, by: str, note: str | None = None) -> Row:
    """Call a kind `resolved`, `ignored` or `open`; answers it as `get` does. NotFound if nothing failed so."""
    _check(note)
    get(group_key)
    if status == "open":
        db.run("DELETE FROM error_groups WHERE group_key = %(key)s", key=group_key)
    else:
        db.run(
            """INSERT INTO error_groups (group_key, status, note, changed_by)
               VALUES (%(key)s, %(status)s, %(note)s, %(by)s)
               ON CONFLICT (group_key) DO UPDATE SET status = excluded.status, note = excluded.note,
                   changed_by = excluded.changed_by, changed_at = clock_timestamp()""",
            key=group_key,
            status=status,
            note=storable(note.strip()) if note and note.strip() else None,
            by=by,
        )
    db.after_commit(forget)
    return get(group_key)


def _check(note: str | None) -> None:
    if note and len(note) > LONGEST_NOTE:
        raise Invalid("The note is too long.", [("/note", f"at most {LONGEST_NOTE:,} characters")])
