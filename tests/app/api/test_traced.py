"""Requests as spans: below their callers, named after the route, and silent where nothing happens."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind

from app.db import db
from app.observe import tracing
from tests import acting
from tests.app.api.calling import Caller
from tests.tracing import spans

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED, UNSAMPLED = (f"00-{TRACE}-00f067aa0ba902b7-0{flag}" for flag in (1, 0))
JOB = {"agent_id": "test-noop", "parameters": {}, "task_name": "the-canary"}


def kept(job_id: str) -> tuple[str | None, str | None]:
    with db.quick():
        row = acting.job(job_id)
    return row["correlation_id"], row["traceparent"]


def test_a_job_belongs_to_its_requests_span(owner: Caller) -> None:
    with spans() as made:
        answer = owner.post("/api/v1/jobs", json=JOB, headers={"X-Correlation-ID": "order-7"})
    job_id = answer.json["job_id"]
    path = owner.get(f"/api/v1/jobs/{job_id}")

    span = made.one("POST /api/v1/jobs")
    ids = span.get_span_context()
    assert kept(job_id) == ("order-7", f"00-{ids.trace_id:032x}-{ids.span_id:016x}-01")
    assert path.json["trace_id"] == f"{ids.trace_id:032x}"
    assert answer.headers["X-Request-Id"] == "order-7"
    assert (span.kind, span.parent) == (SpanKind.SERVER, None)
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/api/v1/jobs",
        "url.scheme": "http",
        "http.response.status_code": 201,
        "callboard.correlation_id": "order-7",
    }


def test_a_callers_trace_goes_on(owner: Caller) -> None:
    with spans() as made:
        answer = owner.post("/api/v1/jobs", json=JOB, headers={"traceparent": SAMPLED})

    span = made.one("POST /api/v1/jobs")
    assert span.parent is not None
    assert (f"{span.get_span_context().trace_id:032x}", f"{span.parent.span_id:016x}") == (
        TRACE,
        SAMPLED[36:52],
    )
    assert str(kept(answer.json["job_id"])[1]).startswith(f"00-{TRACE}-")


def test_it_is_kept_without_any_receiver(owner: Caller) -> None:
    answer = owner.post("/api/v1/jobs", json=JOB, headers={"traceparent": SAMPLED})
    assert kept(answer.json["job_id"]) == (answer.headers["X-Request-Id"], SAMPLED)


@pytest.mark.parametrize(
    "bad", ["", "00-0-0-0", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"{SAMPLED}\t<b>", "ü"]
)
def test_what_is_no_trace_is_not_taken_for_one(owner: Caller, bad: str) -> None:
    answer = owner.post("/api/v1/jobs", json=JOB, headers={"traceparent": bad})
    assert kept(answer.json["job_id"])[1] is None


def test_addresses_do_not_stand_in_spans(owner: Caller) -> None:
    with spans() as made:
        owner.get("/api/v1/jobs/the-canary?q=the-canary")
        owner.get("/api/nowhere/the-canary")

    assert made.names == ["GET /api/v1/jobs/<job_id>", "GET"]
    assert "the-canary" not in "".join(span.to_json() for span in made.all)


@pytest.mark.parametrize(
    ("parent", "told"), [(None, []), (UNSAMPLED, []), (SAMPLED, ["GET /api/v1/jobs/<job_id>/status"])]
)
def test_polls_without_news_are_told_only_to_who_traces_them(
    owner: Caller, parent: str | None, told: list[str]
) -> None:
    job_id = owner.post("/api/v1/jobs", json=JOB).json["job_id"]
    path = f"/api/v1/jobs/{job_id}/status"
    etag = owner.get(path).headers["ETag"]
    headers = {"If-None-Match": etag} | ({"traceparent": parent} if parent else {})
    with spans() as made:
        assert owner.get(path, headers=headers).status_code == 304
    assert made.names == told


def test_probes_are_not_told(nobody: Caller) -> None:
    with spans() as made:
        nobody.get("/healthz")
    assert made.names == []


def test_one_requests_span_is_not_the_next_ones_parent(owner: Caller) -> None:
    with spans() as made:
        for _ in range(2):
            owner.post("/api/v1/jobs", json=JOB)
    first, second = made.all
    assert second.parent is None
    assert first.get_span_context().trace_id != second.get_span_context().trace_id


def test_a_retry_keeps_the_id_of_the_first(owner: Caller) -> None:
    first = owner.post("/api/v1/jobs", json=JOB, headers={"X-Request-Id": "order-8"}).json["job_id"]
    owner.post(f"/api/v1/jobs/{first}/cancel")
    again = owner.post(f"/api/v1/jobs/{first}/retry", headers={"X-Request-Id": "click-9"})
    assert kept(again.json["job_id"])[0] == "order-8"


def test_where_nobody_takes_spans_none_is_begun(nobody: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "tracer", pytest.fail)

    assert nobody.get("/healthz").status_code == 200
    with spans() as _:
        assert tracing.is_wanted()
    assert not tracing.is_wanted()
