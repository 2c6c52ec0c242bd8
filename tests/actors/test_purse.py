"""The purse with real jobs: spenders are stopped to the cent, alone and together, also while Postgres is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

from actors import purse as purses
from actors import sweeps
from actors.attempt import Attempt
from actors.execute import AttemptFailed, run_next
from actors.heartbeat import Heartbeat
from actors.middleware.dead_letter import bury
from actors.post import Post
from actors.purse import Purse
from actors.runners.base import Context, Work
from app.agents.definition import Definition, parse
from app.budgets import changes, ledger
from app.budgets.usage import Usage
from app.db import db
from app.errors import Held, StoppedByBudget
from app.jobs import intake, lifecycle, spending, timeline
from app.jobs.claims import Claim
from app.jobs.explain import explain
from tests import acting
from tests.waiting import until

RunWith = Callable[[Callable[[Work, Context], Any]], None]
CENT = Decimal("0.01")


@pytest.fixture(autouse=True)
def recount() -> Iterator[None]:
    """Sweeps of a test recount when it says so."""
    sweeps._recounted_at = float("inf")
    yield
    sweeps._recounted_at = float("-inf")


def _agent(name: str = "spender", **ours: Any) -> None:
    with db.quick():
        acting.agent(name, **ours)


def _submitted(agent_id: str = "spender", **wish: Any) -> str:
    with db.quick():
        return acting.submitted(agent_id, **wish)


def _job(job_id: str) -> dict[str, Any]:
    with db.quick():
        return acting.job(job_id)


def _budget(**wish: Any) -> str:
    with db.transaction():
        told = {
            "name": "shared",
            "scope": "global",
            "unit": "usd",
            "limit_amount": 1,
            "period": "month",
        } | wish
        return str(spending.create(by="ada", **told)["budget_id"])


def _row(budget_id: str) -> dict[str, Any]:
    with db.quick():
        return db.row("SELECT * FROM budgets WHERE budget_id = %(id)s", id=budget_id) or {}


def _reserved() -> Decimal:
    with db.quick():
        return Decimal(db.value("SELECT coalesce(sum(amount), 0) FROM budget_reservations"))


def _spent() -> Decimal:
    with db.quick():
        return Decimal(db.value("SELECT coalesce(sum(cost_usd), 0) FROM usage_events"))


def _said(job_id: str) -> list[tuple[str, str]]:
    with db.quick():
        return [(e["level"], e["message"]) for e in timeline.events(job_id) if e["kind"] == "budget"]


def _used(n: int, step: Decimal = CENT, **told: Any) -> Usage:
    """What one streaming call used after `n` steps."""
    values = {"call_id": "c", "provider": "openai", "model": "m", "output_tokens": 10 * n} | told
    return Usage(**{"cost_usd": step * n, "cost_status": "reported"} | values)


def _spend_for_ever(work: Work, context: Context) -> dict[str, Any]:
    """A cent at a time, until somebody stops it; at $1,000 something is wrong."""
    for n in range(1, 100_000):
        context.partial({"cents": n})
        context.checkpoint({"cents": n})
        context.meter(_used(n))
        context.checkpoint_due()
    return {}


def _run(post: Post) -> AttemptFailed:
    """Run a job that must be stopped, and let the middleware settle it."""
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    bury(failed.value)
    return failed.value


class TestTheJobsOwnBudget:
    def test_a_spender_is_stopped_to_the_cent_and_what_it_had_done_is_kept(
        self, post: Post, run_with: RunWith
    ) -> None:
        _agent(budget={"usd": 1.0})
        job_id = _submitted()
        run_with(_spend_for_ever)
        assert isinstance(_run(post).error, StoppedByBudget)

        row = _job(job_id)
        assert (row["status"], row["status_reason"]) == ("failed", "stopped_budget")
        assert row["error"]["message"] == "the budget of $1.00 for this job is spent: $1.00 used"
        assert (row["result"], _spent(), row["usage"]["cost_usd"]) == ({"cents": 100}, 1, 1.0)
        assert _said(job_id) == [
            ("warning", "80% of the budget for this job is used: $0.80 of $1.00"),
            ("error", "the budget of $1.00 for this job is spent: $1.00 used"),
        ]

    def test_an_agent_in_a_process_of_its_own_is_stopped_too(self, post: Post) -> None:
        _agent(python={"call": "tests.playing:spender", "isolation": "process"}, budget={"usd": 0.2})
        job_id = _submitted()
        assert isinstance(_run(post).error, StoppedByBudget)
        assert (_job(job_id)["status_reason"], Decimal("0.2") <= _spent() < Decimal("0.8")) == (
            "stopped_budget",
            True,
        )

    def test_tokens_too(self, post: Post, run_with: RunWith) -> None:
        _agent(budget={"tokens": 500})
        job_id = _submitted()
        run_with(_spend_for_ever)
        _run(post)
        assert (
            _job(job_id)["error"]["message"]
            == "the budget of 500 tokens for this job is spent: 500 tokens used"
        )

    def test_and_minutes_by_the_clock(self, post: Post, run_with: RunWith) -> None:
        _agent(budget={"minutes": 0.001})
        _submitted()

        def wait(_work: Work, context: Context) -> dict[str, Any]:
            pause = threading.Event()
            for _ in range(1000):
                context.checkpoint_due()
                pause.wait(0.01)
            return {}

        run_with(wait)
        assert "min for this job is spent" in _run(post).error.message

    def test_a_job_may_be_given_less(self, post: Post, run_with: RunWith) -> None:
        _agent(budget={"usd": 1.0})
        _submitted(budget={"usd": 0.05})
        run_with(_spend_for_ever)
        _run(post)
        assert _spent() == Decimal("0.05")

    def test_what_an_earlier_attempt_used_counts(self, post: Post, run_with: RunWith) -> None:
        _agent(budget={"usd": 1.0})
        job_id = _submitted()

        def most_of_it(_work: Work, context: Context) -> dict[str, Any]:
            context.meter(_used(70))
            raise RuntimeError("on purpose")

        run_with(most_of_it)
        with pytest.raises(AttemptFailed) as failed:
            run_next(post)
        with db.quick():
            lifecycle.retry_later(failed.value.claim, failed.value.error, 0)
        run_with(_spend_for_ever)
        _run(post)
        assert _job(job_id)["result"] == {"cents": 30}
        assert _spent() == 1

    def test_without_any_budget_everything_is_written_and_nothing_stops(
        self, post: Post, run_with: RunWith
    ) -> None:
        _agent()
        job_id = _submitted()
        run_with(lambda _work, context: context.meter(_used(500)) or {})
        run_next(post)
        with db.quick():
            (event,) = ledger.events(job_id)
        assert (_job(job_id)["status"], event["cost_usd"], event["attempt"]) == ("completed", 5, 1)

    def test_what_has_no_price_is_said_and_not_called_zero(self, post: Post, run_with: RunWith) -> None:
        _agent(budget={"usd": 1.0})
        job_id = _submitted()
        unpriced = _used(50, cost_usd=None, cost_status="unpriced", model="nobody-knows-it")
        run_with(lambda _work, context: context.meter(unpriced) or {})
        run_next(post)

        usage = _job(job_id)["usage"]
        assert (usage["cost_usd"], usage["cost_status"], usage["unpriced_tokens"]) == (None, "unpriced", 500)
        assert [words for _, words in _said(job_id)] == [
            "nobody-knows-it of openai has no price: a budget in dollars cannot see what it costs"
        ]

    def test_a_price_list_prices_what_names_no_price(self, post: Post, run_with: RunWith) -> None:
        _agent()
        job_id = _submitted()
        known = Usage(call_id="c", provider="openai", model="gpt-4o", input_tokens=1_000_000)
        run_with(lambda _work, context: context.meter(known) or {})
        run_next(post)
        with db.quick():
            (event,) = ledger.events(job_id)
        assert (event["cost_status"], event["cost_usd"] > 0) == ("derived", True)
        assert event["price_version"]


class TestASharedBudget:
    def test_eight_at_once_do_not_overshoot_it_by_more_than_a_step_each(
        self, make_post: Callable[..., Post], run_with: RunWith
    ) -> None:
        post = make_post(worker_threads=8)
        _agent()
        budget_id = _budget(limit_amount=2)
        jobs = [_submitted() for _ in range(8)]
        together = threading.Barrier(8)

        def all_begin(work: Work, context: Context) -> dict[str, Any]:
            together.wait(20)
            return _spend_for_ever(work, context)

        run_with(all_begin)
        with ThreadPoolExecutor(8) as threads:
            failures = list(threads.map(lambda _: _stopped(post), range(8)))

        assert len(failures) == 8
        assert {_job(job)["status_reason"] for job in jobs} == {"stopped_budget"}
        assert 2 - 8 * CENT <= _spent() < 2 + 8 * CENT
        assert (_row(budget_id)["spent"], _reserved()) == (_spent(), 0)
        assert all("shared" in failed.error.message for failed in failures)

    def test_one_alone_is_stopped_to_the_cent(self, post: Post, run_with: RunWith) -> None:
        _agent()
        budget_id = _budget(name="Monthly")
        job_id = _submitted()
        run_with(_spend_for_ever)
        _run(post)

        assert (_spent(), _row(budget_id)["spent"]) == (1, 1)
        assert (
            _job(job_id)["error"]["message"] == 'the budget "Monthly" of $1.00 a month is spent: $1.00 used'
        )
        warnings = [words for level, words in _said(job_id) if level == "warning"]
        assert len(warnings) == 1
        assert 'of the budget "Monthly" of $1.00 a month is used: $0.8' in warnings[0]

    def test_the_next_job_is_held_says_why_and_goes_on_when_the_budget_is_raised(
        self, post: Post, run_with: RunWith
    ) -> None:
        _agent()
        budget_id = _budget(name="Monthly")
        _submitted()
        run_with(_spend_for_ever)
        _run(post)
        waiting = _submitted()

        assert run_next(post) is False
        with db.quick():
            blockers = {b["code"]: b for b in explain(waiting)["blockers"]}
        assert '"Monthly" of $1.00 a month is spent ($1.00 used)' in blockers["budget"]["message"]
        assert blockers["budget"]["until"] is not None

        with db.transaction():
            spending.change(budget_id, limit_amount=2)
        run_with(lambda _work, _context: {"ran": True})
        assert run_next(post) is True
        assert _job(waiting)["status"] == "completed"

    def test_a_job_that_was_claimed_just_before_is_handed_back_and_comes_again(
        self, post: Post, run_with: RunWith
    ) -> None:
        _agent()
        budget_id = _budget(period="rolling", rolling_days=1)
        job_id = _submitted()
        with db.quick():
            db.run("UPDATE budgets SET spent = 1, stopped_at = now()")  # and its holds are not there yet
        assert run_next(post) is True

        row = _job(job_id)
        assert (row["status"], row["status_reason"], row["retry_count"], _reserved()) == (
            "retry",
            "budget",
            0,
            0,
        )
        with db.transaction():
            spending.change(budget_id, limit_amount=5)
        run_with(lambda _work, _context: {})
        assert run_next(post) is True
        assert _job(job_id)["status"] == "completed"

    def test_a_budget_that_is_made_while_a_job_runs_stops_it_too(self, post: Post, run_with: RunWith) -> None:
        _agent()
        job_id = _submitted()

        def work(_work: Work, context: Context) -> dict[str, Any]:
            context.meter(_used(1))
            _budget(limit_amount="0.5")
            Heartbeat(post).beat()  # hears of it with the next thing it writes
            return _spend_for_ever(_work, context)

        run_with(work)
        _run(post)
        assert _job(job_id)["status_reason"] == "stopped_budget"
        assert _spent() == Decimal("0.5")

    def test_the_runner_is_told_how_many_dollars_are_left(self, post: Post, run_with: RunWith) -> None:
        _agent(budget={"usd": 3.0})
        _budget(limit_amount=2)
        _submitted()
        left: list[float] = []
        run_with(lambda work, _context: left.append(work.config["budget_usd_left"]) or {})
        run_next(post)
        assert left == [2.0]


def _stopped(post: Post) -> AttemptFailed:
    try:
        run_next(post)
    except AttemptFailed as failed:
        bury(failed)
        return failed
    raise AssertionError("it was not stopped")


class TestTheHeartbeat:
    def test_what_a_killed_worker_wrote_stays_and_what_it_had_set_aside_comes_back(
        self, post: Post, hold: Callable[[Claim], Attempt]
    ) -> None:
        _agent()
        budget_id = _budget()
        with db.quick():
            claim = acting.claimed("spender")
        attempt = hold(claim)
        attempt.purse = Purse.open(post, claim, _definition(), attempt.event)
        attempt.meter(_used(5))
        Heartbeat(post).beat()
        assert (_spent(), _reserved() > 0) == (5 * CENT, True)

        post.leave(attempt)  # and nothing more is heard of it
        with db.quick():
            acting.rescue(claim)
        sweeps.mind_budgets(post.settings, recount=True)
        assert (_spent(), _row(budget_id)["spent"], _reserved()) == (5 * CENT, 5 * CENT, 0)

    def test_it_writes_in_batches_not_call_by_call(
        self, post: Post, hold: Callable[[Claim], Attempt]
    ) -> None:
        with db.quick():
            claim = acting.claimed()
        attempt = hold(claim)
        attempt.purse = Purse.open(post, claim, _definition(), attempt.event)
        for n in range(1, 50):
            attempt.meter(_used(n))
        assert _spent() == 0
        Heartbeat(post).beat()
        with db.quick():
            (row,) = ledger.events(claim.job_id)
        assert (row["cost_usd"], row["part"]) == (49 * CENT, 1)

    def test_shared_minutes_are_settled_while_it_runs(self, post: Post) -> None:
        budget_id = _budget(unit="minutes", limit_amount=10)
        clock = [0.0]
        purse = Purse(_claim(), {}, _quiet, lambda: clock[0])
        purse._shared = True
        purse._reserve()
        clock[0] = 180.0
        purse.look()
        assert (_row(budget_id)["spent"], purse.exhausted) == (3, None)
        clock[0] = 610.0
        purse.look()
        assert purse.exhausted == 'the budget "shared" of 10 min a month is spent: 10.17 min used'
        purse.close()
        assert _reserved() == 0


def _definition(**ours: Any) -> Definition:
    import json

    keys = json.dumps({"runner": "python", "python": {"call": "tests.playing:noop"}} | ours)
    return parse("spender", f"---\nx-callboard: {keys}\n---\n")


def _claim() -> Claim:
    with db.quick():
        return acting.claimed()


def _quiet(*_: object, **__: object) -> None:
    pass


class TestPostgresAway:
    @pytest.fixture
    def away(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
        """Let everything the purse asks Postgres fail, or answer again."""
        real = db.transaction

        def gone() -> Any:
            raise psycopg2.OperationalError("away")

        return lambda is_away: monkeypatch.setattr(db, "transaction", gone if is_away else real)

    def test_a_job_goes_on_within_its_slice_and_no_further(
        self, quick: Engine, away: Callable[[bool], None]
    ) -> None:
        _budget()
        said: list[str] = []
        purse = Purse(_claim(), {}, lambda _kind, words, **_: said.append(words))
        purse._shared = True
        purse._reserve()  # ten cents
        away(True)
        for n in range(1, 11):
            purse.meter(_used(n))
            assert purse.exhausted is None
        purse.meter(_used(11))

        assert purse.exhausted == (
            'the budget "shared" of $1.00 a month cannot be asked for more: Postgres does not answer'
        )
        assert said[0].endswith("it goes on within what is set aside for it")
        away(False)
        purse.close()
        assert _spent() == 11 * CENT  # what was used was written all the same

    def test_a_job_begins_and_is_stopped_at_its_first_use(
        self, quick: Engine, away: Callable[[bool], None]
    ) -> None:
        _budget()
        claim = _claim()
        assert claim.budgeted
        away(True)
        purse = Purse.open(None, claim, _definition())  # type: ignore[arg-type]
        assert purse.exhausted is None
        purse.meter(_used(1))
        assert purse.exhausted is not None

    def test_a_job_that_began_blind_goes_on_when_postgres_is_back_before_that(
        self, quick: Engine, away: Callable[[bool], None]
    ) -> None:
        _budget()
        claim = _claim()
        away(True)
        purse = Purse.open(None, claim, _definition())  # type: ignore[arg-type]
        away(False)
        purse.look()
        purse.meter(_used(1))
        assert purse.exhausted is None
        assert _reserved() > 0

    def test_jobs_without_budgets_do_not_care(self, quick: Engine, away: Callable[[bool], None]) -> None:
        purse = Purse.open(None, _claim(), _definition())  # type: ignore[arg-type]
        away(True)
        purse.meter(_used(500))
        purse.look()
        assert purse.exhausted is None
        away(False)
        until(lambda: purse.look() or _spent() == 5)

    def test_closing_waits_for_postgres_a_while(
        self, quick: Engine, away: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        purse = Purse.open(None, _claim(), _definition())  # type: ignore[arg-type]
        purse.meter(_used(3))
        away(True)
        monkeypatch.setattr(purses.time, "sleep", lambda _seconds: away(False))
        purse.close()
        assert _spent() == 3 * CENT


def test_most_attempts_cost_no_statement(quick: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = _claim()

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("Postgres was asked")

    for way in ("rows", "row", "value", "run", "transaction"):
        monkeypatch.setattr(db, way, asked)
    purse = Purse.open(None, claim, _definition())  # type: ignore[arg-type]
    purse.look()
    purse.close()


def test_a_refusal_at_the_start_is_held_and_reserves_nothing(post: Post) -> None:
    _budget()
    claim = _claim()
    with db.quick():
        db.run("UPDATE budgets SET spent = 1")
    with pytest.raises(Held):
        Purse.open(post, claim, _definition())
    assert _reserved() == 0


def test_a_sweep_brings_a_new_day(post: Post) -> None:
    _agent()
    budget_id = _budget(period="day")
    with db.quick():
        db.run("UPDATE budgets SET spent = 1, stopped_at = now(), period_start = now() - interval '1 day'")
    sweeps.mind_budgets(post.settings, recount=False)
    row = _row(budget_id)
    assert (row["spent"], row["stopped_at"]) == (0, None)


def test_resuming_goes_on_from_the_checkpoint_with_more(post: Post, run_with: RunWith) -> None:
    _agent(budget={"usd": 0.1})
    job_id = _submitted()
    run_with(_spend_for_ever)
    _run(post)
    with db.transaction():
        new = intake.resume(job_id, by="ada", raise_usd=0.2, may_exceed_budget=True)

    found: list[dict[str, Any]] = []

    def go_on(work: Work, context: Context) -> dict[str, Any]:
        found.append(context.checkpoint())
        return _spend_for_ever(work, context)

    run_with(go_on)
    _run(post)
    row = _job(new["job_id"])
    assert found == [{"cents": 10}]
    assert (row["retry_of_job_id"], row["options"]["budget"]) == (job_id, {"usd": 0.3})
    assert _spent() == Decimal("0.4")
    with db.quick():
        assert changes.ids() == []
        assert db.value("SELECT resubmitted FROM dead_letters WHERE job_id = %(id)s", id=job_id) is True


def test_a_jobs_wish_replaces_its_agents_unit_by_unit(post: Post) -> None:
    _agent(budget={"usd": 2.5, "minutes": 3})
    with db.quick():
        claim = acting.claimed("spender", budget={"usd": 1})
    purse = Purse.open(post, claim, post.definition("spender", claim.agent_version))
    assert purse.allowance == {"usd": 1, "minutes": 3}
