"""Policies as people make them, and which are in force."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from app.agents import registry
from app.approvals import policies
from app.dashboard.policies import shown
from app.db import db
from app.errors import Conflict, Invalid, NotFound
from tests import acting


@pytest.fixture(autouse=True)
def _agents(quick: Engine) -> None:
    with db.transaction():
        acting.agent("test-poet", team="WORDS", aliases=["bard"], effects=["publish"])
        acting.agent("test-clerk", team="PAPER")


def made(**wish: Any) -> dict[str, Any]:
    with db.transaction():
        return policies.create(by="u1", **{"name": "Ask first"} | wish)


def in_force() -> list[str]:
    with db.quick():
        return [policy.name for policy in policies.in_force()]


def test_a_policy_asks_admins_unless_it_says_whom() -> None:
    row = made(agents=["bard", "test_clerk", " "], teams=["WORDS"], effects=["Publish", "publish"])

    assert row["agents"] == ["test-poet", "test-clerk"]
    assert row["effects"] == ["publish"]
    assert (row["approvers"], row["on_timeout"], row["enabled"]) == (["admin"], "reject", True)
    with db.quick():
        assert policies.get(row["policy_id"]) == row
        assert policies.listing() == [row]


WRONG = {
    "/name": {"name": " "},
    "/agents/1": {"agents": ["test-poet", "nobody"]},
    "/agents": {"agents": "test-poet"},
    "/teams/0": {"teams": ["NOBODY"]},
    "/effects/0": {"effects": ["Send it now!"]},
    "/over_usd": {"over_usd": 0},
    "/question": {"question": "x" * 10_001},
    "/approvers/0": {"approvers": ["the boss"]},
    "/deadline_minutes": {"deadline_minutes": 0},
    "/on_timeout": {"on_timeout": "shrug"},
    "/escalate_to": {"escalate_minutes": 5},
    "/escalate_minutes": {"escalate_to": ["admin"]},
}


@pytest.mark.parametrize("pointer", WRONG)
def test_what_is_wrong_is_pointed_at(pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        made(**WRONG[pointer])

    assert [place for place, _ in refused.value.fields] == [pointer]


def test_who_is_asked_later_is_asked_before_it_is_too_late() -> None:
    with pytest.raises(Invalid) as refused:
        made(deadline_minutes=30, escalate_minutes=30, escalate_to=["user"])
    assert [pointer for pointer, _ in refused.value.fields] == ["/escalate_minutes"]
    made(deadline_minutes=30, escalate_minutes=29, escalate_to=["user"])


@pytest.mark.parametrize("sum_of_money", [float("nan"), float("inf"), 1_000_001, True, "5"])
def test_a_sum_is_a_number(sum_of_money: Any) -> None:
    with pytest.raises(Invalid, match="over_usd must be more than 0"):
        made(over_usd=sum_of_money)


def test_a_name_is_taken_once() -> None:
    first = made()

    with pytest.raises(Conflict, match=first["policy_id"]):
        made()

    other = made(name="Another")
    with db.transaction(), pytest.raises(Conflict):
        policies.change(other["policy_id"], name="Ask first")


def test_a_change_keeps_what_is_left_out_and_agents_that_are_gone() -> None:
    row = made(agents=["test-poet"], deadline_minutes=60, escalate_minutes=30, escalate_to=["user"])
    with db.transaction():
        db.run("DELETE FROM agents WHERE agent_id = 'test-poet'")
        changed = policies.change(row["policy_id"], over_usd=2.5, escalate_minutes=None, escalate_to=[])

    assert (changed["agents"], changed["deadline_minutes"], changed["over_usd"]) == (["test-poet"], 60, 2.5)
    assert (changed["escalate_minutes"], changed["escalate_to"]) == (None, [])
    assert changed["updated_at"] > row["updated_at"]


def test_what_is_not_there_cannot_be_changed_or_removed() -> None:
    nowhere = "01990000-0000-7000-8000-000000000000"
    for verb in (policies.get, policies.change, policies.remove):
        with db.transaction(), pytest.raises(NotFound):
            verb(nowhere)


def test_those_in_force_are_the_enabled_ones_and_changes_are_heard_at_once_here() -> None:
    assert in_force() == []
    row = made()
    made(name="Asleep", enabled=False)
    assert in_force() == ["Ask first"]
    with db.transaction():
        policies.change(row["policy_id"], enabled=False)
    assert in_force() == []
    with db.transaction():
        policies.change(row["policy_id"], enabled=True)
        policies.remove(row["policy_id"])
    assert in_force() == []


def test_a_change_that_is_rolled_back_changes_nothing() -> None:
    in_force()
    with pytest.raises(ZeroDivisionError), db.transaction():
        policies.create(by=None, name="Never")
        raise ZeroDivisionError
    policies.forget()
    assert in_force() == []


def test_other_processes_hear_of_it_after_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    made()
    assert in_force() == ["Ask first"]
    with db.transaction():
        db.run("DELETE FROM approval_policies")  # as another process would
    assert in_force() == ["Ask first"]
    read_at = policies._book.read_at
    monkeypatch.setattr(policies._book, "read_at", read_at - policies.CACHE_SECONDS - 0.1)
    assert in_force() == []


def test_a_policy_covers_its_agents_in_its_teams() -> None:
    made(name="Everybody")
    made(name="One agent", agents=["test-poet"])
    made(name="A team", teams=["PAPER"])
    made(name="Both", agents=["test-poet"], teams=["PAPER"])

    with db.quick():
        covering = {
            agent: [policy.name for policy in policies.covering(agent, team)]
            for agent, team in (("test-poet", "WORDS"), ("test-clerk", "PAPER"))
        }
    assert covering == {"test-poet": ["Everybody", "One agent"], "test-clerk": ["A team", "Everybody"]}


def test_an_agent_that_has_another_id_by_now_is_still_covered() -> None:
    made(name="One agent", agents=["test-poet"])
    with db.transaction():
        db.run("UPDATE agents SET source = 'import' WHERE agent_id = 'test-poet'")
        registry.forget()
        registry.remove("test-poet")
        acting.agent("test-bard", aliases=["test-poet"])
    policies.forget()

    with db.quick():
        assert [policy.name for policy in policies.covering("test-bard", "SYSTEM")] == ["One agent"]
        assert shown(policies.listing()[0])["covers"] == "test-bard"
