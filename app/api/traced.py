"""A span for each request, below its caller's if there is one (W3C `traceparent`): what it submits belongs to it.

Named after the route, never the path. What is asked all the time and says nothing new is left out unless the caller's
trace is sampled: polls answered 304, probes, and files.
"""

from __future__ import annotations

from flask import Flask, Response, g, request
from opentelemetry import context, trace
from opentelemetry.trace import SpanKind

from app.observe import correlation, tracing

QUIET = ("/healthz", "/readyz", "/api/health", "/metrics", "/static")


def init_app(app: Flask) -> None:
    """Trace every request of `app`; after request_id, whose id is told."""
    app.before_request(_begin)
    app.after_request(_answer)
    app.teardown_request(_end)


def _begin() -> None:
    given = request.headers
    if "traceparent" not in given and not tracing.is_wanted():
        return
    parent = tracing.remote({name: given[name] for name in ("traceparent", "tracestate") if name in given})
    route = request.url_rule.rule if request.url_rule else None
    span = tracing.tracer().start_span(
        f"{request.method} {route}" if route else request.method,
        context=parent,
        kind=SpanKind.SERVER,
        attributes=tracing.known(
            {
                "http.request.method": request.method,
                "http.route": route,
                "url.scheme": request.scheme,
                "callboard.correlation_id": correlation.current()["correlation_id"],
            }
        ),
    )
    g.span = span
    g.span_wanted = trace.get_current_span(parent).get_span_context().trace_flags.sampled
    g.span_token = context.attach(trace.set_span_in_context(span, parent))


def _answer(response: Response) -> Response:
    if "span" in g and g.span.is_recording():
        tracing.answered(g.span, response.status_code, least_wrong=500)
        quiet = response.status_code == 304 or request.path.startswith(QUIET)
        g.span_wanted = g.span_wanted or not quiet
    return response


def _end(error: BaseException | None) -> None:
    if "span_token" not in g:
        return
    context.detach(g.pop("span_token"))
    if error is not None:
        tracing.failed(g.span, error)
    if g.span_wanted or error is not None:  # one that never ends is never sent
        g.span.end()
