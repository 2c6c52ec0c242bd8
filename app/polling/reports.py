"""What open pages say of their own polls: failures that the server never sees are counted by them.

Anybody who is signed in may send one, so nothing in it is believed blindly: numbers are finite, fit together and
stay below what a page could have done in the time; and all that a report can do is add to a sum.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from app.errors import Invalid
from app.polling import minutes
from app.polling.minutes import SPREAD_MS, Tally

MOST_BYTES = 2048
MOST_SECONDS = 30 * 86_400
# One page at its shortest interval asks once a second; more is nobody who looks.
MOST_POLLS_A_MINUTE = 240
# A machine that slept in the middle of a poll tells of hours; it counts as very slow, and no more than that.
LONGEST_MS = 120_000.0
LONGEST_RECOVERY_SECONDS = 3600.0
# Reports come once a minute, and one when a page is left: only the former stand for a page that is open.
OPEN_SECONDS = 30

COUNTS = ("polls", "unchanged", "failures", "timeouts", "recoveries")
TIMES = {
    "ms_sum": 1e12,
    "ms_most": 1e10,
    "recovery_seconds_sum": 1e9,
    "recovery_seconds_most": 1e7,
    "seconds": MOST_SECONDS,
}
MOST_AT_ONCE = MOST_POLLS_A_MINUTE * 10
SLACK = 1.001
"""Sums of rounded numbers are a little off."""


def take(report: object) -> None:
    """Check a page's report and add it to the present minute; raises Invalid."""
    said = checked(report)
    tally = Tally(
        **{name: int(said[name]) for name in COUNTS},
        ms_sum=min(said["ms_sum"], said["polls"] * LONGEST_MS),
        ms_most=min(said["ms_most"], LONGEST_MS),
        recovery_seconds_sum=min(said["recovery_seconds_sum"], said["recoveries"] * LONGEST_RECOVERY_SECONDS),
        recovery_seconds_most=min(said["recovery_seconds_most"], LONGEST_RECOVERY_SECONDS),
        ms_spread=[int(amount) for amount in said["ms_spread"]],
        pages=int(said["seconds"] >= OPEN_SECONDS),
    )
    minutes.keep("client", {int(time.time() // 60): tally})


def checked(report: object) -> dict[str, Any]:
    """The report with what it left out as 0; raises Invalid with each field that cannot be."""
    if not isinstance(report, Mapping):
        raise Invalid("A report is a JSON object.", [("", "must be an object")])
    wrong = [(f"/{name}", "is not known") for name in report if name not in (*COUNTS, *TIMES, "ms_spread")]
    said: dict[str, Any] = {}
    for name in COUNTS:
        said[name] = _count(report.get(name, 0), f"/{name}", MOST_AT_ONCE, wrong)
    for name, most in TIMES.items():
        said[name] = _time(report.get(name, 0), f"/{name}", most, wrong)
    said["ms_spread"] = _spread(report.get("ms_spread", [0] * (len(SPREAD_MS) + 1)), wrong)
    wrong = wrong or _contradictions(said)
    if wrong:
        raise Invalid("The report cannot be right.", wrong[:20])
    return said


def _count(value: object, pointer: str, most: int, wrong: list[tuple[str, str]]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
        return value
    wrong.append((pointer[:100], f"must be a whole number from 0 to {most:,}"))
    return 0


def _time(value: object, pointer: str, most: float, wrong: list[tuple[str, str]]) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
        return float(value)  # no NaN and no infinity gets here: neither lies between two numbers
    wrong.append((pointer[:100], f"must be a number from 0 to {most:,.0f}"))
    return 0.0


def _spread(value: object, wrong: list[tuple[str, str]]) -> list[int]:
    places = len(SPREAD_MS) + 1
    if not isinstance(value, list) or len(value) != places:
        wrong.append(("/ms_spread", f"must be a list of {places} counts"))
        return [0] * places
    return [_count(each, f"/ms_spread/{place}", MOST_AT_ONCE, wrong) for place, each in enumerate(value)]


def _contradictions(said: dict[str, Any]) -> list[tuple[str, str]]:
    polls, allowed = said["polls"], MOST_POLLS_A_MINUTE * max(1, math.ceil(said["seconds"] / 60))
    rules = (
        ("seconds", said["seconds"] > 0, "must be more than 0"),
        ("polls", polls <= allowed, f"is more than {allowed} in that time"),
        ("unchanged", said["unchanged"] + said["failures"] <= polls, "and the failures are more than polls"),
        ("timeouts", said["timeouts"] <= said["failures"], "are more than failures"),
        ("ms_spread", sum(said["ms_spread"]) == polls, "must add up to polls"),
        ("ms_sum", said["ms_sum"] <= polls * said["ms_most"] * SLACK, "is more than ms_most allows"),
        ("ms_most", said["ms_most"] <= said["ms_sum"] * SLACK, "is more than ms_sum"),
        ("recoveries", said["recoveries"] <= polls, "are more than polls"),
        (
            "recovery_seconds_sum",
            said["recovery_seconds_sum"] <= said["recoveries"] * said["recovery_seconds_most"] * SLACK,
            "is more than recovery_seconds_most allows",
        ),
        (
            "recovery_seconds_most",
            said["recovery_seconds_most"] <= said["recovery_seconds_sum"] * SLACK,
            "is more than recovery_seconds_sum",
        ),
    )
    return [(f"/{name}", words) for name, holds, words in rules if not holds]
