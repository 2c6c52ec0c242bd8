"""Spans: what stands in them, which are made, and that whoever takes them can be away."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from app.errors import Cancelled
from app.observe import logs, tracing
from app.observe.tracing import Destination
from app.settings import Settings
from tests.otlp_server import collecting
from tests.tracing import spans

SAMPLED, UNSAMPLED = (f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0{flag}" for flag in (1, 0))


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Nothing is traced after a test, and the root logger is pytest's again."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    tracing.use(None)
    logging.getLogger("opentelemetry").setLevel(logging.NOTSET)
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_error_is_told_by_its_type_alone() -> None:
    with (
        spans() as made,
        pytest.raises(ValueError, match="secret"),
        tracing.span("work", {"a": 1, "b": None}),
    ):
        raise ValueError("the-secret")

    span = made.one("work")
    assert dict(span.attributes or {}) == {"a": 1, "error.type": "ValueError"}
    assert not span.status.is_ok
    assert (span.status.description, span.events) == (None, ())


def test_what_is_no_error_is_not_told_as_one() -> None:
    with spans() as made, pytest.raises(Cancelled), tracing.span("work"):
        raise Cancelled

    assert made.one("work").status.is_unset


def test_nothing_is_made_without_a_receiver() -> None:
    assert tracing.start(Destination(), role="web", release="1") is False
    with tracing.span("work") as span:
        assert not span.is_recording()


@pytest.mark.parametrize(
    ("sampler", "share", "parent", "is_made"),
    [
        ("always_on", 1.0, UNSAMPLED, True),
        ("always_off", 1.0, SAMPLED, False),
        ("traceidratio", 0.0, SAMPLED, False),
        ("parentbased_always_on", 1.0, None, True),
        ("parentbased_always_on", 1.0, UNSAMPLED, False),
        ("parentbased_always_off", 1.0, SAMPLED, True),
        ("parentbased_traceidratio", 0.0, None, False),
        ("parentbased_traceidratio", 0.0, SAMPLED, True),
    ],
)
def test_samplers_go_by_their_standard_names(
    sampler: str, share: float, parent: str | None, is_made: bool
) -> None:
    with spans(sampler, share) as made, tracing.span("work", parent=parent):
        pass
    assert made.names == (["work"] if is_made else [])


def test_log_lines_of_a_recorded_span_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    with spans() as made, tracing.span("work"):
        logs.get("room").info("inside")
    logs.get("room").info("outside")

    inside, outside = lines(capsys)
    ids = made.one("work").get_span_context()
    assert (inside["trace_id"], inside["span_id"]) == (f"{ids.trace_id:032x}", f"{ids.span_id:016x}")
    assert "trace_id" not in outside


def test_the_standard_variables_say_where_spans_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url + "/")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20the-key, x-team = a=b")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "board")
        to = Settings().traces
        assert "the-key" not in repr(to) + repr(Settings())
        assert tracing.start(to, role="web", release="1.2") is True
        with tracing.span("work"):
            pass
        tracing.stop()

    told = collector.span("work")
    about = ("service.name", "service.version", "callboard.role")
    assert [told.resource[name] for name in about] == ["board", "1.2", "web"]
    assert collector.headers[0]["authorization"] == "Bearer the-key"
    assert collector.headers[0]["x-team"] == "a=b"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-secret=one,two-secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x=a%0D%0Ab-secret"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("TRACE_URL", "https://jaeger.example.org/trace"),
        ("TRACE_URL", "javascript:{trace_id}"),
    ],
)
def test_a_wrong_variable_is_named_and_its_secrets_are_not(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=variable.lower()) as wrong:
        Settings()
    assert "secret" not in str(wrong.value)


def test_without_the_sdk_one_warning_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure("INFO", "json")
    monkeypatch.setattr(tracing, "find_spec", lambda _name: None)

    assert tracing.start(Destination(endpoint="http://localhost:4318"), role="web", release="1") is False

    (warning,) = lines(capsys)
    assert (warning["event"], warning["level"]) == ("traces.not_installed", "warning")
    assert "pip install 'callboard[tracing]'" in str(warning["way_out"])


class Refusing(SpanExporter):
    """A receiver that takes nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing to do."""


def test_a_receiver_that_is_away_is_one_line_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure("INFO", "json")
    exporter = tracing.patient(Refusing())
    with spans() as made, tracing.span("work"):
        pass
    for _ in range(50):
        exporter.export(made.all)
    monkeypatch.setattr(tracing, "SILENCE_SECONDS", 0.0)
    exporter.export(made.all)

    assert [(line["event"], line["spans_lost"]) for line in lines(capsys)] == [
        ("traces.not_sent", 1),
        ("traces.not_sent", 50),
    ]


def test_the_sdks_own_complaints_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    with collecting(status=400) as collector:
        tracing.start(Destination(endpoint=collector.url), role="web", release="1")
        with tracing.span("work"):
            pass
        tracing.stop()

    assert [line["event"] for line in lines(capsys)] == ["traces.not_sent"]


def test_a_receiver_that_says_nothing_holds_up_neither_work_nor_the_end() -> None:
    with collecting(status=0) as collector:
        tracing.start(Destination(endpoint=collector.url), role="web", release="1")
        began = time.monotonic()
        for _ in range(tracing.MOST_WAITING + 100):  # more than are kept
            with tracing.span("work"):
                pass
        worked = time.monotonic() - began
        tracing.stop(0.2)

    assert worked < 5
    assert time.monotonic() - began - worked < 5
