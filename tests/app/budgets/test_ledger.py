"""The ledger: added to and never changed, written once however often it is said, summed honestly."""

from __future__ import annotations

from decimal import Decimal

import psycopg2
import pytest

from app import clock
from app.budgets import ledger
from app.db import db
from app.jobs import lifecycle, pruning
from tests import acting
from tests.app.budgets.spending import ago, begun, part, spend

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE usage_events SET cost_usd = 0", "DELETE FROM usage_events"],
    ids=["update", "delete"],
)
def test_the_database_refuses_to_change_what_is_written(statement: str) -> None:
    spend(begun(), "0.5")
    with pytest.raises(psycopg2.errors.CheckViolation, match="append-only"):
        db.run(statement)
    assert db.value("SELECT cost_usd FROM usage_events") == Decimal("0.5")


def test_only_retention_takes_old_rows_away() -> None:
    who = begun()
    spend(who, "1", at=ago(days=400))
    spend(who, "2")
    with db.transaction():
        assert not pruning.trim(365)
    assert [row["cost_usd"] for row in ledger.events(who.job_id)] == [2]


def test_a_part_said_twice_is_written_once() -> None:
    who, one, two = begun(), part("0.10", 5, call_id="c"), part("0.02", 1, call_id="c", part=2)
    first = ledger.append(who, [one])
    again = ledger.append(who, [one, two])

    assert (first.usd, first.tokens) == (Decimal("0.10"), 5)
    assert (again.usd, again.tokens) == (Decimal("0.02"), 1)
    assert [row["part"] for row in ledger.events(who.job_id)] == [1, 2]


def test_it_knows_whose_it_was_and_outlives_the_job() -> None:
    acting.agent("writer", team="PRESS")
    claim = acting.claimed("writer")
    spend(acting_spender := begun_of(claim), "0.3", provider="anthropic", model="claude")
    lifecycle.complete(claim, {})
    db.run("DELETE FROM jobs WHERE job_id = %(id)s", id=claim.job_id)

    (row,) = ledger.report("team", ago(days=1), clock.now())
    assert (row["key"], row["notional_usd"], row["jobs"]) == ("PRESS", Decimal("0.3"), 1)
    assert acting_spender.agent_id == "writer"


def begun_of(claim):  # type: ignore[no-untyped-def]
    from tests.app.budgets.spending import spender

    return spender(claim)


def test_what_earlier_attempts_used() -> None:
    who = begun()
    spend(who, "0.4", 100)
    spend(who, None, 11)
    db.run("UPDATE job_attempts SET started_at = now() - interval '3 minutes'")

    used = ledger.used_before(who.job_id, who.fence + 1)
    assert (used["usd"], used["tokens"], round(used["minutes"], 1)) == (Decimal("0.4"), 111, 3)
    assert ledger.used_before(who.job_id, who.fence) == {"usd": 0, "tokens": 0, "minutes": 0}


class TestReports:
    def test_cash_is_what_an_api_bills_and_notional_everything_priced(self) -> None:
        who = begun()
        spend(who, "1.00", 100)
        spend(who, "0.50", 100, billing="subscription")
        spend(who, None, 200)

        (row,) = ledger.report("agent", ago(days=1), clock.now())
        assert (row["cash_usd"], row["notional_usd"]) == (Decimal("1.00"), Decimal("1.50"))
        assert (row["tokens"], row["unpriced_tokens"], row["unpriced_share"], row["calls"]) == (
            400,
            200,
            0.5,
            3,
        )

    def test_nothing_priced_costs_not_zero_but_nothing_known(self) -> None:
        spend(begun(), None, 200)
        (row,) = ledger.report("model", ago(days=1), clock.now())
        assert (row["cash_usd"], row["notional_usd"], row["unpriced_share"]) == (None, None, 1.0)

    def test_a_call_whose_price_came_last_is_priced_as_a_whole(self) -> None:
        who = begun()
        spend(who, None, 40, call_id="c")
        spend(who, "0.9", 10, call_id="c", part=2)
        (row,) = ledger.report("agent", ago(days=1), clock.now())
        assert (row["calls"], row["tokens"], row["unpriced_tokens"]) == (1, 50, 0)

    def test_by_day_model_and_provider(self) -> None:
        who = begun()
        spend(who, "1", 1, at=ago(days=2), model="old", provider="mistral")
        spend(who, "2", 1)
        since = ago(days=5)

        days = ledger.report("day", since, clock.now())
        assert [row["key"] for row in days] == [f"{ago(days=n):%Y-%m-%d}" for n in (0, 2)]
        assert [row["key"] for row in ledger.report("model", since, clock.now())] == ["gpt", "old"]
        assert [row["key"] for row in ledger.report("provider", since, clock.now())] == ["openai", "mistral"]
        assert [row["key"] for row in ledger.report("model", ago(days=1), clock.now())] == ["gpt"]

    def test_the_total_of_nothing(self) -> None:
        told = ledger.total(ago(days=1), clock.now())
        assert (told["calls"], told["tokens"], told["notional_usd"], told["unpriced_share"]) == (
            0,
            0,
            None,
            0.0,
        )


def test_what_a_job_used_in_the_words_of_its_document() -> None:
    who = begun()
    assert ledger.of_job(who.job_id) == {}
    spend(who, "0.25", 10)
    assert ledger.of_job(who.job_id)["cost_status"] == "derived"
    spend(who, None, 7)
    told = ledger.of_job(who.job_id)
    assert (told["cost_usd"], told["cost_status"], told["unpriced_tokens"], told["input_tokens"]) == (
        0.25,
        "unpriced",
        7,
        17,
    )
    assert ledger.of_job(who.job_id, fence=99) == {}
