"""What agents, models and providers say may be anything: it costs no settle, no report, and tells no secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.execute import LARGEST_RESULT, AttemptFailed, kept_of, run_next
from actors.middleware.dead_letter import bury
from actors.middleware.retry import decide
from actors.post import Post
from actors.runners.base import Context, Work
from actors.runners.python import Wire
from app.agents import registry
from app.budgets import changes
from app.budgets.usage import Usage
from app.db import db
from app.errors import Held, PermanentError, TemporaryError
from app.jobs import artifacts, lifecycle, spending, timeline
from app.providers import catalogue
from tests import acting
from tests.actors.runners.playing_cli import Stage
from tests.model_server import Refuse
from tests.openai_server import chat_model

RunWith = Callable[[Callable[[Work, Context], Any]], None]
ODD = "nul \x00 and \ud800"
KEY = "sk-marker-0123456789abcdef"


def _submitted(agent_id: str = "hostile", **ours: Any) -> str:
    with db.quick():
        acting.agent(agent_id, **ours)
        return acting.submitted(agent_id, parameters={"task": "Say hello."})


def _everything(job_id: str) -> str:
    """All that is kept of a job, as one text."""
    with db.quick():
        rows = [
            *db.rows("SELECT * FROM jobs WHERE job_id = %(id)s", id=job_id),
            *db.rows("SELECT * FROM job_events WHERE job_id = %(id)s", id=job_id),
            *db.rows("SELECT * FROM job_attempts WHERE job_id = %(id)s", id=job_id),
            *db.rows("SELECT * FROM dead_letters WHERE job_id = %(id)s", id=job_id),
            *db.rows("SELECT * FROM usage_events WHERE job_id = %(id)s", id=job_id),
            *db.rows("SELECT * FROM providers"),
            *db.rows("SELECT * FROM agent_holds"),
        ]
    return json.dumps(rows, default=str)


def test_odd_characters_in_whatever_an_agent_says_cost_nothing(post: Post, run_with: RunWith) -> None:
    job_id = _submitted(watchdog={"mode": "warn"})

    def talk(_work: Work, context: Context) -> dict[str, Any]:
        context.event("turn", ODD, **{ODD: {"deep": [ODD]}})
        context.tool_started(ODD, ODD, {ODD: ODD, "list": [ODD]}, ODD)
        context.tool_ended(ODD, summary=ODD)
        context.pin(model=ODD, session_id=ODD, cli_version=ODD)
        context.partial({ODD: ODD})
        context.meter(Usage(call_id=ODD, provider=ODD, model=ODD, output_tokens=3))
        raise PermanentError(ODD, details={ODD: ODD})

    run_with(talk)
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    bury(failed.value)

    with db.quick():
        row, (attempt,) = acting.job(job_id), timeline.attempts(job_id)
        kinds = [event["kind"] for event in timeline.events(job_id)]
    assert (row["status"], attempt["pins"]["model"]) == ("failed", "nul \ufffd and \ufffd")
    assert row["result"] == {"nul \ufffd and \ufffd": "nul \ufffd and \ufffd"}
    assert [kind for kind in kinds if kind in timeline.STORY] == ["turn", "tool", "tool_result"]


def test_a_hold_for_an_odd_reason_holds(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()

    def wait(_work: Work, _context: Context) -> dict[str, Any]:
        raise Held("provider_open", ODD, until=None, agent_wide=True, subject="odd")

    run_with(wait)
    assert run_next(post) is True
    with db.quick():
        assert acting.job(job_id)["status_reason"] == "provider_open"
        assert [hold["message"] for hold in registry.holds("hostile")] == ["nul \ufffd and \ufffd"]
        registry.note_health({"hostile": ("unavailable", ODD)})


def test_a_result_so_far_that_is_too_large_keeps_its_short_parts() -> None:
    whole = {"result": "x" * LARGEST_RESULT, "turns": 7, "deep": {"more": ["y" * LARGEST_RESULT]}}
    kept = kept_of(whole) or {}
    assert (kept["turns"], len(kept["result"]), "deep" in kept) == (7, 50_000, False)
    assert "at most 1000000 are kept" in kept["cut"]
    assert list(kept_of({str(n): "z" * 60_000 for n in range(100)}) or {}) == ["cut"]
    assert kept_of({"small": 1}) == {"small": 1}
    assert kept_of(None) is None


class TestWhatAChildSays:
    @pytest.mark.parametrize(
        "message",
        [
            {"do": "tool_started", "args": ["c", "n", [1, 2]], "kwargs": {}},
            {"do": "tool_started", "args": [["c"], "n", {}], "kwargs": {}},
            {"do": "tool_ended", "args": ["c"], "kwargs": {"summary": {"a": 1}}},
            {"do": "event", "args": ["turn", {"not": "text"}], "kwargs": {}},
            {"do": "event", "args": ["tool", None], "kwargs": {"name": 5, "call_id": [1]}},
            {"do": "log", "args": ["x"], "kwargs": {"source": 5}},
            {"do": "stage", "args": ["s", {"a": 1}], "kwargs": {}},
            {"do": "pin", "args": [], "kwargs": {"provider": ["x"], "model": None}},
            {"do": "meter", "args": [{"call_id": "c", "provider": "p", "model": "m", "input_tokens": 1e999}]},
            {
                "do": "meter",
                "args": [{"call_id": "c", "provider": "p", "model": "m", "cost_usd": "1e9999999"}],
            },
            {"do": "meter", "args": [{"call_id": 5, "provider": [], "model": None, "output_tokens": "x"}]},
            {"do": "artifact", "args": 5},
            [],
            5,
        ],
    )
    def test_nonsense_is_told_in_the_log_and_the_report_is_written(
        self, post: Post, message: Any, run_with: RunWith
    ) -> None:
        job_id = _submitted(watchdog={"mode": "warn"}, budget={"usd": 1})

        def talk(_work: Work, context: Context) -> dict[str, Any]:
            wire = Wire(context)
            wire._take(json.dumps(message).encode())
            wire.close()
            context.log("afterwards")
            return {}

        run_with(talk)
        assert run_next(post) is True
        with db.quick():
            assert acting.job(job_id)["status"] == "completed"
            assert "afterwards" in [line["message"] for line in timeline.log(job_id)]


def test_a_result_so_far_that_is_no_object_is_kept_in_one(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()

    def stop(_work: Work, context: Context) -> dict[str, Any]:
        context.partial("half of it")  # type: ignore[arg-type]
        raise PermanentError("enough")

    run_with(stop)
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    bury(failed.value)
    with db.quick():
        assert acting.job(job_id)["result"] == {"result": "half of it"}


@pytest.mark.parametrize(
    "odd",
    [
        lambda: TemporaryError({"not": "text"}, details=["no", "dict"], retry_after=1e300),  # type: ignore[arg-type]
        lambda: TemporaryError(5, retry_after="soon"),  # type: ignore[arg-type]
    ],
)
def test_an_error_that_is_no_text_is_settled_like_any_other(
    post: Post, run_with: RunWith, odd: Callable[[], TemporaryError]
) -> None:
    job_id = _submitted(retry={"max_retries": 1})

    def fail(_work: Work, _context: Context) -> dict[str, Any]:
        raise odd()

    run_with(fail)
    for wanted in ("retry", "failed"):
        with pytest.raises(AttemptFailed) as failed:
            run_next(post)
        decide(failed.value)
        if not failed.value.settled:
            bury(failed.value)
        with db.quick():
            assert acting.status(job_id) == wanted
            if wanted == "retry":
                acting.make_due(job_id)


class TestFigures:
    @pytest.mark.parametrize("told", [-5, 10**30, float("inf"), float("nan"), None, "7"])
    def test_absurd_counts_are_metered_and_harm_nobody(
        self, post: Post, run_with: RunWith, told: Any
    ) -> None:
        job_id = _submitted()

        def spend(_work: Work, context: Context) -> dict[str, Any]:
            context.meter(
                Usage(call_id="c", provider="anthropic", model="claude-sonnet-4-5", output_tokens=told)
            )
            return {}

        run_with(spend)
        assert run_next(post) is True
        with db.quick():
            assert acting.job(job_id)["status"] == "completed"

    def test_a_price_beyond_all_measure_stops_the_job(self, post: Post, run_with: RunWith) -> None:
        job_id = _submitted(budget={"usd": 5})

        def spend(_work: Work, context: Context) -> dict[str, Any]:
            told = {"cost_usd": Decimal("1e9999999"), "cost_status": "reported"}
            context.meter(Usage(call_id="c", provider="p", model="m", output_tokens=1, **told))  # type: ignore[arg-type]
            context.checkpoint_due()
            return {}

        run_with(spend)
        with pytest.raises(AttemptFailed) as failed:
            run_next(post)
        bury(failed.value)
        with db.quick():
            assert acting.job(job_id)["status_reason"] == "stopped_budget"

    def test_more_tokens_than_the_budget_has_digits_stop_it_and_can_be_summed(
        self, post: Post, run_with: RunWith
    ) -> None:
        job_id = _submitted()
        with db.transaction():
            told = {
                "name": "all",
                "scope": "global",
                "unit": "tokens",
                "limit_amount": 1000,
                "period": "month",
            }
            budget_id = str(spending.create(by="ada", **told)["budget_id"])

        def spend(_work: Work, context: Context) -> dict[str, Any]:
            for number in range(3):
                context.meter(Usage(call_id=f"c{number}", provider="p", model="m", output_tokens=2**40))
            context.checkpoint_due()
            return {}

        run_with(spend)
        with pytest.raises(AttemptFailed) as failed:
            run_next(post)
        bury(failed.value)
        with db.quick():
            assert acting.job(job_id)["status_reason"] == "stopped_budget"
            assert db.value("SELECT count(*) FROM usage_events") == 3
        with db.transaction():
            changes.look_at(budget_id)
        with db.quick():
            assert db.value("SELECT stopped_at IS NOT NULL FROM budgets") is True

    def test_a_ledger_that_refuses_does_not_cost_the_outcome(
        self, post: Post, run_with: RunWith, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job_id = _submitted()

        def refuse(*_: object, **__: object) -> None:
            raise ValueError("not that")

        def spend(_work: Work, context: Context) -> dict[str, Any]:
            context.meter(Usage(call_id="c", provider="p", model="m", output_tokens=1))
            monkeypatch.setattr("actors.purse.limits.settle", refuse)
            return {}

        run_with(spend)
        assert run_next(post) is True
        with db.quick():
            assert acting.job(job_id)["status"] == "completed"


def test_an_agent_that_leaves_a_team_is_no_longer_held_by_its_budget(post: Post) -> None:
    with db.quick():
        acting.agent("mover", team="OLD")
        acting.agent("stayer", team="OLD")
    with db.transaction():
        told = {
            "name": "old",
            "scope": "team",
            "subject": "OLD",
            "unit": "runs",
            "limit_amount": 1,
            "period": "total",
        }
        budget_id = str(spending.create(by="ada", **told)["budget_id"])
    with db.quick():
        acting.submitted("stayer")
    assert run_next(post) is True
    with db.quick():
        held = acting.submitted("mover")
        taken = registry.holds("mover")
    assert [hold["subject"] for hold in taken] == [budget_id]
    assert run_next(post) is False

    with db.quick():
        acting.agent("mover", team="NEW")
    with db.transaction():
        lifecycle.lift(changes.look_at(budget_id, recount=False), lifecycle.Reason.BUDGET)

    with db.quick():
        assert (registry.holds("mover"), len(registry.holds("stayer"))) == ([], 1)
    assert run_next(post) is True
    with db.quick():
        assert acting.status(held) == "completed"


def test_two_who_lift_the_same_jobs_do_not_block_each_other(post: Post) -> None:
    with db.quick():
        acting.agent("lifted")
        for _ in range(40):
            acting.submitted("lifted")
        while taken := acting.claim():
            lifecycle.hold(taken, lifecycle.Reason.BUDGET, None)
    both, lifted = threading.Barrier(2), []

    def lift() -> None:
        both.wait()
        with db.transaction():
            lifted.append(lifecycle.lift(["lifted"], lifecycle.Reason.BUDGET))

    threads = [threading.Thread(target=lift) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lifted) == [0, 40]


class TestKeys:
    @pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
    def test_the_key_of_a_provider_is_told_nowhere_even_if_the_provider_does(
        self, post: Post, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int
    ) -> None:
        monkeypatch.setenv("MARKED_KEY", KEY)
        refuse = Refuse(
            status, "odd", f"the key {KEY} is odd", {"Retry-After": "60"} if status == 429 else {}
        )
        with chat_model(refuse) as model:
            with db.transaction():
                told = {"base_url": f"{model.url}/v1", "model": "m", "key_name": "MARKED_KEY"}
                catalogue.add("marked", told)
            job_id = _submitted("marked-agent", runner="llm", llm={}, providers=["marked"])
            try:
                run_next(post)
            except AttemptFailed as failed:
                bury(failed)
            assert (
                KEY in model.asked[0].headers["Authorization"] if hasattr(model.asked[0], "headers") else True
            )

        assert KEY not in _everything(job_id)
        assert KEY not in "".join(capfd.readouterr())

    def test_a_cli_that_prints_its_environment_leaves_no_key_behind(self, post: Post, tmp_path: Path) -> None:
        said = {"model": "m", "id": "one", "content": [{"type": "text", "text": f"It is {KEY}."}]}
        tool = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": f"echo {KEY}"}}
        called = {"model": "m", "id": "two", "content": [tool]}
        steps = [
            *({"say": json.dumps({"type": "assistant", "message": each})} for each in (said, called)),
            {"say": f"plain {KEY}"},
            {"complain": f"error: {KEY} is refused"},
            {"exit": 3},
        ]
        config = Stage(tmp_path / "stage", [steps]).work().config | {"secrets": {"ANTHROPIC_API_KEY": KEY}}
        with db.quick():
            acting.agent("cli-marked", runner="cli", cli=config)
            job_id = acting.submitted("cli-marked", parameters={"task": "Print it."})
        with pytest.raises(AttemptFailed) as failed:
            run_next(post)
        bury(failed.value)

        with db.quick():
            events = [event["message"] for event in timeline.events(job_id)]
            kept = [
                post.store.open(artifacts.get(one["artifact_id"])["location"]).read()
                for one in artifacts.listing(job_id)
            ]
        assert "It is (a secret)." in events
        assert KEY not in _everything(job_id)
        assert b"(a secret)" in kept[0]
        assert not any(KEY.encode() in content for content in kept)
