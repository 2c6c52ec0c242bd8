"""Runs whose workers, schedulers and servers die under them: each ends as its definition says, no step runs twice."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from app.db import db
from app.errors import Conflict
from app.workflows import runs
from app.workflows.definition import read
from app.workflows.runs import RunWish
from tests.chaos import shapes
from tests.chaos.conftest import FIGURES
from tests.chaos.load import Watch
from tests.chaos.pulse import pulse
from tests.chaos.shapes import SHAPES, Shape, without_attempts
from tests.chaos.test_workers_die import HOW, shoot
from tests.fleet import Fleet, Unit

pytestmark = pytest.mark.timeout(240)

RUNS, BLOWS = 39, 16

_OPEN = "SELECT workflow_id::text FROM workflows WHERE finished_at IS NULL AND parent_workflow_id IS NULL"
_ENDED = """
    SELECT workflow_id::text, status, output, error ->> 'step_id' AS culprit FROM workflows
    WHERE parent_workflow_id IS NULL"""
_JOBS = """
    WITH RECURSIVE family AS (
        SELECT workflow_id AS top, workflow_id FROM workflows WHERE parent_workflow_id IS NULL
        UNION ALL
        SELECT f.top, w.workflow_id FROM family f JOIN workflows w ON w.parent_workflow_id = f.workflow_id)
    SELECT top::text, count(j.job_id) AS jobs FROM family JOIN jobs j USING (workflow_id) GROUP BY top"""


def started(definition: dict[str, Any]) -> str:
    with db.transaction():
        return str(runs.start(RunWish(definition=read(definition), submitted_by="chaos"))["workflow_id"])


class Crowd:
    """Runs of every shape, with people who start, pause, resume and cancel them."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        """Nothing is started yet."""
        self.fleet = fleet
        self.chance = random.Random(6)
        self.shapes: dict[str, Shape] = {}
        self.paused: set[str] = set()
        self.pauses = 0
        self._wanted = iter([SHAPES[n % len(SHAPES)](n, folder) for n in range(RUNS)])
        shapes.install()

    def grow(self, count: int) -> None:
        """Start so many more, as far as there are any."""
        for _, shape in zip(range(count), self._wanted, strict=False):
            self.shapes[started(shape.definition)] = shape

    def meddle(self) -> None:
        """Let all that are paused go on, pause three others, and cancel one that never ends by itself."""
        self.resume()
        going = [row["workflow_id"] for row in self.fleet.rows(_OPEN)]
        for workflow_id in self.chance.sample(going, min(3, len(going))):
            with suppress(Conflict), db.transaction():
                runs.pause(workflow_id)
                self.paused.add(workflow_id)
                self.pauses += 1
        if endless := [each for each in going if self.shapes[each].status == "cancelled"]:
            self.cancel(self.chance.choice(endless))

    def resume(self) -> None:
        while self.paused:
            with suppress(Conflict), db.transaction():
                runs.resume(self.paused.pop())

    def cancel(self, workflow_id: str) -> None:
        with db.transaction():
            runs.cancel(workflow_id)

    def calm(self) -> None:
        """Nothing is paused any more, and whatever never ends by itself is cancelled."""
        self.resume()
        for workflow_id in [row["workflow_id"] for row in self.fleet.rows(_OPEN)]:
            if self.shapes[workflow_id].status == "cancelled":
                self.cancel(workflow_id)

    def wrong(self) -> list[tuple[str, Any, Any]]:
        """The runs that did not end as they must: (definition's steps, what must be, what is)."""
        jobs = {row["top"]: row["jobs"] for row in self.fleet.rows(_JOBS)}
        ended = {row["workflow_id"]: row for row in self.fleet.rows(_ENDED)}
        assert ended.keys() == self.shapes.keys()
        found = []
        for workflow_id, shape in self.shapes.items():
            row = ended[workflow_id]
            must = (shape.status, shape.culprit, shape.output, shape.jobs)
            is_so = (row["status"], row["culprit"], without_attempts(row["output"]), jobs.get(workflow_id))
            if must != (is_so if shape.jobs is not None else (*is_so[:3], None)):
                found.append((str([step["step_id"] for step in shape.definition["steps"]]), must, is_so))
        return found


def quiet(fleet: Fleet) -> bool:
    """Whether nothing is left to do, nor to be followed up."""
    return not fleet.rows(_OPEN) and fleet.unfinished() + fleet.to_follow_up() == 0


def deadlocks(fleet: Fleet) -> list[dict[str, Any]]:
    """What the processes say of deadlocks; Postgres' own figure does not outlive its crash."""
    return [
        line
        for unit in fleet.units.values()
        for event in ("followup.waits", "settle.waits", "tick.missed", "look.missed")
        for line in unit.log_lines(event)
        if "Deadlock" in str(line.get("error"))
    ]


def victims(units: list[Unit]) -> Iterator[Unit]:
    while True:
        yield from units


def test_runs_of_every_shape_end_as_they_must_whoever_dies(fleet: Fleet, tmp_path: Path) -> None:
    workers = [fleet.worker("worker-a", threads=4), fleet.worker("worker-b", threads=4)]
    schedulers = [fleet.scheduler("scheduler-a"), fleet.scheduler("scheduler-b")]
    crowd = Crowd(fleet, tmp_path)
    chance = random.Random(5)
    turns = victims([workers[0], schedulers[0], workers[1], schedulers[1]])

    with Watch(fleet) as watch:
        for number in pulse(fleet, 1.0, BLOWS):
            crowd.grow(3)
            victim = next(turns)
            if victim in workers:
                # Towards the end, all that is left may be in the other one's hands.
                with suppress(AssertionError):
                    fleet.until(lambda victim=victim: fleet.running_on(victim), 10)  # type: ignore[misc]
                shoot(victim, chance.choice(HOW))
            else:
                victim.signal_group(signal.SIGKILL)
            if number % 3 == 2:
                crowd.meddle()
            if number == BLOWS // 3:
                with redis.Redis.from_url(fleet.pair.redis.url) as broker:
                    broker.flushall()
            if number == 2 * BLOWS // 3:
                fleet.pair.postgres.crash()
                fleet.pair.postgres.start()
        crowd.calm()
        fleet.until(lambda: quiet(fleet), 90, every=0.2)

    jobs, outcomes = fleet.value("SELECT count(*) FROM jobs"), fleet.outcomes()
    FIGURES.append(
        f"{RUNS} runs, {jobs} jobs, {crowd.pauses} pauses, {fleet.restarts} restarts, attempts {outcomes}"
    )
    assert len(crowd.shapes) == RUNS
    assert crowd.wrong() == []
    assert watch.seen == {}, "seen in the middle of it"
    assert fleet.broken(at_rest=True) == {}
    assert fleet.contradictions() == []
    assert deadlocks(fleet) == []
    assert [said for unit in fleet.units.values() for said in unit.surprises()] == []
    assert watch.looks > 0
    assert crowd.pauses > 0
    assert outcomes["lost"] >= 3, "the workers died while they had nothing in hand"
    assert fleet.restarts >= BLOWS // 2


# Where a worker dies, in the order in which it follows up; see abrupt_worker.py.
POINTS = ("before", "within", "between", "telling")
_STEPS = """
    SELECT s.step_id, s.status, born.at - before.finished_at AS pause, count(j.job_id) AS jobs FROM workflow_steps s
    JOIN jobs j USING (workflow_id, step_id)
    JOIN job_history born ON born.job_id = s.job_id AND born.from_status IS NULL
    LEFT JOIN workflow_steps before ON before.workflow_id = s.workflow_id AND before.step_id = s.depends_on[1]
    GROUP BY s.step_id, s.position, s.status, born.at, before.finished_at ORDER BY s.position"""


def test_a_worker_that_dies_between_a_settle_and_what_follows_is_followed_up_by_the_sweep(
    fleet: Fleet,
) -> None:
    steps = [shapes.echo(point) for point in POINTS[:-1]]
    told = shapes.HARD | {"step_id": POINTS[-1], "continue_on_failure": True}
    fleet.scheduler()
    fleet.worker(threads=2, module="tests.chaos.abrupt_worker")

    workflow_id = started(shapes.flow(*steps, told, shapes.echo("last")))
    fleet.until(lambda: quiet(fleet), 90)

    rows = fleet.rows(_STEPS)
    assert [(row["step_id"], row["jobs"]) for row in rows] == [(name, 1) for name in (*POINTS, "last")]
    assert [row["status"] for row in rows] == ["completed", "completed", "completed", "failed", "completed"]
    assert max(row["pause"].total_seconds() for row in rows[1:]) < 8
    assert [line["point"] for line in fleet.units["worker"].log_lines("abrupt")] == list(POINTS)
    assert fleet.restarts >= len(POINTS)
    news = fleet.rows("SELECT event, subject_id, count FROM notifications ORDER BY notification_id")
    assert [(row["event"], row["count"]) for row in news] == [("dead_letter", 1), ("workflow.completed", 1)]
    assert news[-1]["subject_id"] == workflow_id
    assert fleet.broken(at_rest=True) == {}
