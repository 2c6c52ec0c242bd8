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
# The token is taken a moment before the attempt's start is written down.
SLACK_SECONDS = 0.02

# How many attempts of an agent were open at the start of each of them; the start itself counts.
_OVERLAP = """
    SELECT max(together) FROM (
        SELECT (SELECT count(*) FROM job_attempts o JOIN jobs p ON p.job_id = o.job_id
                WHERE p.agent_id = j.agent_id AND o.started_at <= a.started_at AND o.ended_at > a.started_at) AS together
        FROM job_attempts a JOIN jobs j ON j.job_id = a.job_id WHERE j.agent_id = %(agent)s) x"""
_STARTS = """
    SELECT extract(epoch FROM a.started_at)::float AS at FROM job_attempts a JOIN jobs j ON j.job_id = a.job_id
    WHERE j.agent_id = %(agent)s ORDER BY a.started_at"""


def _wishes(agent_id: str, count: int, **parameters: object) -> list[Wish]:
    return [Wish(agent_id=agent_id, parameters=dict(parameters), submitted_by="limits") for _ in range(count)]


def test_eight_processes_never_run_a_fourth_and_never_start_too_many_a_second(fleet: Fleet) -> None:
    thread = {"call": "tests.playing:sleeper", "isolation": "thread"}
    with db.quick():
        acting.agent("three", python=thread, max_concurrent=PLACES)
        acting.agent("twenty", rate_limit=f"{PER_SECOND}/second")
    fleet.scheduler()
    worker = fleet.worker(processes=PROCESSES, threads=4)
    fleet.until(lambda: fleet.value("SELECT count(*) FROM workers") == PROCESSES, 120)

    submit(_wishes("three", CROWD, seconds=0.05) + _wishes("twenty", BURST_JOBS))
    fleet.until(lambda: fleet.unfinished() == 0, 45)

    assert fleet.outcomes() == {"completed": CROWD + BURST_JOBS}
    assert fleet.value(_OVERLAP, agent="three") == PLACES
    assert _too_many([row["at"] for row in fleet.rows(_STARTS, {"agent": "twenty"})]) == []
    assert len(fleet.rows("SELECT DISTINCT worker_id FROM job_attempts")) > PROCESSES / 2
    assert (fleet.restarts, worker.surprises()) == (0, [])


def _too_many(starts: list[float]) -> list[tuple[float, int]]:
    """The spans in which more started than a full bucket and its refill allow: (seconds, started)."""
    spans = [
        (starts[last] - starts[first], last - first + 1)
        for first in range(len(starts))
        for last in range(first, len(starts))
    ]
    return [
        (seconds, started)
        for seconds, started in spans
        if started > PER_SECOND + PER_SECOND * (seconds + SLACK_SECONDS)
    ]


def test_the_measure_itself_finds_one_too_many() -> None:
    exact = [0.0] * PER_SECOND + [(n + 1) / PER_SECOND for n in range(40)]
    assert _too_many(exact) == []
    assert _too_many([*exact, exact[-1]]) != []
