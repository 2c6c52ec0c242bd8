"""Short ways to bring jobs into a state, for tests inside `db.quick()`; each says what it leaves behind."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

from app import clock
from app.agents import registry
from app.agents.definition import parse
from app.approvals import asking
from app.approvals import queries as approvals
from app.approvals.wanted import Wanted
from app.db import Row, db
from app.errors import PermanentError, TemporaryError
from app.jobs import claims, intake, lifecycle
from app.jobs.claims import Claim
from app.jobs.intake import Wish
from app.jobs.states import Reason, Status
from app.settings import POOLS
from app.workflows import asking as answering
from app.workflows import intake as workflows

OWNER = "ada@example.com"


@contextmanager
def long_ago(days: float) -> Iterator[None]:
    """Jobs and runs that are made in this block have ids of so many days ago; their times are those of now."""

    def new_id() -> str:
        begin = UUID(clock.least_id(clock.now() - timedelta(days=days))).int
        return str(UUID(int=begin | 7 << 76 | 2 << 62 | secrets.randbits(62)))

    with patch.object(lifecycle, "new_id", new_id), patch.object(workflows, "new_id", new_id):
        yield


def agent(agent_id: str, **ours: Any) -> None:
    """An agent of one test, unlimited unless told; it answers {"ok": true} at once."""
    keys = {
        "runner": "python",
        "python": {"call": "tests.playing:noop", "isolation": "thread"},
        "max_concurrent": None,
        "parameters": {"type": "object"},
    } | ours
    text = f"---\nname: {agent_id}\ndescription: One test's.\nx-callboard: {json.dumps(keys)}\n---\nA body.\n"
    registry.install(parse(agent_id, text), "one test")
    registry.forget()


def submitted(agent_id: str = "test-noop", *, due_in: float = 0, **wish: Any) -> str:
    """The id of a new job, due in so many seconds."""
    run_at = clock.now() + timedelta(seconds=due_in) if due_in else None
    told = {"parameters": {}, "submitted_by": OWNER, "run_at": run_at} | wish
    return str(lifecycle.submit(intake.order(Wish(agent_id=agent_id, **told)))["job_id"])


def claim(worker: str = "w1", pools: tuple[str, ...] = POOLS, lease_seconds: float = 60) -> Claim | None:
    """What `worker` gets when it asks for one job."""
    taken = claims.claim_next(worker, pools, lease_seconds=lease_seconds)
    return taken[0] if taken else None


def claimed(agent_id: str = "test-noop", *, worker: str = "w1", **wish: Any) -> Claim:
    """The claim of a new job, which must have been the only one to take."""
    job_id = submitted(agent_id, **wish)
    taken = claim(worker)
    assert taken is not None
    assert taken.job_id == job_id
    return taken


def job(job_id: str) -> Row:
    """The whole row, ids as text."""
    found = db.row("SELECT * FROM jobs WHERE job_id = %(id)s", id=job_id)
    assert found is not None
    return {name: str(value) if isinstance(value, UUID) else value for name, value in found.items()}


def status(job_id: str) -> str:
    """Where the job is."""
    return str(job(job_id)["status"])


def make_due(job_id: str) -> None:
    """Let the time come for which a waiting job waits."""
    db.run("UPDATE jobs SET run_at = now() - interval '1 s' WHERE job_id = %(id)s", id=job_id)


def expire(taken: Claim) -> None:
    """Let a claim's lease run out, as if its worker had been silent."""
    db.run("UPDATE jobs SET lease_expires_at = now() - interval '1 s' WHERE job_id = %(id)s", id=taken.job_id)


def rescue(taken: Claim, *, max_lost: int = 3) -> Row:
    """Let the worker of `taken` be lost and the sweep find it; answers {job_id, status, pool}."""
    expire(taken)
    (found,) = lifecycle.rescue(10, max_lost=max_lost, backoff_seconds=0)
    assert found["job_id"] == taken.job_id
    return found


def asks(taken: Claim, question: str = "Well?", *, key: str = "", **wanted: Any) -> str:
    """Let an attempt end by asking a person, as its runner would; answers the id of the question."""
    wish = Wanted(question=question, key=key, **wanted)
    wish.check()
    assert lifecycle.wait_for_answer(taken)
    return asking.ask_for_job(taken, wish.as_question())


def asked(question: str = "Well?", **wanted: Any) -> tuple[str, str]:
    """A new job that waits for a person, and the id of its question."""
    taken = claimed()
    return taken.job_id, asks(taken, question, **wanted)


def expire_questions() -> int:
    """Settle the questions whose time is over, as the sweep does; answers how many."""
    return sum(answering.expire(each) for each in approvals.due(100))


def too_late(approval_id: str) -> None:
    """Let the time to answer a question be over."""
    db.run(
        "UPDATE approvals SET deadline_at = now() - interval '1 s' WHERE approval_id = %(id)s", id=approval_id
    )


def brought_to(where: Status) -> tuple[str, Claim | None]:
    """A due job in status `where`, and its last claim if it ever had one."""
    if where in (Status.PENDING, Status.QUEUED):
        job_id = submitted(due_in=3600 if where == Status.PENDING else 0)
        make_due(job_id)
        return job_id, None
    taken = claimed()
    match where:
        case Status.AWAITING_INPUT:
            asks(taken)
        case Status.RETRY:
            lifecycle.retry_later(taken, TemporaryError("again"), 0.0)
        case Status.COMPLETED:
            lifecycle.complete(taken, {"ok": True})
        case Status.FAILED:
            lifecycle.fail(taken, PermanentError("no"), Reason.PERMANENT)
        case Status.CANCELLED:
            lifecycle.stop(taken)
    return taken.job_id, taken
