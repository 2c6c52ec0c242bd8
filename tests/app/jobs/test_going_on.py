"""What a retry by hand takes over from the job before, and where a chain of them began."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from app.db import as_json, db
from app.errors import PermanentError
from app.jobs import dead_letters, intake, lifecycle, queries
from app.jobs.states import Reason
from tests import acting

KEPT = {"pipeline": {"key": "k", "done": {"generate": {}}}}


@pytest.fixture(autouse=True)
def agents(quick: Engine) -> None:
    with db.quick():
        acting.agent("by-stages", runner="pipeline", pipeline={})
        acting.agent("at-once")


def failed(agent_id: str) -> str:
    """A job that left a checkpoint and failed."""
    claim = acting.claimed(agent_id, parameters={"topic": "a"})
    db.run("UPDATE jobs SET checkpoint = %(kept)s WHERE job_id = %(id)s", kept=as_json(KEPT), id=claim.job_id)
    lifecycle.fail(claim, PermanentError("no"), Reason.PERMANENT)
    return claim.job_id


def test_a_failed_job_by_stages_goes_on_in_the_next_one() -> None:
    with db.quick():
        again = intake.again(failed("by-stages"), by=acting.OWNER)
        assert queries.checkpoint(again["job_id"]) == KEPT


def test_so_does_its_dead_letter_when_it_is_sent_in_again() -> None:
    with db.quick():
        job_id = failed("by-stages")
        letter = db.value("SELECT dlq_id::text FROM dead_letters WHERE job_id = %(id)s", id=job_id)
        new = intake.resubmit(letter, by=acting.OWNER)
        assert queries.checkpoint(new["new_job_id"]) == KEPT
        assert dead_letters.get(letter)["resubmitted"]


def test_other_wishes_and_other_runners_begin_anew() -> None:
    with db.quick():
        by_stages, at_once = failed("by-stages"), failed("at-once")
        other = intake.again(by_stages, by=acting.OWNER, parameters={"topic": "b"})
        plain = intake.again(at_once, by=acting.OWNER)
        assert queries.checkpoint(other["job_id"]) is None
        assert queries.checkpoint(plain["job_id"]) is None


def test_a_finished_job_begins_anew() -> None:
    with db.quick():
        claim = acting.claimed("by-stages")
        db.run(
            "UPDATE jobs SET checkpoint = %(kept)s WHERE job_id = %(id)s", kept=as_json(KEPT), id=claim.job_id
        )
        lifecycle.complete(claim, {"ok": True})
        assert queries.checkpoint(intake.again(claim.job_id, by=acting.OWNER)["job_id"]) is None


def test_the_root_of_a_chain_is_its_first_job() -> None:
    with db.quick():
        first = failed("at-once")
        second = intake.again(first, by=acting.OWNER)["job_id"]
        lifecycle.cancel(second)
        third = intake.replay(second, by=acting.OWNER)["job_id"]
        assert [queries.root(each) for each in (first, second, third)] == [first] * 3
