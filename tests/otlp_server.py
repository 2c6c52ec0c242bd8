"""A real receiver of traces for tests: OTLP over HTTP in protobuf, as Jaeger, Tempo or a collector take it.

with collecting() as collector:
    ... OTEL_EXPORTER_OTLP_ENDPOINT=collector.url ...
    span = collector.span("chat test-model")
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.local_server import Server, at_work, hold

KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


@dataclass(frozen=True, kw_only=True)
class Told:
    """One span as it arrived."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    is_error: bool
    status_message: str
    resource: dict[str, Any]
    events: list[str]


@dataclass
class Collector:
    """What came, whole (`bodies`) and read (`spans`)."""

    url: str = ""
    status: int = 200
    """What is answered; 0: nothing, until the other side leaves."""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    spans: list[Told] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def span(self, name: str) -> Told:
        """The only span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def take(self, body: bytes) -> None:
        """Read one request; raises DecodeError for what is no protobuf."""
        self.bodies.append(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_told(span, resource) for span in scope.spans]


def _told(span: Any, resource: dict[str, Any]) -> Told:
    return Told(
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        is_error=span.status.code == 2,
        status_message=span.status.message,
        resource=resource,
        events=[event.name for event in span.events],
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, which) if which else None


class Door(BaseHTTPRequestHandler):
    """Takes POSTs of spans for one collector."""

    protocol_version = "HTTP/1.1"
    collector: Collector

    def do_POST(self) -> None:
        """Read and answer; 415 for what is no protobuf, 404 for another address."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        collector = self.collector
        collector.headers.append({name.lower(): value for name, value in self.headers.items()})
        if collector.status == 0:
            self.close_connection = True
            hold(self.connection, collector.over)
            return
        status = collector.status
        if self.path != "/v1/traces":
            status = 404
        elif self.headers.get("Content-Type") != "application/x-protobuf":
            status = 415
        elif status == 200:
            collector.take(body)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    """A collector on a free port of 127.0.0.1."""
    collector = Collector(status=status)
    server = Server(("127.0.0.1", 0), type("Bound", (Door,), {"collector": collector}))
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    with at_work(server):
        try:
            yield collector
        finally:
            collector.over.set()
