"""How polling goes: as the server answered and as pages felt it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from app.db import Row, db
from app.polling import thresholds
from app.polling.minutes import SPREAD_MS

PRESENT_MINUTES = 5
"""What is now: of so many minutes the health is told."""

VIEWS = {"server": "server", "client": "pages"}


class Window(NamedTuple):
    """A time that ends now, and the parts in which its course is told."""

    minutes: int
    step_minutes: int


WINDOWS = {"1h": Window(60, 1), "24h": Window(1440, 15)}
USUAL_WINDOW = "1h"

_SUMMED = """
    sum(polls)::bigint AS polls, sum(unchanged)::bigint AS unchanged, sum(failures)::bigint AS failures,
    sum(timeouts)::bigint AS timeouts, sum(ms_sum) AS ms_sum, max(ms_most) AS ms_most,
    sum(recoveries)::bigint AS recoveries, sum(recovery_seconds_sum) AS recovery_seconds_sum,
    max(recovery_seconds_most) AS recovery_seconds_most, sum(queries)::bigint AS queries,
    sum(query_ms_sum) AS query_ms_sum, max(query_ms_most) AS query_ms_most"""
_SPREAD = ", ".join(
    f"sum(ms_spread[{place}])::bigint AS spread_{place}" for place in range(1, len(SPREAD_MS) + 2)
)


def health(window: str = USUAL_WINDOW) -> Row:
    """How polling is now and was in one of WINDOWS.

    {status, checks (thresholds.judged), present_minutes, now {server, pages}, window, figures {server, pages},
    open_pages, series {server, pages: [{at, polls, failures, unchanged, ms, query_ms}]}}; each figures as `figures` has them.
    """
    present = figures(PRESENT_MINUTES)
    worst = worse(present)
    return {
        "status": thresholds.state(worst),
        "checks": thresholds.judged(worst),
        "present_minutes": PRESENT_MINUTES,
        "now": present,
        "window": window,
        "figures": figures(WINDOWS[window].minutes),
        "open_pages": open_pages(),
        "series": series(window),
    }


def figures(minutes: int) -> dict[str, Row]:
    """Figures of the last so many minutes, by whose view: server, pages; rates are 0 to 1, None where nothing is known."""
    rows = db.rows(
        f"""SELECT seen_by, {_SUMMED}, {_SPREAD} FROM polling_minutes
            WHERE at > now() - (%(minutes)s + 1) * interval '1 minute' GROUP BY 1""",
        minutes=minutes,
    )
    found = {VIEWS[row["seen_by"]]: _figures(row) for row in rows}
    return {view: found.get(view) or _figures({}) for view in VIEWS.values()}


def _figures(row: Row) -> Row:
    polls, recoveries, queries = (row.get(name) or 0 for name in ("polls", "recoveries", "queries"))
    failures = row.get("failures") or 0
    spread = [int(row.get(f"spread_{place}") or 0) for place in range(1, len(SPREAD_MS) + 2)]
    return {
        "polls": polls,
        "failures": failures,
        "timeouts": row.get("timeouts") or 0,
        "success_rate": 1 - failures / polls if polls else None,
        "failure_rate": failures / polls if polls else None,
        "unchanged_rate": (row.get("unchanged") or 0) / polls if polls else None,
        "average_ms": row["ms_sum"] / polls if polls else None,
        "p95_ms": percentile(spread, row.get("ms_most") or 0, 0.95),
        "most_ms": row["ms_most"] if polls else None,
        "recoveries": recoveries,
        "recovery_seconds": row["recovery_seconds_sum"] / recoveries if recoveries else None,
        "recovery_seconds_most": row["recovery_seconds_most"] if recoveries else None,
        "queries_per_poll": queries / polls if polls and queries else None,
        "query_ms": row["query_ms_sum"] / queries if queries else None,
        "query_most_ms": row["query_ms_most"] if queries else None,
    }


def percentile(spread: Sequence[int], most: float, share: float) -> float | None:
    """Within how many milliseconds that share of the polls was answered, read between the bounds of the spread."""
    total = sum(spread)
    if not total:
        return None
    wanted, passed = share * total, 0
    for place, amount in enumerate(spread):
        if amount and passed + amount >= wanted:
            low = float(SPREAD_MS[place - 1]) if place else 0.0
            high = float(SPREAD_MS[place]) if place < len(SPREAD_MS) else max(most, low)
            return min(low + (high - low) * (wanted - passed) / amount, most or high)
        passed += amount
    return most


def worse(found: dict[str, Row]) -> dict[str, float | None]:
    """Each figure that has a threshold, from the view that is worse off; None of too few polls."""
    told = {
        "failure_rate": [_of_enough(view, "failure_rate") for view in found.values()],
        "response_seconds": [_seconds(_of_enough(view, "average_ms")) for view in found.values()],
        "recovery_seconds": [view["recovery_seconds"] for view in found.values()],
        "query_seconds": [_seconds(view["query_most_ms"]) for view in found.values()],
    }
    return {
        name: max((value for value in values if value is not None), default=None)
        for name, values in told.items()
    }


def _of_enough(view: Row, name: str) -> float | None:
    value: float | None = view[name] if view["polls"] >= thresholds.FEWEST else None
    return value


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def open_pages() -> int:
    """How many pages reported in the last whole minute, or in the present one if those are more already."""
    return int(
        db.value(
            """SELECT coalesce(max(pages), 0) FROM polling_minutes
               WHERE seen_by = 'client' AND at >= date_trunc('minute', now()) - interval '1 minute'"""
        )
    )


def series(window: str = USUAL_WINDOW) -> dict[str, list[Row]]:
    """The course of one of WINDOWS by whose view, oldest first, empty parts included."""
    chosen = WINDOWS[window]
    rows = db.rows(
        """SELECT at, seen_by, coalesce(polls, 0) AS polls, coalesce(failures, 0) AS failures,
                  coalesce(unchanged, 0) AS unchanged, ms, query_ms
           FROM (SELECT date_bin(%(step)s * interval '1 minute', now(), '2000-01-01') AS last) t
           CROSS JOIN generate_series(last - %(before)s * interval '1 minute', last, %(step)s * interval '1 minute') AS part(at)
           CROSS JOIN (VALUES ('server'), ('client')) AS view(seen_by)
           LEFT JOIN (SELECT date_bin(%(step)s * interval '1 minute', at, '2000-01-01') AS at, seen_by,
                             sum(polls)::bigint AS polls, sum(failures)::bigint AS failures,
                             sum(unchanged)::bigint AS unchanged, sum(ms_sum) / nullif(sum(polls), 0) AS ms,
                             max(query_ms_most) AS query_ms
                      FROM polling_minutes WHERE at > now() - (%(before)s + %(step)s) * interval '1 minute'
                      GROUP BY 1, 2) m USING (at, seen_by)
           ORDER BY at""",
        step=chosen.step_minutes,
        before=chosen.minutes - chosen.step_minutes,
    )
    told: dict[str, list[Row]] = {view: [] for view in VIEWS.values()}
    for row in rows:
        told[VIEWS[row.pop("seen_by")]].append(row)
    return told


def as_numbers(figures: Row, names: Iterable[str]) -> dict[str, Any]:
    """Those of the figures that are named, rounded for answers."""
    return {
        name: round(figures[name], 4) if isinstance(figures[name], float) else figures[name] for name in names
    }
