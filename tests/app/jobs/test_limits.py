"""Limits are exact under any race: sixteen claimers at once, each with its own connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from app.db import db
from app.jobs import lifecycle, upkeep
from app.jobs.claims import Claim
from tests import acting

CLAIMERS = 16

pytestmark = pytest.mark.usefixtures("quick")


def _at_once(do: Callable[[int], list[Claim]]) -> list[Claim]:
    """Everything that CLAIMERS threads claimed, started by one signal."""
    start = threading.Barrier(CLAIMERS)

    def run(number: int) -> list[Claim]:
        with db.quick():
            start.wait(10)
            return do(number)

    with ThreadPoolExecutor(CLAIMERS) as threads:
        return [claim for taken in threads.map(run, range(CLAIMERS)) for claim in taken]


def _claim_several(number: int, tries: int = 5) -> list[Claim]:
    return [c for _ in range(tries) if (c := acting.claim(f"w{number}"))]


def test_a_limit_of_three_lets_exactly_three_run() -> None:
    with db.quick():
        acting.agent("three", max_concurrent=3)
        for _ in range(40):
            acting.submitted("three")
    for _ in range(3):
        claims = _at_once(_claim_several)
        assert len(claims) == 3
        with db.quick():
            assert db.value("SELECT count(*) FROM jobs WHERE status = 'running'") == 3
            for claim in claims:
                lifecycle.complete(claim, {})


def test_three_is_never_exceeded_while_jobs_come_and_go(quick: Engine) -> None:
    with db.quick():
        acting.agent("three", max_concurrent=3)
        for _ in range(60):
            acting.submitted("three")
    most: list[int] = []

    def work(number: int) -> list[Claim]:
        done = []
        for _ in range(12):
            if claim := acting.claim(f"w{number}"):
                most.append(db.value("SELECT count(*) FROM jobs WHERE status = 'running'"))
                lifecycle.complete(claim, {})
                done.append(claim)
        return done

    done = _at_once(work)
    assert len(done) == len({c.job_id for c in done}) >= 16
    assert 1 <= max(most) <= 3
    with db.quick():
        assert db.value("SELECT count(*) FROM agent_slots WHERE job_id IS NOT NULL") == 0
        assert upkeep.trim_slots() == 0


def test_a_rate_of_five_starts_exactly_five() -> None:
    with db.quick():
        acting.agent("five", rate_limit="5/day")
        for _ in range(40):
            acting.submitted("five")
    claims = _at_once(_claim_several)
    with db.quick():
        claims += [
            c for _ in range(6) if (c := acting.claim())
        ]  # a bucket in another's hands may have been passed by
    assert len(claims) == 5


def test_unlimited_jobs_go_to_one_claimer_each() -> None:
    with db.quick():
        ids = {acting.submitted() for _ in range(60)}
    claims = _at_once(lambda number: _claim_several(number, 10))
    with db.quick():
        while claim := acting.claim():
            claims.append(claim)
    assert len(claims) == 60
    assert {c.job_id for c in claims} == ids
    assert {c.fence for c in claims} == {1}


def test_a_settle_happens_once_however_many_say_it_at_once() -> None:
    with db.quick():
        claim = acting.claimed()
    _at_once(lambda _number: [lifecycle.complete(claim, {})] and [])
    with db.quick():
        assert db.value("SELECT count(*) FROM task_history") == 1
        assert db.value("SELECT count(*) FROM job_events WHERE kind = 'complete'") == 1


def test_slots_that_leaked_or_are_over_the_limit_are_found_by_the_sweep() -> None:
    with db.quick():
        acting.agent("narrow", max_concurrent=2)
        claim = acting.claimed("narrow")
        db.run("UPDATE agents SET max_concurrent_tasks = 1 WHERE agent_id = 'narrow'")
        assert upkeep.trim_slots() == 1  # the free one over the limit; the taken one stays
        db.run("UPDATE agent_slots SET job_id = gen_random_uuid() WHERE job_id = %(id)s", id=claim.job_id)
        assert upkeep.trim_slots() == 1
        assert db.value("SELECT count(*) FROM agent_slots WHERE job_id IS NULL AND agent_id = 'narrow'") == 1
