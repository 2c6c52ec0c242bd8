"""Reports of pages: what is right is added, what cannot be right is refused, and nobody can do more than add."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from app.db import Row, db
from app.errors import Invalid
from app.polling import reports

GOOD: dict[str, Any] = {
    "polls": 12, "unchanged": 9, "failures": 2, "timeouts": 1, "ms_sum": 5300.5, "ms_most": 5000.0,
    "ms_spread": [6, 3, 1, 0, 0, 1, 0, 0, 1, 0], "recoveries": 1, "recovery_seconds_sum": 3.5,
    "recovery_seconds_most": 3.5, "seconds": 60,
}  # fmt: skip


def row() -> Row:
    found = db.rows("SELECT * FROM polling_minutes")
    assert len(found) <= 2  # a minute may have passed
    return {
        name: sum(each[name] for each in found)
        for name in ("polls", "failures", "timeouts", "pages", "recoveries")
    }


def test_a_report_is_added_to_the_present_minute(quick: Engine) -> None:
    with db.quick():
        reports.take(GOOD)
        reports.take(GOOD | {"seconds": 5})
        assert row() == {"polls": 24, "failures": 4, "timeouts": 2, "pages": 1, "recoveries": 2}
        assert db.value("SELECT seen_by FROM polling_minutes LIMIT 1") == "client"


def test_a_page_that_saw_nothing_may_say_so(quick: Engine) -> None:
    with db.quick():
        reports.take({"seconds": 60})
        assert row()["polls"] == 0


def test_a_machine_that_slept_counts_as_slow_and_no_more(quick: Engine) -> None:
    slept = {
        "polls": 1, "failures": 1, "ms_sum": 3.6e7, "ms_most": 3.6e7, "ms_spread": [0] * 9 + [1], "recoveries": 1,
        "recovery_seconds_sum": 36_000, "recovery_seconds_most": 36_000, "seconds": 36_000,
    }  # fmt: skip
    with db.quick():
        reports.take(slept)
        kept = db.row(
            "SELECT ms_sum, ms_most, recovery_seconds_sum, recovery_seconds_most FROM polling_minutes"
        )
    assert kept == {
        "ms_sum": 120_000.0,
        "ms_most": 120_000.0,
        "recovery_seconds_sum": 3600.0,
        "recovery_seconds_most": 3600.0,
    }


HOSTILE = [
    ("polls", -1), ("polls", 1.5), ("polls", True), ("polls", "12"), ("polls", None), ("polls", 2**63), ("polls", 10**400),
    ("polls", [12]), ("polls", {}), ("unchanged", 11), ("unchanged", -9), ("failures", 13), ("timeouts", 3),
    ("ms_sum", float("nan")), ("ms_sum", float("inf")), ("ms_sum", -1), ("ms_sum", 1e300), ("ms_sum", "5"),
    ("ms_sum", 70_000), ("ms_most", float("-inf")), ("ms_most", 1e11), ("ms_most", 6000), ("ms_sum", 10**400),
    ("ms_spread", []), ("ms_spread", [1] * 9), ("ms_spread", [12] + [0] * 10), ("ms_spread", [13] + [0] * 9),
    ("ms_spread", [-1, 13] + [0] * 8), ("ms_spread", "000"), ("ms_spread", [12.0] + [0] * 9), ("ms_spread", None),
    ("recoveries", 13), ("recoveries", -1), ("recovery_seconds_sum", 8), ("recovery_seconds_most", 9),
    ("recovery_seconds_sum", float("nan")), ("seconds", 0), ("seconds", -60), ("seconds", float("nan")), ("seconds", 1e9),
    ("seconds", None), ("sql", "'; DROP TABLE jobs; --"), ("\x00", 1), ("queries", 5), ("pages", 1000),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), HOSTILE, ids=lambda each: repr(each)[:24])
def test_what_cannot_be_right_is_refused_whole(name: str, value: Any, quick: Engine) -> None:
    with db.quick():
        with pytest.raises(Invalid) as refused:
            reports.take(GOOD | {name: value})
        assert refused.value.fields
        assert all(pointer.startswith("/") and len(pointer) < 200 for pointer, _ in refused.value.fields)
        assert db.value("SELECT count(*) FROM polling_minutes") == 0


@pytest.mark.parametrize("report", [None, [], "x", 5, [GOOD], True])
def test_what_is_no_object_is_refused(report: object, quick: Engine) -> None:
    with pytest.raises(Invalid):
        reports.checked(report)


def test_more_polls_than_a_page_can_make_are_refused() -> None:
    def said(polls: int, seconds: float) -> dict[str, Any]:
        return {"polls": polls, "ms_spread": [polls] + [0] * 9, "seconds": seconds}

    assert reports.checked(said(240, 60))["polls"] == 240
    assert reports.checked(said(480, 61))["polls"] == 480
    for polls, seconds in ((241, 60), (241, 1), (481, 120)):
        with pytest.raises(Invalid) as refused:
            reports.checked(said(polls, seconds))
        assert [pointer for pointer, _ in refused.value.fields] == ["/polls"]


def test_a_full_report_fits_into_the_bytes_that_are_taken() -> None:
    widest = dict.fromkeys(reports.COUNTS, 14400) | dict.fromkeys(reports.TIMES, 1234567.123456789)
    assert len(json.dumps(widest | {"ms_spread": [14_400] * 10})) < reports.MOST_BYTES / 2
