"""Polls are measured where they are answered, reports are taken from whoever polls, and the health is told of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app.api import auth, polling
from app.db import Row, db, make_engine
from app.polling import measured, minutes
from app.polling.measured import Measured
from app.polling.minutes import Tally
from tests.app.api import world
from tests.app.api.calling import Caller
from tests.waiting import until

REPORT, HEALTH = "/api/v1/polling/report", "/api/health/polling"
GOOD: dict[str, Any] = {
    "polls": 30, "unchanged": 20, "failures": 3, "timeouts": 1, "ms_sum": 6000, "ms_most": 5000,
    "ms_spread": [20, 9, 0, 0, 0, 0, 0, 0, 1, 0], "recoveries": 1, "recovery_seconds_sum": 4.5,
    "recovery_seconds_most": 4.5, "seconds": 60,
}  # fmt: skip


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """The counters of this process, anew; nothing is written down by itself."""
    fresh = Measured()
    for name in ("note", "flush"):
        monkeypatch.setattr(measured, name, getattr(fresh, name))
    monkeypatch.setattr(measured, "due", lambda: False)
    return fresh


def total(of: Measured) -> Tally:
    whole = Tally()
    for tally in of._tallies.values():
        whole.add(tally)
    return whole


def rows(seen_by: str) -> list[Row]:
    with db.quick():
        return db.rows("SELECT * FROM polling_minutes WHERE seen_by = %(seen_by)s", seen_by=seen_by)


def keep(seen_by: str, tally: Tally) -> None:
    with db.quick():
        now = int(db.value("SELECT extract(epoch FROM date_trunc('minute', now())) / 60"))
        minutes.keep(seen_by, {now: tally})


class TestMeasuring:
    def test_the_status_of_jobs_is_measured_by_all_its_names(self, owner: Caller, counted: Measured) -> None:
        job_id = world.submitted(owner.id)
        first = owner.get(f"/api/v1/jobs/{job_id}/status")
        owner.get(f"/api/ai/jobs/{job_id}/status", headers={"If-None-Match": first.headers["ETag"]})
        owner.get(f"/api/v1/jobs/status?ids={job_id}")
        seen = total(counted)
        assert (seen.polls, seen.unchanged, seen.failures) == (3, 1, 0)
        assert seen.queries >= 3
        assert 0 < seen.query_ms_most <= seen.query_ms_sum < seen.ms_sum

    def test_what_is_no_poll_is_not(self, owner: Caller, admin: Caller, counted: Measured) -> None:
        job_id = world.submitted(owner.id)
        owner.get(f"/api/v1/jobs/{job_id}")
        owner.get("/api/v1/jobs")
        owner.post(f"/api/v1/jobs/{job_id}/cancel")
        owner.get(HEALTH)
        assert total(counted).polls == 0

    def test_no_fault_of_the_server_is_no_failure(
        self, owner: Caller, nobody: Caller, counted: Measured
    ) -> None:
        nobody.get(f"/api/v1/jobs/{world.NOTHING}/status")
        owner.get(f"/api/v1/jobs/{world.NOTHING}/status")
        assert (total(counted).polls, total(counted).failures) == (2, 0)

    def test_a_database_that_is_away_is_a_failure(
        self, owner: Caller, counted: Measured, database_gone: None
    ) -> None:
        owner.get(f"/api/v1/jobs/{world.NOTHING}/status")
        assert (total(counted).polls, total(counted).failures) == (1, 1)

    def test_it_is_written_down_after_an_answer(
        self, owner: Caller, counted: Measured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(measured, "due", lambda: True)
        job_id = world.submitted(owner.id)
        owner.get(f"/api/v1/jobs/{job_id}/status").close()
        until(lambda: rows("server"))
        assert rows("server")[0]["polls"] == 1

    def test_that_it_cannot_be_written_is_nobodys_trouble(
        self, owner: Caller, counted: Measured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(minutes, "keep", fail)
        monkeypatch.setattr(measured, "due", lambda: True)
        answer = owner.get(f"/api/v1/jobs/{world.submitted(owner.id)}/status")
        answer.close()
        assert answer.status_code == 200
        assert total(counted).polls == 1


@pytest.fixture
def database_gone(quick: Any) -> Iterator[None]:
    """`db.quick()` finds nobody at the address."""
    away = make_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    db.open(away)
    yield
    db.open(quick)
    away.dispose()


class TestReports:
    def test_a_viewer_may_add_to_the_sums(self, viewer: Caller) -> None:
        for _ in range(2):
            answer = viewer.post(REPORT, json=GOOD)
            assert (answer.status_code, answer.data) == (204, b"")
        found = rows("client")
        assert [sum(row[name] for row in found) for name in ("polls", "failures", "pages")] == [60, 6, 2]

    def test_nobody_may_not(self, nobody: Caller) -> None:
        assert nobody.post(REPORT, json=GOOD).status_code == 401

    @pytest.mark.parametrize(
        ("name", "value"),
        [("polls", -1), ("polls", "30"), ("polls", 1e99), ("ms_spread", [1]), ("ms_most", 7000), ("seconds", 0),
         ("unchanged", 28), ("more", 1), ("ms_spread", [30] + [1] * 9), ("polls", 300)],
    )  # fmt: skip
    def test_what_cannot_be_right_is_refused(self, name: str, value: Any, owner: Caller) -> None:
        answer = owner.post(REPORT, json=GOOD | {name: value})
        assert answer.status_code == 422
        assert answer.json is not None
        assert answer.json["errors"][0]["pointer"].startswith("/")
        assert rows("client") == []

    @pytest.mark.parametrize(
        "text", ['{"polls": NaN}', '{"ms_sum": 1e999, "seconds": 1}', "", "[]", '{"seconds": 1', "\x00"]
    )
    def test_what_is_no_report_is_refused(self, text: str, owner: Caller) -> None:
        answer = owner.post(REPORT, data=text, content_type="application/json")
        assert 400 <= answer.status_code < 500
        assert rows("client") == []

    def test_a_huge_one_is_refused(self, owner: Caller) -> None:
        huge = json.dumps(GOOD) + " " * 3000
        assert owner.post(REPORT, data=huge, content_type="application/json").status_code == 400
        assert rows("client") == []


class TestHealth:
    def test_without_any_polls_it_is_healthy(self, nobody: Caller) -> None:
        health = nobody.get(HEALTH).json
        assert health is not None
        assert (health["status"], health["server"]["polls"], health["pages"]["average_ms"]) == (
            "healthy",
            0,
            None,
        )
        assert {check["name"]: check["threshold"] for check in health["checks"]} == {
            "failure_rate": 0.05, "response_seconds": 5.0, "recovery_seconds": 60.0, "query_seconds": 1.0,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("seen_by", "tally", "status", "over"),
        [
            ("server", Tally(polls=100, failures=5), "healthy", []),
            ("server", Tally(polls=100, failures=6), "degraded", ["failure_rate"]),
            ("client", Tally(polls=100, failures=60), "unhealthy", ["failure_rate"]),
            ("client", Tally(polls=19, failures=19), "healthy", []),
            ("client", Tally(polls=20, ms_sum=102_000, ms_most=9000), "degraded", ["response_seconds"]),
            ("client", Tally(polls=1, recoveries=1, recovery_seconds_sum=61, recovery_seconds_most=61), "degraded", ["recovery_seconds"]),
            ("server", Tally(polls=1, queries=1, query_ms_sum=1001, query_ms_most=1001), "degraded", ["query_seconds"]),
        ],
    )  # fmt: skip
    def test_it_is_as_bad_as_its_worst_figure(
        self, seen_by: str, tally: Tally, status: str, over: list[str], nobody: Caller
    ) -> None:
        keep(seen_by, tally)
        answer = nobody.get(HEALTH)
        assert answer.json is not None
        assert (answer.status_code, answer.json["status"]) == (503 if status == "unhealthy" else 200, status)
        assert [check["name"] for check in answer.json["checks"] if check["over"]] == over
        assert bool(answer.json.get("reason")) == bool(over)

    def test_it_tells_of_both_sides_and_no_secrets(self, nobody: Caller) -> None:
        keep("server", Tally(polls=40, unchanged=30, ms_sum=80, ms_most=9, ms_spread=[40] + [0] * 9))
        keep("client", Tally(polls=40, failures=1, ms_sum=800, ms_most=90, ms_spread=[0, 39, 0, 1] + [0] * 6))
        health = nobody.get(HEALTH).json
        assert health is not None
        assert (health["server"]["unchanged_rate"], health["server"]["average_ms"]) == (0.75, 2.0)
        assert (health["pages"]["success_rate"], health["pages"]["average_ms"]) == (0.975, 20.0)


def test_what_counts_as_a_poll_exists(app: Flask) -> None:
    names = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert polling.LOOK in names
    assert any(name.startswith(polling.PANELS) for name in names)
    assert {f"api.{name}" for name in auth.POLLED} <= names
