"""Spans of this process in memory, for tests that look at their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.observe import tracing
from app.observe.tracing import Destination


@dataclass
class Spans:
    """What has ended until now."""

    exporter: InMemorySpanExporter

    @property
    def all(self) -> list[ReadableSpan]:
        """In the order of their ends."""
        return list(self.exporter.get_finished_spans())

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [span.name for span in self.all]

    def one(self, name: str) -> ReadableSpan:
        """The only one of that name."""
        (found,) = [span for span in self.all if span.name == name]
        return found


@contextmanager
def spans(sampler: str = "parentbased_always_on", sampler_arg: float = 1.0) -> Iterator[Spans]:
    """Whatever this process does meanwhile is traced into memory."""
    exporter = InMemorySpanExporter()
    made = tracing.provider(Destination(sampler=sampler, sampler_arg=sampler_arg), role="test", release="0")
    made.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(made)
    try:
        yield Spans(exporter)
    finally:
        tracing.use(None)
        made.shutdown()
