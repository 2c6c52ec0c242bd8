"""Why a job is not running: each reason by itself, then none; and the figures of queues."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app import clock
from app.accounts.permissions import Principal
from app.agents import registry
from app.approvals import answering
from app.db import db
from app.errors import NotFound, PermanentError, TemporaryError
from app.jobs import lifecycle, queries, stats
from app.jobs.explain import explain, explained
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


def test_all_workers_of_the_pool_drain() -> None:
    _worker()
    fleet.drain("w1", by="ada")
    (blocker,) = explain(acting.submitted())["blockers"]
    assert blocker["code"] == "no_worker"
    assert blocker["message"].startswith("all workers of the pool general drain")


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


def _who(role: str, user_id: str = acting.OWNER) -> Principal:
    return Principal(user_id=user_id, email="a@example.org", role=role)


def test_it_is_said_who_holds_the_places_to_those_who_may_know() -> None:
    _worker(9)
    acting.agent("narrow", max_concurrent=2)
    mine = acting.claimed("narrow", worker="w1", task_name="Mine")
    other = acting.claimed("narrow", worker="w2", submitted_by="eve")
    job_id = acting.submitted("narrow")

    def seen_by(who: Principal | None) -> dict[str, Any]:
        (blocker,) = explain(job_id, who=who)["blockers"]
        return dict(blocker)

    everything = seen_by(None)
    assert everything["message"] == "all 2 places of narrow are taken"
    assert [(h["job_id"], h["task_name"], h["worker_id"]) for h in everything["holders"]] == [
        (mine.job_id, "Mine", "w1"),
        (other.job_id, None, "w2"),
    ]
    assert clock.now() - everything["holders"][0]["since"] < timedelta(minutes=1)
    assert seen_by(_who("admin")) == seen_by(_who("viewer")) == everything
    own = seen_by(_who("user"))
    assert ([h["job_id"] for h in own["holders"]], own["holder_count"]) == ([mine.job_id], 2)
    assert seen_by(_who("user", "nobody"))["holders"] == []


def test_at_most_ten_holders_are_told() -> None:
    _worker(99)
    acting.agent("broad", max_concurrent=12)
    for _ in range(12):
        acting.claimed("broad", worker="w1")
    (blocker,) = explain(acting.submitted("broad"))["blockers"]
    assert (len(blocker["holders"]), blocker["holder_count"]) == (10, 12)


def test_the_agents_rate_is_spent_and_when_the_next_token_comes() -> None:
    _worker()
    acting.agent("measured", rate_limit="1/hour")
    lifecycle.complete(acting.claimed("measured"), {})
    job_id = acting.submitted("measured")
    assert _codes(job_id) == ["rate_limit"]
    until = explain(job_id)["blockers"][0]["until"]
    assert timedelta(minutes=59) < until - clock.now() <= timedelta(hours=1)
    db.run(
        "UPDATE agent_rates SET refilled_at = refilled_at - interval '60 minutes' WHERE agent_id = 'measured'"
    )
    assert _codes(job_id) == []


def test_the_workers_are_busy_and_with_what() -> None:
    _worker(1)
    taken = acting.claimed(worker="w1")
    job_id = acting.submitted()
    assert _codes(job_id) == ["busy"]
    (blocker,) = explain(job_id)["blockers"]
    assert ([h["job_id"] for h in blocker["holders"]], blocker["holder_count"]) == ([taken.job_id], 1)


class TestHolds:
    @pytest.mark.parametrize(("code", "subject"), [("budget", "b-1"), ("provider_open", "anthropic")])
    def test_an_agent_that_is_held_says_by_what_and_until_when(self, code: str, subject: str) -> None:
        _worker()
        acting.agent("spender")
        job_id = acting.submitted("spender")
        until = clock.now() + timedelta(hours=1)
        registry.hold("spender", code, "the day's 5 $ are spent", until=until, subject=subject)
        (blocker,) = explain(job_id)["blockers"]
        assert blocker == {
            "code": code,
            "message": "the day's 5 $ are spent",
            "short": "budget held" if code == "budget" else "provider failing",
            "until": until,
            "subject": subject,
        }

    def test_one_whose_time_has_come_holds_nobody(self) -> None:
        _worker()
        acting.agent("spender")
        job_id = acting.submitted("spender")
        registry.hold("spender", "budget", "spent", until=clock.now() - timedelta(seconds=1))
        assert _codes(job_id) == []

    def test_a_job_that_was_handed_back_says_what_it_waits_for(self) -> None:
        _worker()
        acting.agent("spender")
        until = clock.now() + timedelta(minutes=5)
        claim = acting.claimed("spender")
        lifecycle.hold(claim, Reason.PROVIDER_OPEN, until, "every provider rests")
        (blocker,) = explain(claim.job_id)["blockers"]
        assert (blocker["code"], blocker["message"]) == ("provider_open", "every provider rests")
        assert abs(blocker["until"] - until) < timedelta(milliseconds=1)

    def test_one_without_an_end_has_none(self) -> None:
        _worker()
        claim = acting.claimed()
        lifecycle.hold(claim, Reason.BUDGET, None)
        (blocker,) = explain(claim.job_id)["blockers"]
        message = "waits until there is budget again"
        assert blocker == {"code": "budget", "message": message, "short": "budget held", "until": None}

    def test_the_same_hold_is_not_said_twice_and_comes_before_what_else_holds_it(self) -> None:
        acting.agent("spender", max_concurrent=1)
        claim = acting.claimed("spender")
        lifecycle.hold(claim, Reason.BUDGET, None, "spent")
        registry.hold("spender", "budget", "spent", until=None)
        registry.hold("spender", "provider_open", "it rests", until=None, subject="openai")
        assert _codes(claim.job_id) == ["budget", "provider_open", "no_worker"]
        assert lifecycle.lift(["spender"], Reason.BUDGET) == 1
        assert _codes(claim.job_id) == ["budget", "provider_open", "no_worker"]  # the agent's own


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
        monkeypatch.setattr("app.kept.time.monotonic", lambda: now[0])
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

    def test_pools_say_what_waits_runs_and_rests(self) -> None:
        acting.claimed()
        acting.submitted()
        db.run(
            "UPDATE queues SET paused = true, paused_until = now() - interval '1 s' WHERE pool = 'testing'"
        )
        pools = {line["pool"]: line for line in stats.by_pool()}
        assert (pools["general"]["waiting"], pools["general"]["running"]) == (1, 1)
        assert pools["testing"]["paused"] is False


def test_a_job_that_asked_waits_for_whoever_may_answer() -> None:
    _worker()
    job_id, question = acting.asked("Send it?", approvers=("bob@example.com", "user"), deadline_seconds=60)
    told = explain(job_id)
    (why,) = told["blockers"]
    assert (told["status"], told["runnable"], told["queue_position"]) == ("awaiting_input", False, None)
    assert (why["code"], why["subject"]) == ("approval", question)
    assert why["message"] == "waits for the answer of bob@example.com, any user or any admin: Send it?"
    assert timedelta(0) < why["until"] - clock.now() <= timedelta(seconds=60)


def test_whoever_it_was_passed_on_to_is_named_too() -> None:
    job_id, question = acting.asked("Send it?", escalate_seconds=60, escalate_to=("boss@example.com",))
    assert "boss" not in explain(job_id)["blockers"][0]["message"]
    db.run("UPDATE approvals SET escalate_at = now() - interval '1 s'")
    assert answering.escalate(question)
    message = explain(job_id)["blockers"][0]["message"]
    assert message == "waits for the answer of whoever submitted it, boss@example.com or any admin: Send it?"


def test_those_who_may_not_see_what_is_in_it_hear_only_that_it_asks() -> None:
    job_id, _ = acting.asked("A secret?", approvers=("secret@example.com",))
    viewer = Principal(user_id="v", email="v", role="viewer")
    assert explain(job_id, who=viewer)["blockers"][0]["message"] == "waits for a person's answer"
    lifecycle.cancel(job_id)
    assert explain(job_id)["blockers"] == []


def test_those_that_wait_for_people_are_counted_apart() -> None:
    acting.asked()
    figures = stats.overview()
    assert (figures["asking"], figures["waiting"], figures["running"]) == (1, 0, 0)
    assert stats.overview("somebody else")["asking"] == 0
    assert queries.counts_by_status()["awaiting_input"] == 1


def test_who_only_asks_again_shares_what_holds_for_all_of_the_kind() -> None:
    _worker()
    row = queries.get(acting.submitted())
    assert explained(row, recent=True)["blockers"] == []
    db.run("UPDATE queues SET paused = true WHERE pool = 'general'")

    assert explained(row, recent=True)["blockers"] == []
    assert _codes(row["job_id"]) == ["paused"]
    assert [each["code"] for each in explained(row, recent=True)["blockers"]] == ["paused"]
