"""How far a list of jobs looks for what no index knows: words, errors, costs, the ends of ids, what is left out.

Such a filter is asked of the newest SEARCHED jobs that fit its other conditions, so that a rare word costs no more in a
million jobs than in a hundred thousand. Where the look ends is told (`horizon`): whoever shows the list says so, and
goes on behind it by the cursor.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.db import Row, db
from app.jobs import conditions
from app.kept import Kept

if TYPE_CHECKING:
    from app.jobs.queries import Filter

SEARCHED = 50_000
FEW = 20_000
"""Jobs with a tag are sorted, rather than looked for from the newest job on, if there are no more of them than this."""
SLACK = timedelta(hours=1)
"""By so much the clock that makes ids may be behind that of the database."""

# What must be read in the rows themselves, and how a filter says that it does not ask for it.
_UNKNOWN: dict[str, Any] = {
    "text": None, "texts": (), "errors": (), "cost": None, "priority_rank": None, "priorities": (), "pool": None,
    "pools": (), "not_agents": (), "not_pools": (), "not_tags": (),
}  # fmt: skip

_kept = Kept(seconds=30, most=1000)
forget = _kept.forget


def horizon(chosen: Filter, before: tuple[datetime, str] | None = None) -> Row | None:
    """The last job that a list of `chosen` below `before` looks at, {submitted_at, job_id}; None: it looks at all.

    At most half a minute old: what was submitted since is looked at as well.
    """
    sought = _sought(chosen)
    if not sought:
        return None
    rest = replace(chosen, **sought)
    key = (
        SEARCHED,
        replace(rest, since=None, until=None),
        _minute(rest.since),
        _minute(rest.until),
        bool(chosen.errors),
        before,
    )
    found: Row | None = _kept.answer(key, lambda: _end(rest, before, failed=bool(chosen.errors)))
    return found


def bounds(chosen: Filter, before: tuple[datetime, str] | None = None) -> tuple[str, dict[str, Any]]:
    """The SQL conditions, to be added to those of `chosen`, that keep a list within its reach, and their values."""
    parts, values = [""], {}
    if before:
        parts.append("jobs.job_id < %(reach_before)s::uuid")
        values["reach_before"] = before[1]
    if end := horizon(chosen, before):
        parts.append("jobs.job_id >= %(reach_end)s::uuid")
        values["reach_end"] = end["job_id"]
    return " AND ".join(parts), values


def order(chosen: Filter) -> str:
    """By what a list is sorted. The text of an id sorts as the id does, but no index offers it.

    Postgres thinks that jobs with a tag lie evenly among all. If they are all old, looking for fifty of them from the
    newest job on reads every job there is.
    """
    tags = (*((chosen.tag,),) * bool(chosen.tag), *chosen.tags)
    if not tags:
        return "jobs.job_id"
    few: bool = _kept.answer((FEW, tags), lambda: _is_few(chosen))
    return "jobs.job_id::text" if few else "jobs.job_id"


def least_id(since: datetime) -> str:
    """No job submitted at `since` or later has a smaller id, because ids are UUIDv7 and begin with their time."""
    return f"{max(0, int((since - SLACK).timestamp() * 1000)):012x}".ljust(32, "0")


def _sought(chosen: Filter) -> dict[str, Any]:
    """Which conditions of `chosen` no index knows, and their values in a filter without them."""
    found = {name: nothing for name, nothing in _UNKNOWN.items() if getattr(chosen, name) not in (None, ())}
    known = tuple(word for word in chosen.texts if conditions.is_whole(word))
    if known == chosen.texts:
        found.pop("texts", None)
    else:
        found["texts"] = known
    if any(conditions.is_ending(part) for part in chosen.ids):
        found["ids"] = ()
    return found


def _end(rest: Filter, before: tuple[datetime, str] | None, *, failed: bool) -> Row | None:
    where, values = rest.where()
    if before:
        where += " AND jobs.job_id < %(before_id)s::uuid"
    if failed:
        where += " AND error IS NOT NULL"
    return db.row(
        f"""SELECT submitted_at, job_id::text FROM jobs WHERE job_id = (
                SELECT job_id FROM jobs WHERE {where} ORDER BY jobs.job_id DESC OFFSET %(searched)s LIMIT 1)""",
        **values,
        before_id=before and before[1],
        searched=SEARCHED,
    )


def _is_few(chosen: Filter) -> bool:
    where, values = type(chosen)(tag=chosen.tag, tags=chosen.tags).where()
    count = db.value(
        f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {where} LIMIT %(most)s) x", **values, most=FEW + 1
    )
    return int(count) <= FEW


def _minute(moment: datetime | None) -> int | None:
    return int(moment.timestamp() // 60) if moment else None
