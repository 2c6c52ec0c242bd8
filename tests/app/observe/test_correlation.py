"""The id that goes along: what comes in, what goes out, and for whom a thread works."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from app.observe import correlation, tracing
from tests.tracing import spans

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    correlation.bind(None)
    yield
    correlation.bind(None)
    correlation.adopt(None, None)


@pytest.mark.parametrize("given", ["trace-1", "a" * 128, "schedule:7:2026-01-31T12:00:00.000Z", CALLER])
def test_ids_without_surprises_come_in(given: str) -> None:
    assert correlation.accepted(given) == given


@pytest.mark.parametrize(
    "given", [None, "", "a" * 129, "a b", "a\r\nSet-Cookie: x=1", "a\n", "<b>", "ä", "a/b", "\x00", "{{7*7}}"]
)
def test_any_other_does_not(given: str | None) -> None:
    assert correlation.accepted(given) is None


def test_what_leaves_carries_the_id_and_no_invented_trace() -> None:
    with correlation.carrying("c-1"):
        assert correlation.headers() == {"X-Correlation-ID": "c-1"}
        assert correlation.environment() == {"CALLBOARD_CORRELATION_ID": "c-1"}
    assert correlation.headers() == {}


def test_a_callers_trace_goes_on_without_any_receiver() -> None:
    with correlation.carrying("c-1"), tracing.span("work", parent=CALLER):
        assert correlation.headers() == {"X-Correlation-ID": "c-1", "traceparent": CALLER}
        assert correlation.environment()["TRACEPARENT"] == CALLER


def test_with_one_the_span_at_work_is_the_parent() -> None:
    with spans() as made, tracing.span("work", parent=CALLER):
        sent = correlation.headers()["traceparent"]
    ids = made.one("work").get_span_context()
    assert sent == f"00-{CALLER[3:35]}-{ids.span_id:016x}-01"
    assert correlation.trace_id(sent) == CALLER[3:35]


@pytest.mark.parametrize("kept", ["two\r\nlines", "with space", "ä", ""])
def test_an_id_that_would_break_a_header_is_not_sent(kept: str) -> None:
    with correlation.carrying(kept):
        assert correlation.headers() == {}


def test_log_lines_carry_it_and_stop_to() -> None:
    with correlation.carrying("outer"):
        with correlation.carrying("inner"):
            assert structlog.contextvars.get_contextvars()["correlation_id"] == "inner"
        assert structlog.contextvars.get_contextvars()["correlation_id"] == "outer"
    assert "correlation_id" not in structlog.contextvars.get_contextvars()


def test_an_agents_process_works_for_its_job_in_every_thread() -> None:
    correlation.adopt("c-1", CALLER)
    with ThreadPoolExecutor(1) as elsewhere:
        told = elsewhere.submit(correlation.headers).result()
    assert told == {"X-Correlation-ID": "c-1", "traceparent": CALLER}
