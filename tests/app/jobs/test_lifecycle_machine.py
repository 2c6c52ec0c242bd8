"""Hypothesis plays workers, users, zombies and sweeps against real Postgres and a model of a few lines.

The model knows who holds each job. Whatever order things happen in, Postgres must agree with it after every
step, and only the holder may settle. The last tests take the guards out of the statements and demand that the
same play notices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine

from app.accounts.permissions import Principal
from app.approvals import asking as questions
from app.db import db
from app.errors import Conflict, LostLease, PermanentError, TemporaryError
from app.jobs import claims, lifecycle
from app.jobs.claims import Claim
from app.jobs.states import MOVES, Priority, Reason, Status
from app.settings import ROOT
from app.workflows import asking
from tests import acting
from tests.turns import times

ADMIN = Principal(user_id="u-admin", email="root@example.com", role="admin")
PICK = st.integers(0, 1_000)
OUTCOMES = {
    "complete": "completed",
    "retry_now": "failed",
    "retry_much_later": "failed",
    "fail": "failed",
    "stop": "cancelled",
    "release": "released",
    "hold": "released",
    "ask": "asked",
}
SETTLES = tuple(OUTCOMES)
MAX_LOST = 3


@dataclass
class Known:
    """What the model knows of one job."""

    status: str = "queued"
    priority: int = 2
    due: bool = True
    holder: Claim | None = None
    cancel: bool = False
    counts: dict[str, int] = field(
        default_factory=lambda: {"retry_count": 0, "lost_count": 0, "released_count": 0}
    )

    @property
    def waits(self) -> bool:
        return self.status in ("pending", "queued", "retry")

    @property
    def rests(self) -> bool:
        """No worker has it, and it has not ended."""
        return self.waits or self.status == "awaiting_input"

    @property
    def suspect(self) -> bool:
        """It lost two workers and may be their murderer."""
        return self.counts["lost_count"] >= 2

    def end(self, status: str, count: str | None = None, *, due: bool = True) -> None:
        """The holder's attempt is over; a request to cancel wins over everything but success."""
        if count:
            self.counts[count] += 1
        self.status = "cancelled" if self.cancel and status != "completed" else status
        self.holder, self.due = None, due


