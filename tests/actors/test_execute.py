"""One attempt from claim to settle, with a real database and agents that do what a test wants."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from actors import execute
from actors.execute import AttemptFailed, run_next, settle, time_limit
from actors.post import Post
from actors.runners.base import Context, Work
from app.agents.definition import parse
from app.db import AWAY, db, make_engine
from app.errors import Cancelled, LostLease, PermanentError, RateLimitError, Released, TemporaryError
from app.jobs import artifacts, lifecycle, timeline
from app.jobs.claims import Claim
from tests import acting

RunWith = Callable[[Callable[[Work, Context], Any]], None]
_TAKEN_BY_ANOTHER = "UPDATE jobs SET lease_id = gen_random_uuid(), worker_id = 'another' WHERE job_id = :job"


def _submitted(*args: Any, **wish: Any) -> str:
    with db.quick():
        return acting.submitted(*args, **wish)


def _job(job_id: str) -> dict[str, Any]:
    with db.quick():
        return acting.job(job_id)


def test_nothing_to_do_is_said(post: Post) -> None:
    assert run_next(post) is False


def test_a_job_is_run_to_its_end(post: Post) -> None:
    job_id = _submitted("test-echo", parameters={"text": "hi"})
    assert run_next(post) is True
    row = _job(job_id)
    assert (row["status"], row["result"]) == ("completed", {"parameters": {"text": "hi"}, "attempt": 1})
    assert (row["stage"], row["progress"]) == ("echoing", 100)
    with db.quick():
        assert [e["kind"] for e in timeline.events(job_id)] == ["stage", "log", "complete"]
    assert post.in_hand() == []


def test_the_job_is_running_in_postgres_before_the_agent_starts(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()
    seen: list[str] = []
    run_with(lambda _w, _c: seen.append(_job(job_id)["status"]) or {})
    run_next(post)
    assert seen == ["running"]


def test_no_connection_is_held_while_the_agent_runs(post: Post, quick: Engine, run_with: RunWith) -> None:
    _submitted()
    held: list[int] = []
    run_with(lambda _w, _c: held.append(quick.pool.checkedout()) or {})  # type: ignore[attr-defined]
    run_next(post)
    assert held == [0]


def test_the_agent_gets_what_it_needs_and_an_idempotency_key(post: Post, run_with: RunWith) -> None:
    job_id = _submitted(parameters={"n": 1}, timeout=77)
    got: list[Work] = []
    run_with(lambda work, _c: got.append(work) or {})
    run_next(post)
    (work,) = got
    assert (work.job_id, work.attempt, work.agent_id, work.parameters) == (job_id, 1, "test-noop", {"n": 1})
    assert (round(work.timeout_seconds), work.idempotency_key) == (77, f"{job_id}:1")


@pytest.mark.parametrize(
    "result",
    [None, "text", 7, ["a"], {"big": "x" * execute.LARGEST_RESULT}],
    ids=["none", "text", "number", "list", "large"],
)
def test_a_result_that_is_no_object_or_too_large_is_a_permanent_failure(
    post: Post, run_with: RunWith, result: object
) -> None:
    _submitted()
    run_with(lambda _w, _c: result)
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    assert isinstance(failed.value.error, PermanentError)


@pytest.mark.parametrize(
    "result", [{"nul": "a\x00b"}, {"lone": "\ud800"}, {"huge": 2**99}, {"nan": float("nan")}, {"odd": {1, 2}}]
)
def test_a_result_that_json_or_postgres_refuse_still_completes_its_job(
    post: Post, run_with: RunWith, result: dict[str, Any]
) -> None:
    job_id = _submitted()
    run_with(lambda _w, _c: result)
    run_next(post)
    assert _job(job_id)["status"] == "completed"
    assert list(_job(job_id)["result"]) == list(result)


def test_what_stands_in_for_a_model_says_so_in_each_result(post: Post) -> None:
    with db.quick():
        acting.agent("stand-in", produced_by="offline tools, no model", max_concurrent=5)
    job_id = _submitted("stand-in")
    run_next(post)
    assert _job(job_id)["result"] == {"ok": True, "produced_by": "offline tools, no model"}


def test_a_crash_of_the_agent_is_a_temporary_failure_with_its_own_name(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()

    def crash(_work: Work, context: Context) -> None:
        context.log("the last word")
        raise ZeroDivisionError("by zero")

    run_with(crash)
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    error = failed.value.error
    assert isinstance(error, TemporaryError)
    assert lifecycle.describe(error)["type"] == "ZeroDivisionError"
    assert "by zero" in failed.value.trace
    assert _job(job_id)["status"] == "running"  # the middleware decides
    with db.quick():
        assert [e["message"] for e in timeline.log(job_id)] == ["the last word"]
    assert post.in_hand() == []


def test_an_error_with_its_class_keeps_it(post: Post, run_with: RunWith) -> None:
    _submitted()

    def refuse(_work: Work, _context: Context) -> None:
        raise RateLimitError("slow", retry_after=30)

    run_with(refuse)
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    assert (failed.value.error.retry_after, failed.value.error.error_class) == (30, "rate_limit")


@pytest.mark.parametrize(("stop", "status"), [(Cancelled, "cancelled"), (Released, "queued")])
def test_a_stopped_runner_settles_as_what_stopped_it(
    post: Post, run_with: RunWith, stop: type[Exception], status: str
) -> None:
    job_id = _submitted()

    def halt(_work: Work, _context: Context) -> None:
        raise stop

    run_with(halt)
    assert run_next(post) is True
    assert (_job(job_id)["status"], _job(job_id)["retry_count"]) == (status, 0)


def test_a_lease_that_was_lost_meanwhile_passes_quietly(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()

    def outlive(_work: Work, _context: Context) -> dict[str, Any]:
        with db.quick():
            acting.expire(post.in_hand()[0].claim)
            lifecycle.rescue(5, max_lost=3, backoff_seconds=0)
        return {"late": True}

    run_with(outlive)
    assert run_next(post) is True
    assert (_job(job_id)["status"], _job(job_id)["result"]) == ("queued", None)
    assert post.in_hand() == []


def test_a_runner_told_that_its_lease_is_gone_writes_nothing(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()

    def told(_work: Work, context: Context) -> None:
        post.in_hand()[0].lost = True
        context.log("never written")
        context.checkpoint_due()

    run_with(told)
    assert run_next(post) is True
    assert _job(job_id)["status"] == "running"
    with db.quick():
        assert timeline.log(job_id) == []


def test_a_definition_that_cannot_be_used_fails_for_good(post: Post) -> None:
    with db.quick():
        acting.agent("broken")
        acting.submitted("broken")
        db.run("UPDATE agent_versions SET definition = 'no front matter' WHERE agent_id = 'broken'")
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    assert isinstance(failed.value.error, PermanentError)
    assert failed.value.definition is None


def test_usage_checkpoint_and_artifacts_are_kept(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()

    def work(_work: Work, context: Context) -> dict[str, Any]:
        context.usage(tokens=3)
        context.usage(tokens=4, cost_usd=0.5)
        context.checkpoint({"page": 2})
        (context.workspace / "x").write_text("x")
        context.artifact("../../etc/report.txt", b"hello")
        return {"folder": str(context.workspace)}

    run_with(work)
    run_next(post)
    row = _job(job_id)
    assert (row["usage"], row["checkpoint"]) == ({"tokens": 7.0, "cost_usd": 0.5}, {"page": 2})
    with db.quick():
        (kept,) = artifacts.listing(job_id)
        location = artifacts.get(kept["artifact_id"])["location"]
    assert (kept["name"], kept["size_bytes"]) == ("report.txt", 5)
    assert post.store.open(location).read() == b"hello"
    assert not Path(row["result"]["folder"]).exists()


def test_a_later_attempt_finds_the_checkpoint_of_the_one_before(post: Post, run_with: RunWith) -> None:
    _submitted()
    found: list[dict[str, Any]] = []

    def work(_work: Work, context: Context) -> dict[str, Any]:
        found.append(context.checkpoint())
        context.checkpoint({"page": len(found)})
        if len(found) == 1:
            raise Released
        return {}

    run_with(work)
    run_next(post)
    run_next(post)
    assert found == [{}, {"page": 1}]


class TestPostgresAway:
    @pytest.fixture
    def brittle(self, database_url: str, quick: Engine) -> Any:
        """Connections as a worker has them: nobody looks before using one."""
        engine = make_engine(database_url, pool_size=2, pre_ping=False, name="brittle")
        db.open(engine)
        yield engine
        engine.dispose()

    def _cut(self, quick: Engine) -> int:
        with quick.begin() as other:
            return other.scalar(
                text(
                    "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'brittle'"
                )
            )

    def test_an_outcome_is_held_until_it_is_written(
        self, post: Post, quick: Engine, brittle: Engine, run_with: RunWith
    ) -> None:
        job_id = _submitted()

        def work(_work: Work, context: Context) -> dict[str, Any]:
            context.log("before the cut")
            assert self._cut(quick) >= 1
            return {"survived": True}

        run_with(work)
        assert run_next(post) is True
        row = _job(job_id)
        assert (row["status"], row["result"], row["fence"]) == ("completed", {"survived": True}, 1)

    def test_a_claim_that_a_crash_of_postgres_took_back_does_not_begin(
        self, post: Post, quick: Engine, brittle: Engine, run_with: RunWith, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Prepared while Postgres was away; when it is back, the claim never was, and another worker has the job."""
        job_id = _submitted()
        gate_of, began = execute.gate_of, []

        def prepared_late(*about: Any) -> Any:
            with quick.begin() as there:
                there.execute(text(_TAKEN_BY_ANOTHER), {"job": job_id})
            self._cut(quick)
            return gate_of(*about)

        monkeypatch.setattr(execute, "gate_of", prepared_late)
        run_with(lambda work, _context: began.append(work.attempt) or {})

        assert run_next(post) is True
        assert began == []
        row = _job(job_id)
        assert (row["status"], row["worker_id"], row["fence"]) == ("running", "another", 1)

    def test_it_is_held_for_many_leases_while_no_heartbeat_is_heard(
        self, make_post: Callable[..., Post]
    ) -> None:
        post = make_post(lease_seconds=0.1, heartbeat_seconds=0.05)
        post.beat_ok_at, back_at = 0.0, time.monotonic() + 0.5
        with db.quick():
            claim = acting.claimed()

        def away_for_five_leases() -> None:
            if time.monotonic() < back_at:
                raise AWAY[0]("SELECT 1", {}, Exception("away"))
            with db.quick():
                lifecycle.complete(claim, {"late": True})

        settle(post, claim, away_for_five_leases)
        assert _job(claim.job_id)["result"] == {"late": True}

    def test_it_is_given_up_when_it_is_refused_for_a_whole_lease_while_heartbeats_are_heard(
        self, make_post: Callable[..., Post]
    ) -> None:
        post = make_post(lease_seconds=0.3, heartbeat_seconds=0.1)
        with db.quick():
            claim = acting.claimed()
        tries: list[int] = []

        def refused() -> None:
            tries.append(1)
            post.beat_ok_at = time.monotonic()
            raise AWAY[0]("SELECT 1", {}, Exception("refused"))

        with pytest.raises(LostLease):
            settle(post, claim, refused)
        assert len(tries) >= 2


