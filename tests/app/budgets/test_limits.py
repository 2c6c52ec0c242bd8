"""Budgets: what is spent and set aside never exceeds them; they warn, stop, hold and let go."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import time_machine

from app import clock
from app.agents import registry
from app.budgets import changes, limits, queries
from app.budgets.changes import Kept
from app.db import db
from app.errors import Invalid, NotFound
from app.jobs import lifecycle
from tests import acting
from tests.app.budgets.spending import ago, begun, budget, of, part, reserve, settle, spend, spender

pytestmark = pytest.mark.usefixtures("here")

SCHEDULE = "01890000-0000-7000-8000-000000000001"


def _holds() -> dict[str, str]:
    return {
        row["agent_id"]: row["message"]
        for row in db.rows("SELECT agent_id, message FROM agent_holds WHERE code = 'budget'")
    }


class TestReserving:
    def test_a_new_attempt_gets_a_part_of_what_is_left_and_leaves_some_to_others(self) -> None:
        made = budget()
        slices = [reserve(begun()).holdings[0].amount for _ in range(8)]

        assert slices[0] == Decimal("0.1")
        assert slices == sorted(slices, reverse=True)
        assert all(slices)
        assert sum(slices) == of(made["budget_id"])["reserved"] < 1

    def test_all_budgets_that_cover_it_and_no_others(self) -> None:
        acting.agent("writer", team="PRESS")
        acting.agent("reader", team="LIBRARY")
        names = ("everything", "press", "writers", "readers")
        for name, scope, subject in zip(
            names, ("global", "team", "agent", "agent"), (None, "PRESS", "writer", "reader"), strict=True
        ):
            budget(name=name, scope=scope, subject=subject)
        budget(name="schedule", scope="schedule", subject=SCHEDULE)
        budget(name="off", enabled=False)

        assert {each.name for each in reserve(begun("writer")).holdings} == {"everything", "press", "writers"}
        assert {each.name for each in reserve(begun("reader")).holdings} == {"everything", "readers"}

    def test_of_a_schedule_only_its_own_jobs(self) -> None:
        budget(scope="schedule", subject=SCHEDULE)
        claim = acting.claimed()
        assert reserve(spender(claim)).holdings == []
        from dataclasses import replace

        assert len(reserve(replace(spender(claim), schedule_id=SCHEDULE)).holdings) == 1
        assert registry.get("test-noop").agent_id not in _budgeted()

    def test_if_one_has_nothing_left_none_is_touched(self) -> None:
        full, empty = budget(name="full"), budget(name="empty", limit_amount="0.5")
        settle(begun(), part("0.5"))
        who = begun_past_holds()
        got = reserve(who)

        assert got.refused is not None
        assert got.refused.subject == empty["budget_id"]
        assert '"empty" of $0.50 a month is spent ($0.50 used)' in got.refused.message
        mine = "SELECT count(*) FROM budget_reservations WHERE job_id = %(job)s"
        assert db.value(mine, job=who.job_id) == 0
        assert of(full["budget_id"])["stopped_at"] is None

    def test_what_others_have_set_aside_is_not_there_and_one_tries_again_soon(self) -> None:
        made = budget()
        reserve(begun())
        db.run("UPDATE budget_reservations SET amount = 1")
        got = reserve(begun())

        assert got.refused is not None
        assert "set aside for running jobs" in got.refused.message
        assert got.refused.until is not None
        assert 0 < (got.refused.until - clock.now()).total_seconds() <= 10
        assert of(made["budget_id"])["stopped_at"] is None

    def test_runs_are_counted_when_they_begin(self) -> None:
        made = budget(unit="runs", limit_amount=2)
        reserve(begun())
        assert (of(made["budget_id"])["spent"], _holds()) == (1, {})
        holding = reserve(begun()).holdings[0]
        assert holding.refusal is None  # what has begun goes on
        assert of(made["budget_id"])["stopped_at"] is not None
        assert "test-noop" in _holds()


def begun_past_holds(agent_id: str = "test-noop") -> Any:
    """An attempt that was claimed just before the hold came."""
    db.run("DELETE FROM agent_holds")
    return begun(agent_id)


class TestSettling:
    def test_what_is_used_is_spent_and_a_fresh_slice_set_aside(self) -> None:
        made, who = budget(), begun()
        reserve(who)
        (holding,) = settle(who, part("0.30"))

        assert (holding.spent, holding.room, holding.amount) == (
            Decimal("0.30"),
            Decimal("0.70"),
            Decimal("0.07"),
        )
        assert of(made["budget_id"])["spent"] == Decimal("0.30")

    def test_saying_it_again_does_not_spend_it_again(self) -> None:
        made, who, one = budget(), begun(), part("0.30")
        settle(who, one)
        settle(who, one)
        assert of(made["budget_id"])["spent"] == Decimal("0.30")

    @pytest.mark.parametrize(
        ("unit", "spent"),
        [("usd", Decimal("0.25")), ("tokens", 40), ("minutes", Decimal("1.5")), ("runs", 0)],
    )
    def test_each_in_its_unit(self, unit: str, spent: Decimal) -> None:
        made, who = budget(unit=unit, limit_amount=1000), begun()
        settle(who, part("0.25", 30), part(None, 10), minutes="1.5")
        assert of(made["budget_id"])["spent"] == spent

    def test_minutes_before_a_budget_was_made_are_its_own_to_count(self) -> None:
        made, who = budget(unit="minutes", limit_amount=10), begun()
        settle(who, minutes="3", known=False)
        assert of(made["budget_id"])["spent"] == 0

    def test_what_is_spent_ends_the_attempt_with_a_sentence(self) -> None:
        budget(name="Research", limit_amount="0.5", period="day")
        (holding,) = settle(begun(), part("0.5"))
        assert holding.refusal == 'the budget "Research" of $0.50 a day is spent: $0.50 used'
        assert holding.amount == 0

    def test_giving_back(self) -> None:
        made, who = budget(), begun()
        reserve(who)
        limits.give_back(who)
        assert of(made["budget_id"])["reserved"] == 0

    def test_a_deleted_budget_is_forgotten_while_it_runs(self) -> None:
        made, who = budget(), begun()
        reserve(who)
        changes.remove(made["budget_id"])
        assert settle(who, part("5")) == []


class TestWarningAndStopping:
    def test_it_warns_stops_and_holds_every_agent_it_covers(self) -> None:
        acting.agent("writer", team="PRESS")
        acting.agent("editor", team="PRESS")
        made, who = budget(name="Press", scope="team", subject="PRESS"), begun("writer")
        (holding,) = settle(who, part("0.79"))
        assert (holding.warns, queries.state(of(made["budget_id"]))) == (False, "ok")

        (holding,) = settle(who, part("0.01"))
        assert (holding.warns, queries.state(of(made["budget_id"])), _holds()) == (True, "warned", {})

        settle(who, part("0.20"))
        assert queries.state(of(made["budget_id"])) == "stopped"
        assert set(_holds()) == {"writer", "editor"}
        assert _holds()["editor"] == 'the budget "Press" of $1.00 a month is spent ($1.00 used)'
        settle(who, part("0.20"))
        told = db.rows("SELECT event, audience, title, count FROM notifications ORDER BY notification_id")
        assert [(n["event"], n["audience"], n["count"]) for n in told] == [
            ("budget.warned", "admins", 1),
            ("budget.stopped", "admins", 1),
        ]
        assert told[0]["title"] == 'Budget "Press" of $1.00 a month: $0.80 used'

    def test_held_agents_jobs_are_not_even_claimed(self) -> None:
        made = budget(scope="agent", subject="test-noop")
        settle(begun(), part("1"))
        waiting, free = acting.submitted(), acting.submitted("test-echo", parameters={"text": "x"})

        taken = acting.claim()
        assert taken is not None
        assert taken.job_id == free
        assert acting.claim() is None

        freed = changes.remove(made["budget_id"])
        assert freed == ["test-noop"]
        taken = acting.claim()
        assert taken is not None
        assert taken.job_id == waiting

    def test_raising_the_limit_lets_work_go_on_however_little_it_is(self) -> None:
        made = budget()
        settle(begun(), part("1"))
        assert _holds()
        row, freed = changes.change(made["budget_id"], limit_amount="1.01")

        assert "test-noop" in freed
        assert (queries.state(row), _holds()) == ("warned", {})

    def test_lowering_it_below_what_is_spent_stops_it(self) -> None:
        made = budget(limit_amount=10)
        settle(begun(), part("2"))
        row, freed = changes.change(made["budget_id"], limit_amount=2)
        assert (queries.state(row), freed) == ("stopped", [])
        assert "test-noop" in _holds()

    def test_switching_it_off_lets_everything_go_on(self) -> None:
        made = budget()
        settle(begun(), part("1"))
        _, freed = changes.change(made["budget_id"], enabled=False)
        assert "test-noop" in freed
        assert (_holds(), _budgeted()) == ({}, set())

    def test_a_rolling_budget_goes_on_only_when_enough_is_old_so_that_it_does_not_chatter(self) -> None:
        made, who = budget(period="rolling", rolling_days=7), begun()
        spend(who, "0.05", at=ago(days=6.9))
        spend(who, "0.95", at=ago(days=6))
        changes.look_at(made["budget_id"])
        assert queries.state(of(made["budget_id"])) == "stopped"
        assert "older than 7 days" in _holds()["test-noop"]

        with time_machine.travel(clock.now() + (clock.now() - ago(days=0.5)), tick=True):
            assert changes.look_at(made["budget_id"]) == []  # 95 % are still spent
        assert of(made["budget_id"])["spent"] == Decimal("0.95")
        with time_machine.travel(clock.now() + (clock.now() - ago(days=2)), tick=True):
            assert "test-noop" in changes.look_at(made["budget_id"])
        assert (of(made["budget_id"])["spent"], _holds()) == (0, {})

    @pytest.mark.parametrize(("period", "days"), [("day", 1), ("month", 31)])
    def test_a_new_period_begins_by_itself(self, period: str, days: int) -> None:
        made, who = budget(period=period), begun()
        settle(who, part("1"))
        until = db.value("SELECT until FROM agent_holds WHERE agent_id = 'test-noop'")
        assert until > clock.now()

        with time_machine.travel(clock.now() + (clock.now() - ago(days=days)), tick=True):
            assert "test-noop" in changes.look_at(made["budget_id"], recount=False)
        row = of(made["budget_id"])
        assert (row["spent"], row["warned_at"], row["stopped_at"], _holds()) == (0, None, None, {})

    def test_settling_in_a_new_period_counts_only_there(self) -> None:
        made, who = budget(period="day"), begun()
        settle(who, part("0.9"))
        with time_machine.travel(clock.now() + (clock.now() - ago(days=1)), tick=True):
            (holding,) = settle(who, part("0.2"))
        assert (holding.spent, holding.warns) == (Decimal("0.2"), False)
        assert of(made["budget_id"])["spent"] == Decimal("0.2")

    def test_agents_that_come_later_are_covered_and_held_too(self) -> None:
        made = budget()
        settle(begun(), part("1"))
        acting.agent("newcomer")
        changes.cover()
        changes.look_at(made["budget_id"])
        assert "newcomer" in _holds()
        assert "newcomer" in _budgeted()


def _budgeted() -> set[str]:
    return {row["agent_id"] for row in db.rows("SELECT agent_id FROM agents WHERE budgeted")}


class TestTheSweep:
    def test_drift_is_mended_from_the_ledger(self) -> None:
        made, who = budget(), begun()
        settle(who, part("0.30"))
        db.run("UPDATE budgets SET spent = 0.9")
        spend(who, "0.05")  # written past the budget
        changes.look_at(made["budget_id"])
        assert of(made["budget_id"])["spent"] == Decimal("0.35")

    def test_runs_and_minutes_come_from_the_attempts(self) -> None:
        runs = budget(name="runs", unit="runs", limit_amount=100)
        minutes = budget(name="minutes", unit="minutes", limit_amount=100)
        first, second = acting.claimed(), acting.claimed()
        lifecycle.complete(first, {})
        lifecycle.release(second)  # handed back: no run
        db.run(
            "UPDATE job_attempts SET started_at = ended_at - interval '2 minutes' WHERE job_id = %(id)s",
            id=first.job_id,
        )
        for made in (runs, minutes):
            changes.look_at(made["budget_id"])
        assert of(runs["budget_id"])["spent"] == 1
        assert round(of(minutes["budget_id"])["spent"], 1) == 2

    def test_what_a_dead_worker_had_set_aside_comes_back_and_what_it_wrote_stays(self) -> None:
        made, claim = budget(), acting.claimed()
        settle(spender(claim), part("0.25"))
        assert of(made["budget_id"])["reserved"] > 0
        assert changes.tidy() == 0
        acting.rescue(claim)

        assert changes.tidy() == 1
        row = of(made["budget_id"])
        assert (row["reserved"], row["spent"]) == (0, Decimal("0.25"))

    def test_where_old_rows_are_gone_a_total_does_not_go_down(self) -> None:
        made = budget(period="total", unit="runs", limit_amount=100)
        db.run("UPDATE budgets SET spent = 40, created_at = now() - interval '90 days'")
        changes.look_at(made["budget_id"], kept=Kept(ledger_days=365, attempt_days=30))
        assert of(made["budget_id"])["spent"] == 40
        changes.look_at(made["budget_id"], kept=Kept(ledger_days=365, attempt_days=100))
        assert of(made["budget_id"])["spent"] == 0

    def test_a_hold_that_belongs_to_nothing_is_lifted(self) -> None:
        registry.hold("test-noop", "budget", "of a budget that is gone", until=None, subject="gone")
        assert changes.tidy() == 1
        assert _holds() == {}


class TestMakingThem:
    def test_a_new_budget_has_already_seen_what_its_period_saw(self) -> None:
        spend(begun(), "0.6")
        assert budget()["spent"] == Decimal("0.6")
        assert budget(period="total")["spent"] == 0

    @pytest.mark.parametrize(
        ("wish", "pointer"),
        [
            ({"name": " "}, "/name"),
            ({"name": "x" * 101}, "/name"),
            ({"scope": "planet"}, "/scope"),
            ({"scope": "agent"}, "/subject"),
            ({"scope": "agent", "subject": "nobody"}, "/subject"),
            ({"scope": "team", "subject": "NOBODY"}, "/subject"),
            ({"scope": "schedule", "subject": "monday"}, "/subject"),
            ({"subject": "test-noop"}, "/subject"),
            ({"unit": "yen"}, "/unit"),
            ({"limit_amount": 0}, "/limit"),
            ({"limit_amount": None}, "/limit"),
            ({"limit_amount": "NaN"}, "/limit"),
            ({"limit_amount": 1e-9}, "/limit"),
            ({"limit_amount": 10**10}, "/limit"),
            ({"unit": "runs", "limit_amount": "1.5"}, "/limit"),
            ({"period": "week"}, "/period"),
            ({"period": "rolling"}, "/rolling_days"),
            ({"period": "rolling", "rolling_days": 1000}, "/rolling_days"),
            ({"rolling_days": 3}, "/rolling_days"),
            ({"warn_ratio": "1.2"}, "/warn_ratio"),
            ({"warn_ratio": "often"}, "/warn_ratio"),
        ],
    )
    def test_what_makes_no_sense_is_refused_at_its_field(self, wish: dict[str, Any], pointer: str) -> None:
        with pytest.raises(Invalid) as refused:
            budget(**wish)
        assert [where for where, _ in refused.value.fields] == [pointer]
        assert db.value("SELECT count(*) FROM budgets") == 0

    def test_the_period_can_be_changed(self) -> None:
        made = budget(period="rolling", rolling_days=3)
        row, _ = changes.change(made["budget_id"], period="day")
        assert (row["period"], row["rolling_days"]) == ("day", None)
        assert row["period_start"].hour == 0

    def test_what_is_not_there(self) -> None:
        for do in (queries.get, changes.remove, changes.change, changes.look_at):
            with pytest.raises(NotFound):
                do(SCHEDULE)

    def test_as_it_is_shown(self) -> None:
        made = budget(name="Research", limit_amount=4)
        settle(begun(), part("1"))
        shown = queries.public(queries.get(made["budget_id"]))
        assert (shown["spent_ratio"], shown["left"], shown["state"]) == (Decimal("0.25"), 3, "ok")
        assert shown["period_end"] > shown["period_start"]
        assert [row["name"] for row in queries.covering("test-noop")] == ["Research"]
