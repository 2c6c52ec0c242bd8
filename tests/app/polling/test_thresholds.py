"""The four limits of polling, at their edges."""

from __future__ import annotations

import pytest

from app.polling import thresholds

FINE = {"failure_rate": 0.05, "response_seconds": 5.0, "recovery_seconds": 60.0, "query_seconds": 1.0}


def test_just_at_the_limits_is_healthy() -> None:
    assert thresholds.state(FINE) == "healthy"
    assert not any(check["over"] for check in thresholds.judged(FINE))


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("failure_rate", 0.0501, "degraded"),
        ("failure_rate", 0.5, "degraded"),
        ("failure_rate", 0.51, "unhealthy"),
        ("failure_rate", 1.0, "unhealthy"),
        ("response_seconds", 5.01, "degraded"),
        ("recovery_seconds", 60.1, "degraded"),
        ("query_seconds", 1.001, "degraded"),
        ("query_seconds", None, "healthy"),
    ],
)
def test_over_a_limit(name: str, value: float | None, state: str) -> None:
    figures = FINE | {name: value}
    assert thresholds.state(figures) == state
    over = [check["name"] for check in thresholds.judged(figures) if check["over"]]
    assert over == ([] if state == "healthy" else [name])


def test_what_nothing_is_known_of_is_healthy() -> None:
    assert thresholds.state({}) == "healthy"
    assert [check["value"] for check in thresholds.judged({})] == [None] * 4