@pytest.mark.parametrize(
    ("runner", "agents_own", "jobs_own", "seconds"),
    [
        ("python", None, None, 3600),
        ("command", None, None, 300),
        ("command", 900, None, 900),
        ("python", 900, 60, 60),
        ("python", None, 86_400, 3600),
    ],
)
def test_the_job_sets_its_time_limit_else_the_agent_else_the_runner_and_none_is_over_the_most(
    runner: str, agents_own: int | None, jobs_own: int | None, seconds: float
) -> None:
    definition = parse(
        "x", f"---\nx-callboard: {{runner: {runner}, {runner}: {{}}, timeout: {agents_own or 'null'}}}\n---\n"
    )
    claim = _Claimed(options={"timeout": jobs_own} if jobs_own else {})
    assert time_limit(3600, 300, claim, definition) == seconds  # type: ignore[arg-type]


class _Claimed:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options


def test_an_attempt_that_is_over_its_time_is_told_at_its_checkpoint(post: Post, run_with: RunWith) -> None:
    _submitted(timeout=1)

    def work(_work: Work, context: Context) -> dict[str, Any]:
        post.in_hand()[0].deadline = 0.0
        context.checkpoint_due()
        return {}

    run_with(work)
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    assert failed.value.error.error_class == "timeout"


def test_a_claim_by_hand_is_what_execute_uses(post: Post) -> None:
    job_id = _submitted()
    claim = execute._claim(post)
    assert isinstance(claim, Claim)
    assert (claim.job_id, claim.worker_id) == (job_id, post.worker_id)
