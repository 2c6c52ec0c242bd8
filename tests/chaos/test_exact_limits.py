"""Limits under eight processes that all want the same jobs: exact, not roughly so. Nothing is broken here."""

from __future__ import annotations

import pytest

from app.db import db
from app.jobs.intake import Wish
from tests import acting
from tests.chaos.load import submit
from tests.fleet import Fleet

pytestmark = pytest.mark.timeout(120)

PROCESSES = 8
PLACES, CROWD = 3, 200
PER_SECOND, BURST_JOBS = 20, 100
ROUNDING = 0.001

# How many attempts of an agent were open at the start of each of them; the start itself counts.
_OVERLAP = """
    SELECT max(together) FROM (
        SELECT (SELECT count(*) FROM job_attempts o JOIN jobs p ON p.job_id = o.job_id
                WHERE p.agent_id = j.agent_id AND o.started_at <= a.started_at AND o.ended_at > a.started_at) AS together
        FROM job_attempts a JOIN jobs j ON j.job_id = a.job_id WHERE j.agent_id = %(agent)s) x"""
# A claim takes several jobs, each with its token, and writes down their starts together: it is the tokens that come
# at their times. One that a claim gives back again is not in the table.
_KEEP_TOKENS = """
    CREATE TABLE tokens_taken (at timestamptz NOT NULL CHECK (at <= clock_timestamp()));
    CREATE FUNCTION keep_token() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tokens_taken VALUES (NEW.refilled_at);
        RETURN NULL;
    END $$;
    CREATE TRIGGER keep_token AFTER UPDATE OF tokens ON agent_rates
        FOR EACH ROW WHEN (NEW.agent_id = 'twenty') EXECUTE FUNCTION keep_token()"""
_TOKENS = "SELECT extract(epoch FROM at)::float AS at FROM tokens_taken ORDER BY at"
_STARTS = """
    SELECT count(*) FROM job_attempts a JOIN jobs j ON j.job_id = a.job_id WHERE j.agent_id = %(agent)s"""


def _wishes(agent_id: str, count: int, **parameters: object) -> list[Wish]:
    return [Wish(agent_id=agent_id, parameters=dict(parameters), submitted_by="limits") for _ in range(count)]


def test_eight_processes_never_run_a_fourth_and_never_start_too_many_a_second(fleet: Fleet) -> None:
    thread = {"call": "tests.playing:sleeper", "isolation": "thread"}
    with db.quick():
        acting.agent("three", python=thread, max_concurrent=PLACES)
        acting.agent("twenty", rate_limit=f"{PER_SECOND}/second")
        db.run(_KEEP_TOKENS)
    fleet.scheduler()
    worker = fleet.worker(processes=PROCESSES, threads=4)
    fleet.until(lambda: fleet.value("SELECT count(*) FROM workers") == PROCESSES, 120)

    submit(_wishes("three", CROWD, seconds=0.05) + _wishes("twenty", BURST_JOBS))
    fleet.until(lambda: fleet.unfinished() == 0, 45)

    assert fleet.outcomes() == {"completed": CROWD + BURST_JOBS}
    assert fleet.value(_OVERLAP, agent="three") == PLACES
    tokens = [row["at"] for row in fleet.rows(_TOKENS)]
    assert len(tokens) == fleet.value(_STARTS, agent="twenty") == BURST_JOBS
    assert _too_many(tokens) == []
    assert len(fleet.rows("SELECT DISTINCT worker_id FROM job_attempts")) > PROCESSES / 2
    assert (fleet.restarts, worker.surprises()) == (0, [])


def _too_many(taken: list[float]) -> list[tuple[float, int]]:
    """The spans in which more was taken than a full bucket and its refill allow: (seconds, taken)."""
    spans = [
        (taken[last] - taken[first], last - first + 1)
        for first in range(len(taken))
        for last in range(first, len(taken))
    ]
    return [
        (seconds, count) for seconds, count in spans if count > PER_SECOND + PER_SECOND * seconds + ROUNDING
    ]


def test_the_measure_itself_finds_one_too_many() -> None:
    exact = [0.0] * PER_SECOND + [(n + 1) / PER_SECOND for n in range(40)]
    assert _too_many(exact) == []
    assert _too_many([*exact, exact[-1]]) != []
