"""Spans: what took how long, from a request to its jobs to the calls they make. OpenTelemetry's API makes them.

Without an address to send them to nothing is made, and a caller's `traceparent` is passed on all the same. With one,
`start` is called once in each process, after it was forked; spans then leave in batches from a thread of their own.
A receiver that is slow or away costs spans, never a job. No span holds what people send or models say: attributes are
ids, names, counts and durations; an error is told by its type. The SDK is an extra, so it is imported late; so are
the logs, because agents' processes use this module for what they call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.errors import Asked, Cancelled, Held, Released

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

NAME = "callboard"
MOST_WAITING, BATCH = 2048, 256
"""Spans kept for the receiver, and sent at once; what comes while it is full is dropped."""
DELAY_MS = 2_000
SEND_SECONDS = 3.0
"""What one try to send may take, its own repetitions included."""
FAREWELL_SECONDS = 2.0
SILENCE_SECONDS = 60.0
"""A receiver that is away is one line of the log in so long."""
WAY_OUT = "Nothing is traced. Run: pip install 'callboard[tracing]' (or unset OTEL_EXPORTER_OTLP_ENDPOINT)"
LONGEST_WORD = 100
NOT_WRONG = (Asked, Cancelled, Held, Released, GeneratorExit)
"""Ends of an attempt that are no errors."""

_w3c = TraceContextTextMapPropagator()
_providers: list[TracerProvider] = []
"""The one of this process, if it sends its spans anywhere."""
_tracers: list[trace.Tracer] = []
_exporters: list[SpanExporter] = []
_UNCOLLECTED = trace.get_tracer(NAME)
"""Makes nothing, unless somebody instruments the whole process from outside."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where spans go, in the terms of OpenTelemetry's standard variables."""

    endpoint: str = ""
    """Base address of an OTLP/HTTP receiver; `/v1/traces` is added. Empty: nowhere."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    service_name: str = NAME
    sampler: str = "parentbased_always_on"
    sampler_arg: float = 1.0


def start(to: Destination, *, role: str, release: str) -> bool:
    """Send this process' spans to `to` from now on; whether it does. Without the SDK one warning says what to do."""
    if not to.endpoint or _providers:
        return bool(_providers)
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        _warn("traces.not_installed", way_out=WAY_OUT)
        return False
    import logging

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # Its own words would be several lines for each batch that cannot be sent; ours is one a minute.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    made = provider(to, role=role, release=release)
    exporter = patient(
        OTLPSpanExporter(
            endpoint=f"{to.endpoint.rstrip('/')}/v1/traces", headers=dict(to.headers), timeout=SEND_SECONDS
        )
    )
    made.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=MOST_WAITING,
            max_export_batch_size=BATCH,
            schedule_delay_millis=DELAY_MS,
        )
    )
    use(made)
    _exporters.append(exporter)
    return True


