"""Jobs that cannot go on for now through no fault of their own, and those that were stopped with half a result."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.agents import registry
from app.db import db
from app.errors import LostLease, StoppedByBudget
from app.jobs import lifecycle, timeline
from app.jobs.states import Reason
from tests import acting

pytestmark = pytest.mark.usefixtures("here")


def test_a_held_attempt_costs_no_retry_and_waits_for_its_time() -> None:
    taken = acting.claimed()
    until = clock.now() + timedelta(hours=2)

    lifecycle.hold(taken, Reason.PROVIDER_OPEN, until)

    row = acting.job(taken.job_id)
    assert (row["status"], row["status_reason"]) == ("retry", "provider_open")
    assert (row["retry_count"], row["released_count"], row["lost_count"]) == (0, 1, 0)
    assert row["run_at"] == until
    assert acting.claim() is None
    assert [a["outcome"] for a in timeline.attempts(taken.job_id)] == ["released"]


def test_a_hold_without_an_end_lasts_until_it_is_lifted() -> None:
    held, other = acting.claimed(), acting.claimed()
    lifecycle.hold(held, Reason.BUDGET, None)
    lifecycle.hold(other, Reason.PROVIDER_OPEN, None)
    assert acting.claim() is None

    assert lifecycle.lift(["test-noop"], Reason.BUDGET) == 1

    again = acting.claim()
    assert again is not None
    assert again.job_id == held.job_id
    assert acting.claim() is None


def test_who_lost_the_lease_cannot_hold() -> None:
    taken = acting.claimed()
    acting.rescue(taken)
    with pytest.raises(LostLease):
        lifecycle.hold(taken, Reason.BUDGET, None)


def test_a_job_to_be_cancelled_is_not_held_but_cancelled() -> None:
    taken = acting.claimed()
    lifecycle.cancel(taken.job_id)
    lifecycle.hold(taken, Reason.BUDGET, None)
    assert acting.status(taken.job_id) == "cancelled"


@pytest.mark.parametrize("ours", [{"max_concurrent": 5}, {"runner": "llm", "python": None}])
def test_an_agent_on_hold_is_not_claimed_and_blocks_nobody(ours: dict[str, object]) -> None:
    acting.agent("thrifty", **ours)
    waiting = acting.submitted("thrifty", parameters={"task": "x"})
    registry.hold("thrifty", "budget", "the budget is spent", until=None, subject="b1")
    other = acting.submitted()

    first = acting.claim()
    assert first is not None
    assert first.job_id == other
    assert acting.claim() is None

    assert registry.unhold("budget", "b1") == ["thrifty"]
    freed = acting.claim()
    assert freed is not None
    assert freed.job_id == waiting


def test_a_hold_ends_by_itself_at_its_time() -> None:
    acting.agent("patient", max_concurrent=1)
    acting.submitted("patient")
    registry.hold(
        "patient", "provider_open", "paused", until=clock.now() + timedelta(hours=1), subject="ollama"
    )
    assert acting.claim() is None
    db.run("UPDATE agent_holds SET until = now() - interval '1 s'")
    assert acting.claim() is not None


def test_holding_twice_renews_and_two_holds_are_two() -> None:
    acting.agent("patient", max_concurrent=1)
    for message in ("first", "second"):
        registry.hold("patient", "budget", message, until=None, subject="b1")
    registry.hold("patient", "provider_open", "paused", until=None, subject="ollama")
    assert {r["message"] for r in db.rows("SELECT message FROM agent_holds")} == {"second", "paused"}
    acting.submitted("patient")
    registry.unhold("budget", "b1")
    assert acting.claim() is None


def test_a_job_stopped_by_its_budget_keeps_what_it_had() -> None:
    taken = acting.claimed()

    lifecycle.fail(taken, StoppedByBudget("$1.00 spent"), Reason.STOPPED_BUDGET, partial={"result": "half a"})

    row = acting.job(taken.job_id)
    assert (row["status"], row["status_reason"]) == ("failed", "stopped_budget")
    assert row["result"] == {"result": "half a"}
    letter = db.row("SELECT reason, error_type FROM dead_letters WHERE job_id = %(id)s", id=taken.job_id)
    assert letter == {"reason": "permanent", "error_type": "StoppedByBudget"}


def test_a_pinned_job_runs_the_version_it_names_and_others_the_newest() -> None:
    acting.agent("changing")
    old = registry.get("changing").version
    acting.agent("changing", team="NEW")
    new = registry.get("changing").version
    assert old != new
    pinned, free = acting.submitted("changing"), acting.submitted("changing")
    db.run("UPDATE jobs SET pinned = true, agent_version = %(v)s WHERE job_id = %(id)s", v=old, id=pinned)

    claims = {c.job_id: c.agent_version for c in (acting.claim(), acting.claim()) if c}

    assert claims == {pinned: old, free: new}