class Life(RuleBasedStateMachine):
    """A handful of jobs, three workers, and everything that can happen to them."""

    zombies_say = SETTLES

    @initialize()
    def begin(self) -> None:
        self.open = ExitStack()
        self.open.enter_context(db.quick())
        for table in ("job_events", "job_attempts", "dead_letters", "job_history", "task_history"):
            db.run(f"DELETE FROM {table}")
        db.run("DELETE FROM approvals")
        db.run("DELETE FROM jobs")
        self.jobs: dict[str, Known] = {}
        self.claims: list[Claim] = []
        self.settled: dict[tuple[str, int], str] = {}

    def teardown(self) -> None:
        if hasattr(self, "open"):
            self.open.close()

    def _holders(self) -> list[str]:
        return [job_id for job_id, known in self.jobs.items() if known.holder]

    # -- users

    @rule(priority=st.sampled_from(Priority), later=st.booleans())
    def submit(self, priority: Priority, later: bool) -> None:
        job_id = acting.submitted(priority=priority.word, due_in=3600 if later else 0)
        self.jobs[job_id] = Known(
            status="pending" if later else "queued", priority=int(priority), due=not later
        )

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        job_id = list(self.jobs)[pick % len(self.jobs)]
        known = self.jobs[job_id]
        if known.rests or known.status == "running":
            lifecycle.cancel(job_id)
            known.cancel = True
            known.status = "cancelled" if known.rests else known.status
        else:
            with pytest.raises(Conflict):
                lifecycle.cancel(job_id)

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK)
    def somebody_answers(self, pick: int) -> None:
        """The last question of any job: one that waits for it goes on, for all others it is too late."""
        job_id = list(self.jobs)[pick % len(self.jobs)]
        known, question = self.jobs[job_id], db.value(_LAST_QUESTION, job=job_id)
        if known.status == "awaiting_input":
            asking.answer(question, decision="approve", by=ADMIN)
            known.status = "queued"
        elif question:
            with pytest.raises(Conflict):
                asking.answer(question, decision="approve", by=ADMIN)
        assert not lifecycle.answered(job_id)

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK, priority=st.sampled_from(Priority))
    def reprioritise(self, pick: int, priority: Priority) -> None:
        job_id = list(self.jobs)[pick % len(self.jobs)]
        if self.jobs[job_id].waits:
            lifecycle.change_priority(job_id, priority)
            self.jobs[job_id].priority = int(priority)

    # -- workers

    @rule(worker=st.sampled_from(["w1", "w2", "w3"]))
    def claim(self, worker: str) -> None:
        taken = acting.claim(worker)
        # Jobs that lost two workers never run beside each other in one process.
        alone = any(
            known.suspect and known.holder and known.holder.worker_id == worker
            for known in self.jobs.values()
        )
        ready = [
            known.priority
            for known in self.jobs.values()
            if known.waits and known.due and not (alone and known.suspect)
        ]
        if taken is None:
            assert not ready
            return
        known = self.jobs[taken.job_id]
        assert known.waits
        assert known.due
        assert known.priority == min(ready)
        known.status, known.holder = "running", taken
        self.claims.append(taken)

    @precondition(lambda self: self.claims)
    @rule(extend=st.booleans())
    def beat(self, extend: bool) -> None:
        heard = claims.beat(self.claims, lease_seconds=60, extend=extend)
        for claim in self.claims:
            known, told = self.jobs[claim.job_id], heard[claim.job_id, claim.fence]
            assert told.held is (known.holder == claim)
            assert not told.held or told.cancel is known.cancel

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, how=st.sampled_from(SETTLES))
    def settle(self, pick: int, how: str) -> None:
        """By any claim there ever was: the holder's counts, everybody else's is refused."""
        self._settle(self.claims[pick % len(self.claims)], how)

    @precondition(lambda self: self._holders())
    @rule(pick=PICK, how=st.sampled_from(SETTLES))
    def settle_by_a_holder(self, pick: int, how: str) -> None:
        holders = self._holders()
        claim = self.jobs[holders[pick % len(holders)]].holder
        assert claim is not None
        self._settle(claim, how)

    def _settle(self, claim: Claim, how: str) -> None:
        known, key = self.jobs[claim.job_id], (claim.job_id, claim.fence)
        if known.holder == claim:
            _say(claim, how)
            self._note(known, how)
            self.settled[key] = how
        elif key in self.settled and OUTCOMES[self.settled[key]] == OUTCOMES[how]:
            _say(claim, how)  # said again after a lost answer: no error, and no effect
        else:
            with pytest.raises(LostLease):
                _say(claim, how)

    def _note(self, known: Known, how: str) -> None:
        match how:
            case "complete":
                known.end("completed")
            case "retry_now" | "retry_much_later":
                known.end("retry", "retry_count", due=how == "retry_now")
            case "fail":
                known.end("failed")
            case "stop":
                known.end("cancelled")
            case "release":
                known.end("queued", "released_count")
            case "hold":
                known.end("retry", "released_count", due=False)
            case "ask":
                known.end("awaiting_input")

    @rule(pick=PICK, how=st.runner().flatmap(lambda self: st.sampled_from(self.zombies_say)))
    def a_worker_dies_its_job_goes_on_elsewhere_and_the_zombie_speaks(self, pick: int, how: str) -> None:
        if not self._holders():
            self.submit(priority=Priority.CRITICAL, later=False)
            self.claim("w1")
        holders = self._holders()
        zombie = self.jobs[holders[pick % len(holders)]].holder
        assert zombie is not None
        self._lose(zombie)
        while self.jobs[zombie.job_id].waits:
            self.claim(f"fresh-{len(self.claims)}")
        self._settle(zombie, how)

    # -- sweeps and time

    @precondition(lambda self: self._holders())
    @rule(pick=PICK)
    def a_worker_dies_and_is_noticed(self, pick: int) -> None:
        holders = self._holders()
        claim = self.jobs[holders[pick % len(holders)]].holder
        assert claim is not None
        self._lose(claim)

    def _lose(self, claim: Claim) -> None:
        acting.expire(claim)
        (found,) = lifecycle.rescue(10, max_lost=MAX_LOST, backoff_seconds=0)
        assert found["job_id"] == claim.job_id
        known = self.jobs[claim.job_id]
        known.end("failed" if known.counts["lost_count"] + 1 >= MAX_LOST else "queued", "lost_count")

    @rule()
    def rescue_finds_nobody_else(self) -> None:
        assert lifecycle.rescue(10, max_lost=MAX_LOST, backoff_seconds=0) == []

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK)
    def time_comes(self, pick: int) -> None:
        job_id = list(self.jobs)[pick % len(self.jobs)]
        if self.jobs[job_id].waits:
            acting.make_due(job_id)
            self.jobs[job_id].due = True

    @rule()
    def promote(self) -> None:
        lifecycle.promote()
        for known in self.jobs.values():
            if known.waits and known.due:
                known.status = "queued"

    # -- what holds after every step

    @invariant()
    def postgres_agrees_with_the_model(self) -> None:
        rows = db.rows(_TRUTH) if hasattr(self, "jobs") else []
        assert len(rows) == len(getattr(self, "jobs", {}))
        for row in rows:
            known = self.jobs[row["job_id"]]
            assert (row["status"], row["priority_rank"]) == (known.status, known.priority)
            assert {name: row[name] for name in known.counts} == known.counts
            assert row["lease_id"] == (known.holder.lease_id if known.holder else None)
            assert row["open_attempts"] == (known.holder is not None)
            assert row["letters"] == (known.status == "failed")
            assert row["questions"] == (known.status == "awaiting_input")
            assert row["outcomes"] == Status(known.status).is_final
            assert row["fence"] == row["attempts"]
            assert row["story"][-1] == known.status
            for source, target in zip(row["story"], row["story"][1:], strict=False):
                assert target in MOVES[Status(source)]