def provider(to: Destination, *, role: str, release: str) -> TracerProvider:
    """What makes the spans of a process; it sends them nowhere yet."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    about = {"service.name": to.service_name, "service.version": release, "callboard.role": role}
    return TracerProvider(
        resource=Resource.create(about), sampler=_sampler(to.sampler, to.sampler_arg), shutdown_on_exit=False
    )


def use(made: TracerProvider | None) -> None:
    """Make spans by `made`; None: by what somebody else may have set up for the whole process, or not at all."""
    _providers[:] = [made] if made else []
    _tracers[:] = [made.get_tracer(NAME)] if made else []
    _exporters.clear()


def stop(seconds: float = FAREWELL_SECONDS) -> None:
    """Send what is waiting, within `seconds`; what is left then is dropped."""
    import threading

    going, exporters = list(_providers), list(_exporters)
    use(None)
    for each in going:
        # A receiver that is away would be waited for, 30 s long.
        farewell = threading.Thread(target=each.shutdown, daemon=True, name="traces")
        farewell.start()
        farewell.join(seconds)
    for exporter in exporters:
        exporter.shutdown()  # if it still tries, it gives up


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str | None = None,
) -> Iterator[Span]:
    """A span around what is done; `parent` is a `traceparent`, None the span at work.

    Attributes that are None are left out. An error is told by its type.
    """
    context = remote({"traceparent": parent}) if parent else None
    made = tracer().start_span(name, context=context, kind=kind, attributes=known(attributes or {}))
    with trace.use_span(made, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield made
        except BaseException as error:
            failed(made, error)
            raise


def failed(made: Span, error: BaseException | str) -> None:
    """Say on a span that it ended badly, unless that is said already: by the error's type, or by a word for it.

    The message is not told: it may repeat what was sent.
    """
    if isinstance(error, NOT_WRONG) or not made.is_recording():
        return
    status = getattr(made, "status", None)  # only spans of the SDK can be asked
    if status is None or status.is_unset:
        word = error if isinstance(error, str) else type(error).__qualname__
        made.set_attribute("error.type", word[:LONGEST_WORD])
        made.set_status(Status(StatusCode.ERROR))


@contextmanager
def calling(method: str, scheme: str, host: str, port: int | None) -> Iterator[Span]:
    """A span around a call by HTTP. Path and query are not told: addresses of hooks are secrets."""
    attributes = {
        "http.request.method": method,
        "url.scheme": scheme,
        "server.address": host,
        "server.port": port or (443 if scheme == "https" else 80),
    }
    with span(method, attributes, kind=SpanKind.CLIENT) as made:
        yield made


def answered(made: Span, status: int, *, least_wrong: int = 400) -> None:
    """Say on a span what HTTP answered; from `least_wrong` on that is an error."""
    made.set_attribute("http.response.status_code", status)
    if status >= least_wrong:
        failed(made, str(status))


def tracer() -> trace.Tracer:
    """What makes spans now."""
    return _tracers[0] if _tracers else _UNCOLLECTED


def is_wanted() -> bool:
    """Whether somebody takes spans: ourselves, or who instruments the whole process from outside."""
    return bool(_tracers) or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def in_log_line(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the span at work in a line of the log, if it is recorded: a processor."""
    at_work = trace.get_current_span()
    if at_work.is_recording():
        ids = at_work.get_span_context()
        event.update(trace_id=f"{ids.trace_id:032x}", span_id=f"{ids.span_id:016x}")
    return event


def remote(carrier: Mapping[str, str]) -> Context:
    """The context of a caller who sent these headers; an empty one if they say nothing valid."""
    return _w3c.extract(carrier)


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The same without those that are None."""
    return {name: value for name, value in attributes.items() if value is not None}


def _warn(event: str, **facts: Any) -> None:
    from app.observe import logs

    logs.get("traces").warning(event, **facts)


def _sampler(name: str, share: float) -> Any:
    from opentelemetry.sdk.trace import sampling

    root, parent_based = name.removeprefix("parentbased_"), name.startswith("parentbased_")
    plain = {
        "always_on": sampling.ALWAYS_ON,
        "always_off": sampling.ALWAYS_OFF,
    }.get(root) or sampling.TraceIdRatioBased(share)
    return sampling.ParentBased(plain) if parent_based else plain


def patient(exporter: SpanExporter) -> SpanExporter:
    """The same exporter; that it does not get through is logged once a minute, with the spans that were lost."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Patient(SpanExporter):
        """Says little."""

        lost = 0
        said_at = float("-inf")
        over = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            """Pass them on."""
            done = exporter.export(spans)
            if done is not SpanExportResult.SUCCESS:
                self._complain(len(spans))
            return done

        def shutdown(self) -> None:
            """End, once."""
            if not self.over:
                self.over = True
                exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            """Nothing waits here."""
            return exporter.force_flush(timeout_millis)

        def _complain(self, spans: int) -> None:
            self.lost += spans
            if self.over:
                return
            if (now := time.monotonic()) - self.said_at >= SILENCE_SECONDS:
                _warn("traces.not_sent", spans_lost=self.lost)
                self.said_at, self.lost = now, 0

    return Patient()
