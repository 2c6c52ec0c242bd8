"""Taking work: the best eligible job, and nobody else's."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from app import clock
from app.agents import registry
from app.db import db
from app.errors import TemporaryError
from app.jobs import claims, lifecycle
from app.settings import POOLS
from tests import acting

pytestmark = pytest.mark.usefixtures("here")


def _order_of_claims(limit: int = 1) -> list[str]:
    taken: list[str] = []
    while found := claims.claim_next("w1", POOLS, lease_seconds=60, limit=limit):
        taken += [c.job_id for c in found]
    return taken


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_jobs_are_claimed_by_priority_then_due_time_then_id(limit: int) -> None:
    acting.agent("gated", max_concurrent=50)
    base = clock.now() - timedelta(minutes=5)
    jobs: list[tuple[int, float, str]] = []
    for n, (agent, word) in enumerate(
        itertools.product(("test-noop", "gated"), ("low", "normal", "critical", "high"))
    ):
        for age in (n % 3, 0, n % 2):
            at = base + timedelta(seconds=age)
            job_id = acting.submitted(agent, priority=word, run_at=at)
            jobs.append((["critical", "high", "normal", "low"].index(word), at.timestamp(), job_id))
    assert _order_of_claims(limit) == [job_id for _, _, job_id in sorted(jobs)]


def test_a_claim_carries_everything_an_attempt_needs() -> None:
    job_id = acting.submitted(
        "test-echo", parameters={"text": "hello"}, priority="high", timeout=9, max_retries=2
    )
    claim = acting.claim("w7")
    assert claim is not None
    assert (claim.job_id, claim.fence, claim.worker_id, claim.agent_id) == (job_id, 1, "w7", "test-echo")
    assert (claim.parameters, claim.options, claim.max_retries) == ({"text": "hello"}, {"timeout": 9}, 2)
    assert claim.idempotency_key == f"{job_id}:1"
    row = acting.job(job_id)
    assert (row["status"], row["worker_id"], row["lease_id"]) == ("running", "w7", claim.lease_id)
    assert row["started_at"] is not None
    assert 55 < (row["lease_expires_at"] - clock.now()).total_seconds() <= 60


def test_a_claimed_job_is_not_claimed_again() -> None:
    acting.claimed()
    assert acting.claim("w2") is None


@pytest.mark.parametrize("waiting", ["queued", "pending", "retry"])
def test_a_due_job_is_claimed_in_every_waiting_status(waiting: str) -> None:
    if waiting == "retry":
        lifecycle.retry_later(acting.claimed(), TemporaryError(), 0)
    else:
        acting.make_due(acting.submitted(due_in=60 if waiting == "pending" else 0))
    assert acting.claim() is not None


@pytest.mark.parametrize("waiting", ["pending", "retry"])
def test_a_job_that_is_not_due_is_left_alone(waiting: str) -> None:
    if waiting == "retry":
        lifecycle.retry_later(acting.claimed(), TemporaryError(), 60)
    else:
        acting.submitted(due_in=60)
    assert acting.claim() is None


def test_a_worker_takes_only_jobs_of_its_pools() -> None:
    acting.agent("seller", pool="marketing")
    acting.agent("tester", pool="testing")
    sold, tested = acting.submitted("seller"), acting.submitted("tester", priority="critical")
    assert acting.claim(pools=("engineering", "general")) is None
    first = acting.claim(pools=("marketing",))
    assert first is not None
    assert first.job_id == sold
    second = acting.claim(pools=("marketing", "testing"))
    assert second is not None
    assert second.job_id == tested


@pytest.mark.parametrize("agent", ["test-noop", "test-limited"])
def test_a_paused_pool_is_left_alone_until_it_goes_on(agent: str) -> None:
    acting.submitted(agent)
    db.run("UPDATE queues SET paused = true WHERE pool = 'general'")
    assert acting.claim() is None
    db.run("UPDATE queues SET paused_until = now() - interval '1 s' WHERE pool = 'general'")
    assert acting.claim() is not None


def test_a_disabled_agents_jobs_wait_and_others_go_on() -> None:
    acting.agent("resting")
    held, other = acting.submitted("resting", priority="critical"), acting.submitted()
    registry.enable("resting", enabled=False)
    assert _order_of_claims() == [other]
    registry.enable("resting", enabled=True)
    assert _order_of_claims() == [held]


def test_a_full_agent_does_not_hold_up_others_and_costs_no_attempt() -> None:
    acting.agent("narrow", max_concurrent=1)
    first, held = (acting.submitted("narrow", priority="critical") for _ in range(2))
    free = acting.submitted(priority="low")
    assert _order_of_claims() == [first, free]
    assert (acting.job(held)["fence"], acting.job(held)["retry_count"]) == (0, 0)


@pytest.mark.parametrize("ending", ["complete", "retry_later", "release", "stop", "rescue"])
def test_every_ending_frees_the_agents_place(ending: str) -> None:
    acting.agent("narrow", max_concurrent=1)
    claim = acting.claimed("narrow")
    acting.submitted("narrow", priority="critical")
    assert acting.claim() is None
    match ending:
        case "complete":
            lifecycle.complete(claim, {})
        case "retry_later":
            lifecycle.retry_later(claim, TemporaryError(), 60)
        case "release":
            lifecycle.release(claim)
        case "stop":
            lifecycle.stop(claim)
        case "rescue":
            acting.rescue(claim)
    assert acting.claim() is not None
    assert acting.claim() is None


def test_an_agent_that_gets_a_limit_takes_its_waiting_jobs_into_its_lane() -> None:
    acting.agent("grown")
    jobs = [acting.submitted("grown") for _ in range(3)]
    registry.set_limits("grown", 1, None)
    assert _order_of_claims() == jobs[:1]
    registry.set_limits("grown", None, None)
    assert _order_of_claims() == jobs[1:]


def test_a_job_submitted_while_its_agent_got_a_limit_obeys_the_limit() -> None:
    acting.agent("raced", max_concurrent=1)
    jobs = [acting.submitted("raced") for _ in range(2)]
    db.run("UPDATE jobs SET lane = NULL")  # as if submitted a moment before the limit
    claimed = [c.job_id for _ in range(4) if (c := acting.claim())]
    assert claimed == jobs[:1]


def test_a_smaller_limit_holds_while_old_slots_are_still_taken() -> None:
    acting.agent("shrunk", max_concurrent=3)
    for _ in range(5):
        acting.submitted("shrunk")
    running = [acting.claim() for _ in range(3)]
    registry.set_limits("shrunk", 1, None)
    assert running[0] is not None
    lifecycle.complete(running[0], {})
    assert db.value("SELECT count(*) FROM jobs WHERE status = 'running'") == 2
    next_one = acting.claim()
    assert next_one is None or acting.claim() is None


def test_a_rate_is_spent_by_claims_and_refills_with_time() -> None:
    acting.agent("measured", rate_limit="2/minute")
    for _ in range(4):
        acting.submitted("measured")
    assert len(_order_of_claims()) == 2
    db.run("UPDATE agent_rates SET refilled_at = refilled_at - interval '31 s' WHERE agent_id = 'measured'")
    assert len(_order_of_claims()) == 1


def test_the_attempt_runs_the_version_that_is_current_when_it_is_claimed() -> None:
    acting.agent("edited")
    job_id = acting.submitted("edited")
    submitted_version = acting.job(job_id)["agent_version"]
    acting.agent("edited", title="Edited")
    claim = acting.claim()
    assert claim is not None
    assert claim.agent_version != submitted_version
    assert claim.agent_version == db.value("SELECT version FROM agents WHERE agent_id = 'edited'")


class TestBeats:
    def test_a_beat_extends_the_lease(self) -> None:
        claim = acting.claimed()
        before = acting.job(claim.job_id)["lease_expires_at"]
        heard = claims.beat([claim], lease_seconds=600, extend=True)
        assert heard == {(claim.job_id, 1): claims.Beat(held=True, cancel=False)}
        assert (acting.job(claim.job_id)["lease_expires_at"] - before).total_seconds() > 500

    def test_listening_alone_extends_nothing(self) -> None:
        claim = acting.claimed()
        before = acting.job(claim.job_id)
        assert claims.beat([claim], lease_seconds=600, extend=False)[claim.job_id, 1].held
        assert acting.job(claim.job_id) == before

    @pytest.mark.parametrize("extend", [True, False])
    def test_a_cancel_request_is_heard(self, extend: bool) -> None:
        claim = acting.claimed()
        lifecycle.cancel(claim.job_id)
        assert claims.beat([claim], lease_seconds=60, extend=extend)[claim.job_id, 1] == claims.Beat(
            True, True
        )

    @pytest.mark.parametrize("extend", [True, False])
    def test_a_claim_that_was_taken_over_is_not_held_and_its_successor_not_extended(
        self, extend: bool
    ) -> None:
        old = acting.claimed()
        acting.rescue(old)
        new = acting.claim("w2")
        assert new is not None
        before = acting.job(old.job_id)["lease_expires_at"]
        assert not claims.beat([old], lease_seconds=999, extend=extend)[old.job_id, 1].held
        assert acting.job(old.job_id)["lease_expires_at"] == before

    def test_nothing_in_hand_is_nothing_to_ask(self, quick: Engine) -> None:
        assert claims.beat([], lease_seconds=60, extend=True) == {}
