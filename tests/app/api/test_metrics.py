"""Figures for programs: JSON, and what Prometheus gets."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from flask import Flask
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families_of

from app.api import metrics as ours
from app.budgets import ledger
from app.budgets.tally import Part
from app.db import db
from app.observe import metrics
from tests.app.api import world
from tests.app.api.calling import Caller

TOKEN = "a token only for scrapers"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    ours.forget()


@pytest.fixture
def token(app: Flask) -> Iterator[str]:
    before = app.config["CALLBOARD"]
    app.config["CALLBOARD"] = before.model_copy(update={"metrics_token": TOKEN})
    yield TOKEN
    app.config["CALLBOARD"] = before


def part(number: int, usd: str) -> Part:
    return Part(call_id="c-1", part=number, provider="openai", model="m-1", input_tokens=10, output_tokens=5,
                cache_read_tokens=0, cache_write_tokens=0, reasoning_tokens=0, cost_usd=Decimal(usd),
                cost_status="derived", billing="api", price_version=None)  # fmt: skip


def families(caller: Caller) -> dict[str, Metric]:
    return {family.name: family for family in families_of(caller.get("/metrics").text)}


def value(found: dict[str, Metric], sample: str, **labels: str) -> float:
    """The figure with at least these labels, 0 if there is none yet."""
    return sum(
        each.value
        for family in found.values()
        for each in family.samples
        if each.name == sample and labels.items() <= each.labels.items()
    )


def test_figures_count_what_happened(owner: Caller) -> None:
    world.completed(owner.id)
    world.completed(owner.id)
    world.failed(owner.id)
    world.submitted(owner.id)
    figures = owner.get("/api/metrics").json

    assert figures is not None
    assert (figures["processed"], figures["successful"], figures["failed"]) == (3, 2, 1)
    assert (figures["queue_size"], figures["running"]) == (1, 0)
    assert abs(figures["success_rate"] - 2 / 3) < 1e-9
    assert figures["jobs"]["completed"] == 2


def test_scrapers_get_the_same_in_their_format(admin: Caller, owner: Caller) -> None:
    world.completed(owner.id)
    world.submitted(owner.id, priority="low")
    found = families(admin)

    assert value(found, "callboard_jobs", status="completed") == 1
    assert value(found, "callboard_jobs", status="queued") == 1
    assert value(found, "callboard_queue_depth", priority="low") == 1
    assert value(found, "callboard_pool_waiting_jobs") == 1
    assert value(found, "callboard_jobs_finished_total", status="completed") == 1
    assert value(found, "callboard_redis_up") == 1
    assert {sample.labels["status"] for sample in found["callboard_jobs_finished"].samples} >= {
        "completed", "failed", "cancelled",
    }  # fmt: skip


def test_every_figure_is_there_from_the_start_with_its_meaning_and_its_kind(admin: Caller) -> None:
    found = families(admin)
    for figure in (*metrics.ASKED_FOR, *metrics.COUNTED):
        family = found[figure.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (figure.kind, figure.text)


def test_openmetrics_is_spoken_to_those_who_ask_for_it(app: Flask, admin: Caller) -> None:
    answer = app.test_client().get(
        "/metrics",
        headers={
            "Authorization": f"Bearer {admin.key}",
            "Accept": "application/openmetrics-text; version=1.0.0",
        },
    )
    assert answer.mimetype == "application/openmetrics-text"
    assert "callboard_http_requests" in {family.name for family in open_families(answer.text)}


def test_a_request_is_counted_under_its_endpoint_and_never_its_address(owner: Caller, admin: Caller) -> None:
    job, before = world.submitted(owner.id), families(admin)
    status = owner.get(f"/api/v1/tasks/{job}/status")
    owner.get(f"/api/v1/jobs/{job}/status", headers={"If-None-Match": status.headers["ETag"]})
    owner.get(f"/api/v1/jobs/{uuid.uuid4()}")
    owner.get(f"/api/v1/nonsense/{job}")
    after = families(admin)

    def grew(sample: str, **labels: str) -> float:
        return value(after, sample, **labels) - value(before, sample, **labels)

    polls = {"kind": "poll", "endpoint": "get_job_status", "method": "GET"}
    assert grew("callboard_http_requests_total", **polls, status="200") == 1
    assert grew("callboard_http_requests_total", **polls, status="304") == 1
    assert grew("callboard_http_requests_total", endpoint="get_job", status="404") == 1
    assert grew("callboard_http_requests_total", kind="other", endpoint="nowhere", status="404") == 1
    assert grew("callboard_http_request_seconds_count", kind="poll") == 2
    assert grew("callboard_http_request_seconds_bucket", kind="poll", le="+Inf") == 2
    assert grew("callboard_db_statement_seconds_count", service="web") > 4
    assert str(job) not in admin.get("/metrics").text


def test_who_is_refused_is_counted(nobody: Caller, admin: Caller, app: Flask) -> None:
    before = families(admin)
    nobody.get("/api/v1/jobs")
    app.test_client().get("/api/v1/jobs", headers={"X-API-Key": "cb_wrong000_" + "x" * 43})
    nobody.post("/api/v1/auth/login", json={"email": "who@example.org", "password": "wrong"})
    app.config["CALLBOARD"], usual = (
        app.config["CALLBOARD"].model_copy(update={"poll_limit_per_minute": 1}),
        app.config["CALLBOARD"],
    )
    try:
        nobody.get("/healthz"), nobody.get("/healthz")
    finally:
        app.config["CALLBOARD"] = usual
    after = families(admin)

    for kind in ("no_credential", "credential", "sign_in"):
        name = "callboard_auth_failures_total"
        assert value(after, name, kind=kind) - value(before, name, kind=kind) == 1, kind
    name = "callboard_rate_limit_refusals_total"
    assert value(after, name, kind="read") > value(before, name, kind="read")


def test_money_and_tokens_are_told_by_model(admin: Caller, owner: Caller) -> None:
    spender = ledger.Spender(job_id=str(uuid.uuid4()), fence=1, agent_id="test-echo", submitted_by=owner.id)
    with db.transaction():
        ledger.append(spender, [part(1, "0.25"), part(2, "0.5")])
    found = families(admin)
    who = {"provider": "openai", "model": "m-1"}

    assert value(found, "callboard_cost_usd_total", **who) == 0.75
    assert value(found, "callboard_tokens_total", **who, kind="input") == 20
    assert value(found, "callboard_tokens_total", **who, kind="output") == 10


def test_the_token_of_scrapers_opens_the_figures_and_nothing_else(
    app: Flask, token: str, nobody: Caller
) -> None:
    scraper = replace(nobody, key=token)
    assert scraper.get("/metrics").status_code == 200
    for path in ("/api/metrics", "/api/v1/jobs", "/api/v1/me", "/api/v1/users"):
        assert scraper.get(path).status_code == 401, path
    assert replace(nobody, key=token + "x").get("/metrics").status_code == 401


def test_without_a_token_nobody_is_a_scraper(nobody: Caller) -> None:
    assert replace(nobody, key=TOKEN).get("/metrics").status_code == 401


def test_totals_begin_with_the_month_and_retention_takes_nothing_from_them(
    admin: Caller, owner: Caller
) -> None:
    name = "callboard_jobs_finished_total"
    world.completed(owner.id)
    long_ago = world.completed(owner.id)
    with db.transaction():
        db.run(
            "UPDATE task_history SET completed_at = date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
            " - interval '1 second' WHERE job_id = %(id)s",
            id=long_ago,
        )
    assert value(families(admin), name, status="completed") == 1
    assert value(families(admin), "callboard_jobs", status="completed") == 2
