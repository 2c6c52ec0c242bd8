"""Jobs that wait for people while everything dies around them: each is asked once, answered once, and goes on once."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
import redis

from app.accounts.permissions import Principal
from app.db import AWAY, db
from app.errors import Conflict
from app.workflows import asking
from tests import acting
from tests.chaos.conftest import FIGURES
from tests.fleet import Fleet
from tests.services import libpq
from tests.waiting import until

pytestmark = pytest.mark.timeout(240)

AGENT = "chaos-asker"
PEOPLE = [
    Principal(user_id=f"u-{name}", email=f"{name}@example.com", role="admin")
    for name in ("ada", "bob", "cleo", "dan", "eve", "fay", "gil", "hal")
]
JOBS = 12
DECISIONS = ("approve", "reject")


def asking_jobs(count: int, **ask: Any) -> list[str]:
    """So many new jobs that ask a person first; their ids."""
    with db.quick():
        acting.agent(AGENT, python={"call": "tests.playing:asker", "isolation": "thread"})
        return [
            acting.submitted(AGENT, parameters={"ask": {"question": f"Number {n}?", **ask}})
            for n in range(count)
        ]


def waiting(fleet: Fleet) -> list[dict[str, Any]]:
    """The jobs that wait, each with its open question."""
    return fleet.rows(
        """SELECT j.job_id::text, j.fence, j.version, a.approval_id::text FROM jobs j JOIN approvals a USING (job_id)
           WHERE j.status = 'awaiting_input' AND a.status = 'open' ORDER BY j.job_id"""
    )


@contextmanager
def nobody_asks(fleet: Fleet) -> Iterator[None]:
    """No question can be written down as long as this lasts; it begins when somebody tries to."""
    tries = "SELECT count(*) FROM pg_locks WHERE relation = 'approvals'::regclass AND NOT granted"
    with psycopg2.connect(libpq(fleet.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE approvals IN EXCLUSIVE MODE")
        fleet.until(lambda: fleet.value(tries), 30)
        yield
    connection.close()


def raced(approval_id: str) -> tuple[str, str]:
    """All people answer a question at the same moment; the decision and the e-mail address of whose answer counts."""
    ready = threading.Barrier(len(PEOPLE))
    won: list[tuple[str, str]] = []
    lost: list[str] = []

    def answer(who: Principal, decision: Any) -> None:
        ready.wait()
        try:
            with db.transaction():
                asking.answer(approval_id, decision=decision, by=who)
            won.append((decision, who.email))
        except Conflict as late:
            lost.append(late.message)

    hands = [
        threading.Thread(target=answer, args=(who, DECISIONS[number % 2]))
        for number, who in enumerate(PEOPLE)
    ]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert (len(won), len(lost)) == (1, len(PEOPLE) - 1), lost
    return won[0]


def back_again() -> bool:
    """Whether this process reaches Postgres."""
    try:
        with db.quick():
            return bool(db.value("SELECT 1"))
    except AWAY:
        return False


def results(fleet: Fleet) -> dict[str, tuple[str, str | None]]:
    """Job → what it was told, and by whom."""
    rows = fleet.rows("SELECT job_id::text, result FROM jobs WHERE status = 'completed'")
    return {row["job_id"]: (row["result"]["decision"], row["result"]["by"]) for row in rows}


def test_questions_outlive_workers_schedulers_and_servers_and_one_answer_counts(fleet: Fleet) -> None:
    scheduler = fleet.scheduler()
    worker = fleet.worker()
    jobs = asking_jobs(JOBS)
    with nobody_asks(fleet):
        worker.kill_children()
    fleet.until(lambda: len(waiting(fleet)) == JOBS, 40)
    before = waiting(fleet)
    assert fleet.broken(promised=jobs) == {}
    assert fleet.outcomes()["lost"] > 0, "nobody was shot while asking"

    worker.kill_children()
    scheduler.signal_group(signal.SIGKILL)
    with redis.Redis.from_url(fleet.pair.redis.url) as broker:
        broker.flushall()
    fleet.pair.postgres.crash()
    fleet.pair.postgres.start()
    until(back_again, 20)
    beats = "SELECT count(*) FROM workers WHERE seen_at > clock_timestamp() - interval '1 s'"
    fleet.until(lambda: fleet.value(beats), 30)
    assert waiting(fleet) == before

    said = {}
    for number, question in enumerate(before):
        said[question["job_id"]] = raced(question["approval_id"])
        if number == JOBS // 2:
            worker.kill_children()
    fleet.until(lambda: fleet.unfinished() == 0, 40)

    assert fleet.broken(at_rest=True, promised=jobs) == {}
    assert fleet.contradictions() == []
    assert results(fleet) == said
    assert fleet.outcomes()["asked"] == JOBS
    FIGURES.append(f"{JOBS} questions, {JOBS * len(PEOPLE)} answers, of which {len(said)} counted")


def test_a_deadline_passes_once_with_three_schedulers_of_which_one_dies(fleet: Fleet) -> None:
    schedulers = [fleet.scheduler(f"scheduler-{letter}") for letter in "abc"]
    fleet.worker()
    silent = {
        on_timeout: asking_jobs(JOBS, deadline_seconds=2, on_timeout=on_timeout) for on_timeout in DECISIONS
    }
    expired = "SELECT count(*) FROM approvals WHERE status = 'expired'"

    fleet.until(lambda: fleet.value(expired), 30)
    schedulers[0].signal_group(signal.SIGKILL)
    fleet.until(lambda: fleet.unfinished() == 0, 40)

    assert fleet.broken(at_rest=True, promised=[each for ids in silent.values() for each in ids]) == {}
    assert fleet.contradictions() == []
    assert results(fleet) == {job_id: (word, None) for word, ids in silent.items() for job_id in ids}
    assert fleet.value(expired) == fleet.value("SELECT count(*) FROM approvals") == 2 * JOBS
    told = fleet.rows("SELECT subject_id, count FROM notifications WHERE event = 'approval.expired'")
    assert Counter({row["subject_id"]: row["count"] for row in told}) == dict.fromkeys(
        [row["id"] for row in fleet.rows("SELECT approval_id::text AS id FROM approvals")], 1
    )
