"""Jobs that settle at once, on connections and in transactions of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Engine

from app.db import db
from app.jobs import lifecycle
from app.workflows import progress, rows, runs
from tests import acting
from tests.app.workflows.playing import claim_of, jobs_of, parallel, row, run, started, statuses, step

pytestmark = pytest.mark.usefixtures("anything")
ROUNDS = 20
WIDTH = 4


def _ready(width: int = WIDTH) -> tuple[str, list[str]]:
    """A run whose fan-in waits for so many jobs, all of which have just ended; nobody told the run yet."""
    names = [f"s{n}" for n in range(width)]
    with db.transaction():
        run_id = started(
            parallel("p", *(step(name) for name in names)), step("after"), step("last", depends_on=["p"])
        )
        jobs = []
        for name in names:
            lifecycle.complete(claim := claim_of(run_id, name), {"n": name})
            jobs.append(claim.job_id)
    return run_id, jobs


def _at_once(does: list[Callable[[], object]]) -> list[object]:
    """Each in a thread and a transaction of its own, all begun before any goes on."""
    gate = threading.Barrier(len(does))

    def alone(do: Callable[[], object]) -> object:
        with db.transaction():
            db.value("SELECT 1")
            gate.wait(10)
            return do()

    with ThreadPoolExecutor(len(does)) as pool:
        return [future.result(30) for future in [pool.submit(alone, do) for do in does]]


def test_steps_that_settle_at_once_start_what_follows_once_and_lose_nothing() -> None:
    for _ in range(ROUNDS):
        run_id, jobs = _ready()

        _at_once([partial(progress.job_settled, job) for job in [*jobs, *jobs]])  # a sweep tells them again

        with db.transaction():
            assert {name: s for name, s in statuses(run_id).items() if name in ("p", "after", "last")} == {
                "p": "completed", "after": "running", "last": "running",
            }  # fmt: skip
            assert len(jobs_of(run_id)) == WIDTH + 2


def test_steps_that_end_while_others_are_noted_lose_nothing() -> None:
    """Each job settles and is told of in its own time: the last one always finds all."""
    for _ in range(ROUNDS):
        with db.transaction():
            run_id = started(parallel("p", *(step(f"s{n}") for n in range(WIDTH))), step("after"))
            claims = [claim_of(run_id, f"s{n}") for n in range(WIDTH)]
        gate = threading.Barrier(WIDTH)

        def work(claim: object, gate: threading.Barrier = gate) -> None:
            gate.wait(10)
            with db.transaction():
                lifecycle.complete(claim, {"ok": True})  # type: ignore[arg-type]
            with db.transaction():
                progress.job_settled(claim.job_id)  # type: ignore[attr-defined]

        with ThreadPoolExecutor(WIDTH) as pool:
            list(pool.map(work, claims))

        with db.transaction():
            assert statuses(run_id)["after"] == "running"
            assert len(jobs_of(run_id, "after")) == 1


def test_without_its_lock_a_run_would_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The race is real: the second looks before the first has written, and each finds the other's step running."""
    with db.transaction():
        run_id = started(parallel("p", step("a"), step("b")), step("after"))
        first, second = claim_of(run_id, "a"), claim_of(run_id, "b")
        lifecycle.complete(first, {"ok": True})
    monkeypatch.setattr(rows, "LOCK", rows.LOCK.replace("FOR UPDATE", ""))
    noted, looked, take = threading.Event(), threading.Event(), progress._Going.take

    def in_turn(going: progress._Going) -> None:
        if not noted.is_set():
            take(going)
            noted.set()
            looked.wait(10)  # with the lock it would be: until the first has committed
        else:
            looked.set()
            take(going)

    def settle(job_id: str) -> None:
        with db.transaction():
            progress.job_settled(job_id)

    monkeypatch.setattr(progress._Going, "take", in_turn)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(settle, first.job_id)
        assert noted.wait(10)
        with db.transaction():
            lifecycle.complete(second, {"ok": True})
        two = pool.submit(settle, second.job_id)
        one.result(30)
        two.result(30)

    with db.transaction():
        assert statuses(run_id) == {"p": "running", "a": "completed", "b": "completed", "after": "waiting"}, (
            "nothing was lost without the lock: the tests above prove nothing"
        )


def test_a_cancel_and_a_settle_at_once_leave_nothing_behind() -> None:
    for _ in range(ROUNDS):
        with db.transaction():
            run_id = started(step("a"), step("b"))
            lifecycle.complete(claim := claim_of(run_id, "a"), {"ok": True})

        _at_once([partial(progress.job_settled, claim.job_id), partial(runs.cancel, run_id)])

        with db.transaction():
            assert run(run_id)["status"] == "cancelled"
            assert statuses(run_id) == {"a": "completed", "b": "cancelled"}
            assert all(job["status"] in ("completed", "cancelled") for job in jobs_of(run_id))


def test_a_sweep_leaves_a_run_that_somebody_holds(anything: Engine) -> None:
    with db.transaction():
        run_id = started({"step_id": "q", "type": "approval", "question": "Well?", "deadline_minutes": 1})
        db.run("UPDATE approvals SET deadline_at = now() - interval '1 s'")
    with anything.connect() as held:
        held.exec_driver_sql("SELECT 1 FROM workflows FOR UPDATE")
        with db.transaction():
            assert acting.expire_questions() == 0
        held.rollback()
    with db.transaction():
        assert acting.expire_questions() == 1
        assert row(run_id, "q")["status"] == "failed"
