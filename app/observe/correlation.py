"""The id that goes with a request wherever it leads: into its jobs, their log lines, and every call that leaves.

A caller may bring one along; otherwise the request's own id is it. Beside it goes the W3C `traceparent` of the span
at work, if there is a trace: none is invented, because a made-up one would switch off the tracing of those we call.
structlog and OpenTelemetry are imported where they are needed: agents' processes use this module and start without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADERS = ("X-Request-Id", "X-Correlation-ID")
"""Where callers may name an id, the first that is acceptable wins."""
OUTGOING = "X-Correlation-ID"

# Long enough for any tracer's id, and nothing that could break a log line, a header or a page.
_ACCEPTED = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# What older jobs carry may have other characters; a header takes what is visible.
_SENDABLE = re.compile(r"[\x21-\x7e]{1,200}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_bound: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_everywhere: dict[str, str | None] = {}
"""What holds for a whole process, whatever thread asks: that of an agent, which has one job."""


def accepted(given: str | None) -> str | None:
    """The same id if it is one that may come in from outside."""
    return given if given and _ACCEPTED.fullmatch(given) else None


def bind(correlation_id: str | None) -> None:
    """From now on this thread works for that id, and its log lines say so; None: for nobody."""
    from structlog import contextvars

    _bound.set(correlation_id)
    if correlation_id is None:
        contextvars.unbind_contextvars("correlation_id")
    else:
        contextvars.bind_contextvars(correlation_id=correlation_id)


@contextmanager
def carrying(correlation_id: str | None) -> Iterator[None]:
    """Work for that id, then for the one before."""
    before = _bound.get()
    bind(correlation_id)
    try:
        yield
    finally:
        bind(before)


def adopt(correlation_id: str | None, traceparent: str | None) -> None:
    """Let this whole process work for that id and as a part of that trace."""
    _everywhere.update(correlation_id=correlation_id, traceparent=traceparent)


def current() -> dict[str, str | None]:
    """{"correlation_id", "traceparent"} of whatever this thread works for; None where there is none."""
    return {
        "correlation_id": _bound.get() or _everywhere.get("correlation_id"),
        "traceparent": _span_at_work() or _everywhere.get("traceparent"),
    }


def headers() -> dict[str, str]:
    """What a call that leaves carries along: X-Correlation-ID and traceparent, as far as there are any."""
    return _named(OUTGOING, "traceparent")


def environment() -> dict[str, str]:
    """The same for a program: CALLBOARD_CORRELATION_ID and TRACEPARENT."""
    return _named("CALLBOARD_CORRELATION_ID", "TRACEPARENT")


def trace_id(traceparent: str | None) -> str | None:
    """The trace that a `traceparent` is about."""
    return traceparent[3:35] if traceparent and _TRACEPARENT.fullmatch(traceparent) else None


def _named(correlation: str, trace: str) -> dict[str, str]:
    now = current()
    named = {}
    if (known := now["correlation_id"]) and _SENDABLE.fullmatch(known):
        named[correlation] = known
    if (parent := now["traceparent"]) and _TRACEPARENT.fullmatch(parent):
        named[trace] = parent
    return named


def _span_at_work() -> str | None:
    from opentelemetry import trace

    at_work = trace.get_current_span().get_span_context()
    if not at_work.is_valid:
        return None
    return f"00-{at_work.trace_id:032x}-{at_work.span_id:016x}-{at_work.trace_flags & 1:02x}"
