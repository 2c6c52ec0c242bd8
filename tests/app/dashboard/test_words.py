"""How things are called."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.dashboard import words
from app.jobs.states import PRIORITIES, STATUSES, Reason


def test_every_state_priority_and_reason_has_a_word() -> None:
    assert set(STATUSES) <= set(words.STATES)
    assert set(PRIORITIES) == set(words.PRIORITIES)
    assert {reason.value for reason in Reason} <= set(words.REASONS)


def test_no_two_states_look_alike_without_colour() -> None:
    shapes = [seen.icon for seen in words.STATES.values()]

    assert len(shapes) == len(set(shapes))


def test_an_unknown_state_is_shown_under_its_own_name() -> None:
    assert words.look("half_done").word == "Half done"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (0, "0 ms"), (0.0421, "42 ms"), (4.24, "4.2 s"), (59.4, "59 s"), (59.6, "1 m 00 s"), (3725, "1 h 02 m"),
     (100_000, "1 d 03 h"), (-5, "0 ms")],
)  # fmt: skip
def test_durations_read_like_speech(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("amount", "said"), [(812, "812 B"), (4100, "4.1 KB"), (3_000_000, "3.0 MB"), (5e12, "5000.0 GB")]
)
def test_sizes_read_like_speech(amount: float, said: str) -> None:
    assert words.size(amount) == said


def test_times_are_told_in_utc_whatever_they_come_as() -> None:
    at = datetime(2026, 11, 22, 1, 24, 5, tzinfo=UTC)

    assert words.stamp(at) == words.stamp("2026-11-22T02:24:05+01:00") == "22 Nov 2026, 01:24:05 UTC"
    assert words.iso(at) == "2026-11-22T01:24:05.000Z"
    assert words.stamp(None) == words.iso(None) == words.hour(None) == ""


def test_counts_say_when_they_stopped() -> None:
    assert (words.capped(9_999), words.capped(10_000), words.many(1, "job"), words.many(2, "retry", "retries")) == (
        "9,999", "10,000+", "1 job", "2 retries")  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        (None, ""),
        ({"pages": 3}, ""),
        ({"input_tokens": 12_000, "output_tokens": 345, "cost_usd": None, "cost_status": "unpriced"}, "12,345 tok, unpriced"),
        ({"output_tokens": 345, "billing": "local"}, "345 tok, local"),
        ({"output_tokens": 345, "cost_usd": 0.0, "cost_status": "reported", "billing": "subscription"}, "345 tok, subscription"),
        ({"output_tokens": 345, "cost_usd": 0.0, "cost_status": "reported", "billing": "api"}, "345 tok, no charge"),
        ({"output_tokens": 345, "cost_usd": None, "cost_status": "unaccounted"}, "345 tok, unaccounted"),
        ({"input_tokens": 1, "cache_read_tokens": 2, "cache_write_tokens": 3, "cost_usd": 0.01234}, "$0.0123, 6 tok"),
        ({"input_tokens": 9_000, "cost_usd": 12.34, "unpriced_tokens": 2_000}, "$12.34, 9,000 tok (2,000 unpriced)"),
        ({"cost_usd": 0.00001, "input_tokens": 1}, "less than $0.0001, 1 tok"),
        ({"cost_usd": 0.5}, "$0.50"),
        ({"output_tokens": 9, "cost_usd": 0.35, "billing": "subscription"}, "9 tok, subscription (worth $0.35)"),
    ],
)  # fmt: skip
def test_money_is_never_a_zero_that_nobody_knows(usage: dict[str, Any] | None, said: str) -> None:
    assert words.money(usage) == said


def test_every_verdict_has_a_word_and_rejected_is_not_failed() -> None:
    assert {"passed", "revise", "needs_review", "rejected", None} == set(words.VERDICTS)
    rejected, failed = words.VERDICTS["rejected"], words.STATES["failed"]
    assert all(a != b for a, b in zip(rejected, failed, strict=True))
    shapes = [seen.icon for seen in words.VERDICTS.values()]
    assert len(shapes) == len(set(shapes))


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=c#d", "http://127.0.0.1:1337/x", "HTTPS://EXAMPLE.org"]
)
def test_an_address_of_the_web_stays_as_it_is(url: str) -> None:
    assert words.web_address(url) == url


@pytest.mark.parametrize(
    "text", [None, 7, "", "javascript:alert(1)", "JavaScript:alert(1)", "\tjavascript:x", "data:text/html,x", "//a.example",
             "/x", "mailto:a@example.org", "https://", "http://[", "https://a.example/\u202ex", "https://a.example/" + "x" * 2000]
)  # fmt: skip
def test_everything_else_is_no_address(text: Any) -> None:
    assert words.web_address(text) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (1.44, "+1.4"), (-0.31, "−0.3"), (0.04, "±0.0"), (-0.04, "±0.0"), (0, "±0.0")],
)
def test_gains_say_their_sign(value: float | None, said: str) -> None:
    assert words.gained(value) == said


def test_scores_and_shares() -> None:
    assert (words.score(7), words.score(None), words.percent(0.825), words.percent(None)) == (
        "7.0",
        "–",
        "82 %",
        "–",
    )
