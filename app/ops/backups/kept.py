"""Which backups are kept on a given day: the newest of so many days, weeks and months, and never none.

Days, weeks (from Monday) and months are those of UTC that have a backup at all: when nobody makes any more, the old
ones stay. What somebody asked for, and what was made before an upgrade, stays for at least SPARED besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Why = Literal["daily", "weekly", "monthly", "last", "asked for"]

SPARED = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How many days, weeks and months are kept."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 12


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One good backup, as far as it matters here."""

    backup_id: str
    at: datetime
    kind: str = "daily"
    verified: bool = False


def kept(copies: Iterable[Copy], keep: Keep, now: datetime) -> dict[str, list[Why]]:
    """Those that stay, each with why; whatever is not in the answer may go."""
    found = sorted(copies, key=lambda copy: copy.at, reverse=True)
    why: dict[str, list[Why]] = {}

    def stay(copy: Copy, reason: Why) -> None:
        why.setdefault(copy.backup_id, []).append(reason)

    spans: tuple[tuple[Why, int, Callable[[datetime], object]], ...] = (
        ("daily", keep.daily, lambda at: at.date()),
        ("weekly", keep.weekly, lambda at: at.isocalendar()[:2]),
        ("monthly", keep.monthly, lambda at: (at.year, at.month)),
    )
    for reason, most, span in spans:
        for copy in _best_of_each(found, span)[:most]:
            stay(copy, reason)
    for copy in _last(found):
        stay(copy, "last")
    for copy in found:
        if copy.kind != "daily" and now - copy.at < SPARED:
            stay(copy, "asked for")
    return why


def _best_of_each(found: list[Copy], span: Callable[[datetime], object]) -> list[Copy]:
    """Of each span one, newest span first: the newest that was proved, else the newest."""
    best: dict[object, Copy] = {}
    for copy in found:
        there = best.setdefault(span(copy.at.astimezone(UTC)), copy)
        if copy.verified and not there.verified:
            best[span(copy.at.astimezone(UTC))] = copy
    return list(best.values())


def _last(found: list[Copy]) -> list[Copy]:
    """The newest of all, and the newest that was proved."""
    proved = [copy for copy in found if copy.verified]
    return list({copy.backup_id: copy for copy in [*found[:1], *proved[:1]]}.values())
