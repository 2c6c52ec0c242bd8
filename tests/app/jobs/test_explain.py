"""Why a job is not running: each reason by itself, then none; and the figures of queues."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents import registry
from app.db import db
from app.errors import NotFound, PermanentError, TemporaryError
from app.jobs import lifecycle, stats
from app.jobs.explain import explain
from app.jobs.states import Reason
from app.workers import fleet
from tests import acting

pytestmark = pytest.mark.usefixtures("here")


def _worker(threads: int = 4, *pools: str) -> None:
    fleet.register(
        "w1", hostname="h", process_id=1, pools=pools or ("general",), threads=threads, release="1"
    )


def _codes(job_id: str) -> list[str]:
    told = explain(job_id)
    assert told["runnable"] is (not told["blockers"])
    assert all(b["message"] for b in told["blockers"])
    return [b["code"] for b in told["blockers"]]


def test_a_job_that_nothing_holds_up_is_runnable() -> None:
    _worker()
    job_id = acting.submitted()
    told = explain(job_id)
    assert (told["runnable"], told["blockers"], told["queue_position"]) == (True, [], 1)


def test_no_worker_of_the_pool() -> None:
    _worker(4, "testing")
    assert _codes(acting.submitted()) == ["no_worker"]


def test_a_silent_worker_is_none() -> None:
    _worker()
    db.run("UPDATE workers SET seen_at = now() - interval '10 minutes'")
    assert _codes(acting.submitted()) == ["no_worker"]


def test_the_planned_time_and_the_backoff() -> None:
    _worker()
    claim = acting.claimed()
    lifecycle.retry_later(claim, TemporaryError(), 60)
    later = acting.submitted(due_in=60)
    assert _codes(claim.job_id) == ["backoff"]
    assert _codes(later) == ["scheduled"]
    assert explain(later)["blockers"][0]["until"] is not None


def test_the_agent_is_switched_off() -> None:
    _worker()
    acting.agent("resting")
    job_id = acting.submitted("resting")
    registry.enable("resting", enabled=False)
    assert _codes(job_id) == ["agent_disabled"]


def test_the_pool_is_paused_and_why() -> None:
    _worker()
    job_id = acting.submitted()
    db.run("UPDATE queues SET paused = true, pause_reason = 'the flood' WHERE pool = 'general'")
    assert _codes(job_id) == ["paused"]
    assert "the flood" in explain(job_id)["blockers"][0]["message"]


def test_the_agents_places_are_taken() -> None:
    _worker()
    acting.agent("narrow", max_concurrent=1)
    acting.claimed("narrow", worker="w1")
    assert _codes(acting.submitted("narrow")) == ["agent_limit"]


def test_the_agents_rate_is_spent() -> None:
    _worker()
    acting.agent("measured", rate_limit="1/hour")
    lifecycle.complete(acting.claimed("measured"), {})
    assert _codes(acting.submitted("measured")) == ["rate_limit"]


def test_the_workers_are_busy() -> None:
    _worker(1)
    acting.claimed(worker="w1")
    assert _codes(acting.submitted()) == ["busy"]


def test_others_go_first() -> None:
    _worker()
    acting.submitted(priority="critical")
    job_id = acting.submitted()
    assert _codes(job_id) == ["queue"]
    assert explain(job_id)["queue_position"] == 2


def test_running_and_finished_jobs_have_no_blockers() -> None:
    claim = acting.claimed()
    assert (explain(claim.job_id)["blockers"], explain(claim.job_id)["runnable"]) == ([], False)
    with pytest.raises(NotFound):
        explain(lifecycle.new_id())


class TestFigures:
    def test_depth_rate_and_wait_by_priority(self) -> None:
        for _ in range(3):
            acting.submitted(priority="low")
        acting.submitted(priority="low", due_in=60)
        lifecycle.complete(acting.claimed(priority="critical"), {})
        figures = stats.queues(fresh=True)
        assert [figures[p]["depth"] for p in ("critical", "high", "normal", "low")] == [0, 0, 0, 3]
        assert (figures["critical"]["per_minute"], figures["critical"]["processing_rate"]) == (
            0.2,
            "0.2/minute",
        )
        assert figures["low"]["oldest_waiting_since"] is not None

    def test_figures_are_kept_for_ten_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1000.0]
        monkeypatch.setattr("app.jobs.stats.time.monotonic", lambda: now[0])
        assert stats.queues(fresh=True)["normal"]["depth"] == 0
        acting.submitted()
        now[0] += 9.9
        assert stats.queues()["normal"]["depth"] == 0
        now[0] += 0.2
        assert stats.queues()["normal"]["depth"] == 1

    def test_the_estimate_is_the_place_by_the_rate_and_unknown_without_one(self) -> None:
        assert stats.estimated_wait_seconds(None) is None
        assert (stats.estimated_wait_seconds(1), stats.estimated_wait_seconds(5)) == (0, None)
        for _ in range(5):
            lifecycle.complete(acting.claimed(), {})
        stats.queues(fresh=True)
        assert stats.estimated_wait_seconds(4) == 180  # one a minute

    def test_the_overview_counts_the_last_hour_and_knows_the_trend(self) -> None:
        assert stats.overview()["success_rate"] is None
        for _ in range(3):
            lifecycle.complete(acting.claimed(), {})
        lifecycle.fail(acting.claimed(), PermanentError(), Reason.PERMANENT)
        acting.claimed()
        acting.submitted(due_in=60)
        acting.submitted()
        seen = stats.overview()
        expected = {
            "running": 1,
            "waiting": 1,
            "scheduled": 1,
            "succeeded_1h": 3,
            "failed_1h": 1,
            "success_rate": 0.75,
        }
        assert {k: seen[k] for k in expected} == expected
        assert (seen["dead_24h"], seen["trend"]) == (1, None)
        assert stats.overview(owner="nobody")["succeeded_1h"] == 0
        assert stats.totals() == {"completed": 3, "failed": 1}

    @pytest.mark.parametrize(
        ("rate", "before", "word"),
        [
            (0.9, 0.8, "improving"),
            (0.8, 0.9, "worsening"),
            (0.902, 0.9, "stable"),
            (None, 0.9, None),
            (0.9, None, None),
        ],
    )
    def test_half_a_point_is_no_trend(self, rate: Any, before: Any, word: str | None) -> None:
        assert stats.trend(rate, before) == word

    def test_throughput_shows_empty_minutes_too(self) -> None:
        lifecycle.complete(acting.claimed(), {})
        minutes = stats.throughput(5)
        assert len(minutes) == 5
        assert sum(m["completed"] for m in minutes) == 1
        assert [m["at"] for m in minutes] == sorted(m["at"] for m in minutes)

    def test_pools_say_what_waits_runs_and_rests(self) -> None:
        acting.claimed()
        acting.submitted()
        db.run(
            "UPDATE queues SET paused = true, paused_until = now() - interval '1 s' WHERE pool = 'testing'"
        )
        pools = {line["pool"]: line for line in stats.by_pool()}
        assert (pools["general"]["waiting"], pools["general"]["running"]) == (1, 1)
        assert pools["testing"]["paused"] is False
