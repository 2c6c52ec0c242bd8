"""Delegation: who may hand out what to whom, in which bounds, out of which allowance, and what ends with whom."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from app.accounts.permissions import Principal
from app.budgets import ledger
from app.budgets.ledger import Spender
from app.budgets.tally import Part
from app.db import db
from app.errors import AgentNotFound, Conflict, Invalid, NotFound, PermanentError
from app.jobs import delegation, document, explain, family, intake, lifecycle, queries
from app.jobs.claims import Claim
from app.jobs.delegation import Limits
from app.jobs.intake import Wish
from app.jobs.states import Reason
from app.polling.hints import Pace
from tests import acting

pytestmark = pytest.mark.usefixtures("here")

WIDE = Limits(depth=3, children=50)
ADMIN = Principal(user_id="admin", email="admin@example.com", role="admin")


def boss(**ours: Any) -> None:
    """The agent `boss`, which may hand jobs to the worker agents of these tests."""
    acting.agent("boss", **{"delegation": {"to": ["helper", "boss"]}} | ours)
    acting.agent("helper")


def delegate(claim: Claim, agent_id: str = "helper", limits: Limits = WIDE, **wish: Any) -> str:
    told = Wish(**{"agent_id": agent_id, "parameters": {}, "submitted_by": "?"} | wish)
    with db.transaction():
        return str(delegation.submit_child(claim.job_id, claim.fence, told, limits)["job_id"])


def started(job_id: str) -> Claim:
    """The claim of a job that is the only one to take."""
    claim = acting.claim()
    assert claim is not None
    assert claim.job_id == job_id
    return claim


def used(claim: Claim, *, usd: str = "0", tokens: int = 0) -> None:
    """What an attempt used, in the ledger."""
    part = Part(
        call_id="c", part=int(db.value("SELECT count(*) FROM usage_events")), provider="p", model="m",
        input_tokens=tokens, output_tokens=0, cache_read_tokens=0, cache_write_tokens=0, reasoning_tokens=0,
        cost_usd=Decimal(usd), cost_status="reported", billing="api", price_version=None,
    )  # fmt: skip
    spender = Spender(
        job_id=claim.job_id, fence=claim.fence, agent_id=claim.agent_id, submitted_by=claim.submitted_by
    )
    ledger.append(spender, [part])


def row_of(job_id: str) -> dict[str, Any]:
    found = db.row("SELECT *, parent_job_id::text AS parent FROM jobs WHERE job_id = %(job)s", job=job_id)
    assert found is not None
    return found


def test_a_child_belongs_to_its_parents_owner_session_and_request() -> None:
    boss()
    claim = acting.claimed("boss", correlation_id="a-request")
    child = row_of(delegate(claim, session_id="elsewhere", submitted_by="somebody"))
    assert (child["parent"], child["depth"]) == (claim.job_id, 1)
    assert (child["submitted_by"], child["correlation_id"]) == (acting.OWNER, "a-request")
    assert child["session_id"] is None


def test_only_agents_that_say_so_delegate_and_only_to_those_they_name() -> None:
    boss()
    acting.agent("stranger")
    with pytest.raises(Invalid, match="may not delegate"):
        delegate(acting.claimed("helper"))
    claim = acting.claimed("boss")
    with pytest.raises(Invalid, match="boss, helper, not to stranger"):
        delegate(claim, "stranger")
    with pytest.raises(AgentNotFound):
        delegate(claim, "nobody-at-all")


def test_a_star_is_any_agent() -> None:
    boss(delegation={"to": ["*"]})
    acting.agent("stranger")
    assert delegate(acting.claimed("boss"), "stranger")


def test_depth_and_number_are_capped() -> None:
    acting.agent("boss", delegation={"to": ["*"], "recursive": True})
    claim = acting.claimed("boss")
    child = started(delegate(claim, "boss"))
    with pytest.raises(Invalid, match="1 level at most"):
        delegate(child, "boss", Limits(depth=1, children=50))
    with pytest.raises(Invalid, match="delegated 1 jobs"):
        delegate(claim, "boss", Limits(depth=3, children=1))


def test_an_agent_does_not_work_for_itself_unless_it_says_so() -> None:
    boss()
    claim = acting.claimed("boss")
    with pytest.raises(Invalid, match="boss would work for itself"):
        delegate(claim, "boss")
    acting.agent("helper", delegation={"to": ["boss"]})
    between = started(delegate(claim, "helper"))
    with pytest.raises(Invalid, match="would work for itself"):
        delegate(between, "boss")
    boss(delegation={"to": ["helper"], "recursive": True})
    assert delegate(between, "boss")


def test_under_one_key_there_is_one_child_also_for_a_later_attempt() -> None:
    boss()
    claim = acting.claimed("boss")
    first = delegate(claim, child_key="the report")
    assert delegate(claim, child_key="the report") == first
    assert delegate(claim, child_key="another") != first
    lifecycle.release(claim)
    db.run(
        "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE parent_job_id = %(job)s", job=claim.job_id
    )
    again = started(claim.job_id)
    assert again.fence == claim.fence + 1
    assert delegate(again, child_key="the report") == first
    with pytest.raises(Conflict, match="another key"):
        delegate(again, "boss", child_key="the report")


def test_an_attempt_that_is_over_hands_out_nothing() -> None:
    boss()
    claim = acting.claimed("boss")
    lifecycle.cancel(claim.job_id)
    with pytest.raises(Conflict, match="was cancelled"):
        delegate(claim)
    lifecycle.stop(claim)
    with pytest.raises(Conflict, match="is over"):
        delegate(claim)
    second = acting.claimed("boss")
    with pytest.raises(Conflict, match="is over"):
        delegate(replace(second, fence=second.fence + 1))


def test_a_delegated_job_tells_nobody_outside() -> None:
    boss()
    with pytest.raises(Invalid, match="tells its parent"):
        delegate(acting.claimed("boss"), notify={"callback_url": "https://example.com"})


# -- what it may use


def test_a_child_gets_half_of_what_is_left_or_what_its_agent_has_if_that_is_less() -> None:
    boss(budget={"usd": 1.0, "tokens": 1001})
    claim = acting.claimed("boss")
    used(claim, usd="0.20", tokens=1)
    assert row_of(delegate(claim))["options"]["budget"] == {"usd": 0.4, "tokens": 500}
    acting.agent("helper", budget={"usd": 0.05})
    assert row_of(delegate(claim))["options"]["budget"] == {"usd": 0.05, "tokens": 250}


def test_a_child_never_gets_more_than_is_left() -> None:
    boss(budget={"usd": 1.0})
    claim = acting.claimed("boss")
    used(claim, usd="0.30")
    delegate(claim, budget={"usd": 0.5})
    with pytest.raises(Invalid, match=r"more than the \$0.20"):
        delegate(claim, budget={"usd": 0.3})
    delegate(claim, budget={"usd": 0.2})
    with pytest.raises(Invalid, match="nothing left"):
        delegate(claim)


def test_a_child_that_ended_counts_what_it_really_used_and_its_own_that_live() -> None:
    boss(budget={"usd": 1.0}, delegation={"to": ["*"]})
    acting.agent("helper", delegation={"to": ["*"]})
    acting.agent("errand")
    claim = acting.claimed("boss")
    child = started(delegate(claim, budget={"usd": 0.8}))
    used(child, usd="0.10")
    assert delegation.set_aside(claim.job_id)["usd"] == Decimal("0.8")
    grandchild = delegate(child, "errand", budget={"usd": 0.3})
    assert delegation.set_aside(claim.job_id)["usd"] == Decimal("0.8")
    lifecycle.complete(child, {"ok": True})
    assert delegation.set_aside(claim.job_id)["usd"] == Decimal("0.4")
    lifecycle.cancel(grandchild)
    assert delegation.set_aside(claim.job_id)["usd"] == Decimal("0.1")


def test_minutes_are_shared_out_too() -> None:
    boss(budget={"minutes": 10})
    claim = acting.claimed("boss")
    child = row_of(delegate(claim))["options"]["budget"]["minutes"]
    assert 4.9 < child <= 5


def test_without_an_allowance_of_the_parent_only_the_agents_own_counts() -> None:
    boss()
    acting.agent("helper", budget={"usd": 0.5})
    claim = acting.claimed("boss")
    assert "budget" not in row_of(delegate(claim))["options"]
    with pytest.raises(Invalid, match="more than the"):
        delegate(claim, budget={"usd": 0.6})


def test_many_that_delegate_at_once_never_share_out_more_than_there_is() -> None:
    boss(budget={"tokens": 1000})
    claim = acting.claimed("boss")

    def one(_: int) -> int:
        try:
            with db.quick():
                delegate(claim, budget={"tokens": 150})
        except Invalid:
            return 0
        return 1

    with ThreadPoolExecutor(16) as threads:
        given = sum(threads.map(one, range(16)))
    assert given == 6
    assert delegation.set_aside(claim.job_id)["tokens"] == 900


# -- what ends with whom


def test_cancelling_reaches_everything_that_lives_below() -> None:
    boss(delegation={"to": ["*"]})
    acting.agent("helper", delegation={"to": ["*"]})
    acting.agent("errand")
    claim = acting.claimed("boss")
    child = started(delegate(claim))
    waiting, other = delegate(child, "errand"), delegate(claim, "errand")
    lifecycle.complete(child, {"ok": True})
    lifecycle.cancel(claim.job_id)
    assert [acting.status(each) for each in (waiting, other)] == ["cancelled", "cancelled"]
    assert acting.status(child.job_id) == "completed"
    assert acting.status(claim.job_id) == "running"


@pytest.mark.parametrize("many", [True, False])
def test_running_descendants_are_asked_to_stop(many: bool) -> None:
    boss()
    claim = acting.claimed("boss")
    child = started(delegate(claim))
    if many:
        assert [row["job_id"] for row in lifecycle.cancel_many([claim.job_id])] == [claim.job_id]
    else:
        lifecycle.cancel(claim.job_id)
    assert row_of(child.job_id)["cancel_requested_at"] is not None


def test_a_tree_is_cancelled_also_when_its_root_is_over() -> None:
    boss()
    claim = acting.claimed("boss")
    child = delegate(claim)
    lifecycle.complete(claim, {"ok": True})
    assert acting.status(child) == "queued"
    delegation.cancel_tree(claim.job_id)
    assert acting.status(child) == "cancelled"


@pytest.mark.parametrize(
    ("rules", "reason", "ends"),
    [
        ({}, Reason.PERMANENT, "queued"),
        ({"on_failure": "cancel"}, Reason.PERMANENT, "cancelled"),
        ({}, Reason.STOPPED_BUDGET, "cancelled"),
    ],
)
def test_children_of_a_failed_parent(rules: dict[str, Any], reason: Reason, ends: str) -> None:
    boss(delegation={"to": ["helper"]} | rules)
    claim = acting.claimed("boss")
    child = delegate(claim)
    lifecycle.fail(claim, PermanentError("no"), reason)
    delegation.settled(claim.job_id)
    assert acting.status(child) == ends


def test_a_retry_by_hand_adopts_no_children() -> None:
    boss()
    claim = acting.claimed("boss")
    child = delegate(claim, child_key="k")
    lifecycle.fail(claim, PermanentError("no"), Reason.PERMANENT)
    lifecycle.cancel(child)
    again = started(intake.again(claim.job_id, by=acting.OWNER)["job_id"])
    assert row_of(delegate(again, child_key="k"))["parent"] == again.job_id
    redone = row_of(intake.again(child, by=acting.OWNER)["job_id"])
    assert (redone["parent"], redone["depth"], redone["child_key"]) == (None, 0, None)


# -- waiting


def test_a_parent_that_waits_goes_on_when_a_child_ends() -> None:
    boss()
    claim = acting.claimed("boss")
    child = delegate(claim)
    lifecycle.hold(claim, Reason.DELEGATED, None, "waits for 1 delegated job of helper")
    delegation.wake_if_over(claim.job_id, [child])
    assert row_of(claim.job_id)["status_reason"] == "delegated"
    told = explain.explain(claim.job_id)["blockers"][0]
    assert (told["code"], told["message"]) == ("delegated", "waits for 1 delegated job of helper")
    lifecycle.complete(started(child), {"ok": True})
    delegation.settled(child)
    assert acting.status(claim.job_id) == "queued"


def test_a_child_that_ends_while_its_parent_is_held_is_not_missed() -> None:
    boss()
    claim = acting.claimed("boss")
    child = started(delegate(claim))
    lifecycle.complete(child, {"ok": True})
    delegation.settled(child.job_id)
    assert acting.status(claim.job_id) == "running"
    lifecycle.hold(claim, Reason.DELEGATED, None, "waits")
    delegation.wake_if_over(claim.job_id, [child.job_id])
    assert acting.status(claim.job_id) == "queued"


def test_outcomes_mask_secrets_and_know_only_children() -> None:
    boss()
    acting.agent(
        "helper", output={"type": "object", "properties": {"pin": {"type": "string", "writeOnly": True}}}
    )
    claim = acting.claimed("boss")
    child = started(delegate(claim))
    lifecycle.complete(child, {"pin": "12345678", "ok": True})
    [told] = delegation.outcomes(claim.job_id)
    assert told["result"]["ok"] is True
    assert "12345678" not in str(told)
    with pytest.raises(NotFound, match="delegated no job"):
        delegation.outcomes(child.job_id, [claim.job_id])


# -- the tree


def test_the_tree_rolls_up_what_it_cost_and_says_what_has_no_price() -> None:
    boss(delegation={"to": ["*"]})
    acting.agent("helper", delegation={"to": ["*"]})
    acting.agent("errand")
    claim = acting.claimed("boss")
    child = started(delegate(claim))
    grandchild = started(delegate(child, "errand"))
    used(claim, usd="0.10", tokens=10)
    used(grandchild, usd="0.25", tokens=20)
    unpriced(child, tokens=7)
    lifecycle.complete(grandchild, {"ok": True})
    told = family.tree(claim.job_id, ADMIN)
    assert told["job"]["cost"]["usd"] == 0.1
    [below] = told["children"]
    assert (below["job_id"], below["cost"]["usd"], below["cost"]["unpriced_tokens"]) == (
        child.job_id,
        None,
        7,
    )
    assert below["subtotal"]["usd"] == 0.25
    assert below["children"][0]["job_id"] == grandchild.job_id
    totals = told["totals"]
    assert (totals["jobs"], totals["usd"], totals["tokens"], totals["unpriced_tokens"]) == (3, 0.35, 37, 7)
    assert totals["by_status"] == {"completed": 1, "running": 2}
    assert told["truncated"] is False


def unpriced(claim: Claim, *, tokens: int) -> None:
    spender = Spender(
        job_id=claim.job_id, fence=claim.fence, agent_id=claim.agent_id, submitted_by=claim.submitted_by
    )
    part = Part(
        call_id="free", part=0, provider="p", model="m", input_tokens=tokens, output_tokens=0, cache_read_tokens=0,
        cache_write_tokens=0, reasoning_tokens=0, cost_usd=None, cost_status="unpriced", billing="api",
        price_version=None,
    )  # fmt: skip
    ledger.append(spender, [part])


def test_the_document_says_who_delegated_it_and_how_many_it_delegated() -> None:
    boss()
    claim = acting.claimed("boss")
    before = queries.get(claim.job_id)["version"]
    child = delegate(claim)
    parent = queries.get(claim.job_id)
    shown = document.document(parent, ADMIN, Pace())
    assert (shown["children"], shown["depth"], shown["parent_job_id"]) == (1, 0, None)
    assert parent["version"] > before
    below = document.document(queries.get(child), ADMIN, Pace())
    assert (below["children"], below["depth"], below["parent_job_id"]) == (0, 1, claim.job_id)