_TRUTH = """
    SELECT j.job_id::text, j.status, j.priority_rank, j.retry_count, j.lost_count, j.released_count, j.fence,
           j.lease_id::text,
           (SELECT count(*) FROM job_attempts a WHERE a.job_id = j.job_id) AS attempts,
           (SELECT count(*) FROM job_attempts a WHERE a.job_id = j.job_id AND ended_at IS NULL) AS open_attempts,
           (SELECT count(*) FROM dead_letters d WHERE d.job_id = j.job_id) AS letters,
           (SELECT count(*) FROM approvals q WHERE q.job_id = j.job_id AND q.status = 'open') AS questions,
           (SELECT count(*) FROM task_history t WHERE t.job_id = j.job_id) AS outcomes,
           (SELECT array_agg(to_status ORDER BY id) FROM job_history h WHERE h.job_id = j.job_id) AS story
    FROM jobs j"""
_LAST_QUESTION = """
    SELECT approval_id::text FROM approvals WHERE job_id = %(job)s ORDER BY approvals.approval_id DESC LIMIT 1"""


def _say(claim: Claim, how: str) -> None:
    match how:
        case "complete":
            lifecycle.complete(claim, {"fence": claim.fence})
        case "retry_now":
            lifecycle.retry_later(claim, TemporaryError("x"), 0)
        case "retry_much_later":
            lifecycle.retry_later(claim, TemporaryError("x"), 3600)
        case "fail":
            lifecycle.fail(claim, PermanentError("x"), Reason.PERMANENT)
        case "stop":
            lifecycle.stop(claim)
        case "release":
            lifecycle.release(claim)
        case "hold":
            lifecycle.hold(claim, Reason.BUDGET, None)
        case "ask":
            if lifecycle.wait_for_answer(claim):
                questions.ask_for_job(claim, {"question": "Well?", "digest": str(claim.fence)})


def _play(examples: int, life: type[Life] = Life) -> None:
    run_state_machine_as_test(
        life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.usefixtures("quick")
def test_whatever_happens_postgres_agrees_with_the_model() -> None:
    _play(times(50, 500))


ONE, MANY = (
    "AND fence = %(fence)s AND lease_id = %(lease)s",
    "AND j.fence = m.fence AND j.lease_id = m.lease_id",
)
NOTICED = "DID NOT RAISE|assert|violates|may not|exceptions"
GUARDS = [
    ("_RETRY", ONE, "retry_now"),
    ("_FAIL", ONE, "fail"),
    ("_STOP", ONE, "stop"),
    ("_RELEASE", ONE, "release"),
    ("_HOLD", ONE, "hold"),
    ("_WAIT_FOR_ANSWER", ONE, "ask"),
]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("statement", "guard", "verb"), GUARDS)
def test_the_play_notices_when_a_guard_is_taken_out(
    statement: str, guard: str, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = getattr(lifecycle, statement)
    assert guard in guarded
    talkative = type("Life", (Life,), {"zombies_say": (verb,)})
    _play(10, talkative)  # with the guard it has nothing to say
    monkeypatch.setattr(lifecycle, statement, guarded.replace(guard, ""))
    with pytest.raises(BaseException, match=NOTICED):
        _play(25, talkative)


@pytest.fixture
def complete(quick: Engine) -> Iterator[Callable[[str], None]]:
    """Put another text in the place of a part of `jobs_complete`, until the end of the test."""
    whole = (ROOT / "migrations" / "sql" / "0010_turns.sql").read_text()
    function = "CREATE OR REPLACE " + whole[whole.index("FUNCTION jobs_complete(") :]

    def without(guard: str) -> None:
        assert guard in function
        with db.quick():
            db.run(function.replace(guard, ""))

    yield without
    with db.quick():
        db.run(function)


def test_the_play_notices_when_the_guard_of_whole_batches_is_taken_out(
    complete: Callable[[str], None],
) -> None:
    talkative = type("Life", (Life,), {"zombies_say": ("complete",)})
    _play(10, talkative)
    complete(MANY)
    with pytest.raises(BaseException, match=NOTICED):
        _play(25, talkative)
