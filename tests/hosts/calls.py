"""What tests submit to the hosts, and ask their doors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2

from app import clock
from app.db import db
from app.jobs.intake import Wish
from app.schedules import changes
from tests.chaos.load import Load, submit, wrong_endings
from tests.fleet import Unit
from tests.hosts.beacon import Life, lives
from tests.hosts.fleet import Hosts, bearer

BEACON = "hosts-beacon"
WORKERS = ("worker-a", "worker-b", "worker-c")


def beacon(file: Path, seconds: float) -> str:
    """Submit one; answers its job."""
    parameters = {"file": str(file), "seconds": seconds}
    return submit([Wish(agent_id=BEACON, parameters=parameters, submitted_by="hosts", priority="critical")])[
        0
    ]


def stubborn(count: int, seconds: float) -> list[str]:
    """Submit jobs that run in the worker's own threads, where nobody can end them."""
    one = Wish(
        agent_id="test-stubborn", parameters={"seconds": seconds}, submitted_by="hosts", priority="critical"
    )
    return submit([one] * count)


def seen(fleet: Hosts, file: Path, count: int = 1, seconds: float = 30) -> list[Life]:
    """Wait until `count` attempts of a beacon were seen."""
    fleet.until(lambda: len(lives(file)) >= count, seconds)
    return lives(file)


def once(count: int, within: float) -> list[str]:
    """One-time schedules that come in the next seconds."""
    made = []
    with db.transaction():
        for number in range(count):
            when = clock.now() + timedelta(seconds=1 + within * number / count)
            made.append(
                changes.create(changes.Wish(submitted_by="hosts", agent_id="test-noop", execute_at=when))
            )
    return [each["schedule_id"] for each in made]


def fires(fleet: Hosts, schedule_ids: list[str]) -> list[dict[str, Any]]:
    """What became of them: {outcome, late (s)}."""
    return fleet.rows(
        """SELECT outcome, extract(epoch FROM at - slot_at)::float AS late FROM schedule_fires
           WHERE schedule_id = ANY(%(ids)s::uuid[])""",
        {"ids": schedule_ids},
    )


def post(fleet: Hosts, door: Unit, **body: Any) -> str:
    """Submit a job at a door; answers its id."""
    answer = httpx2.post(f"{fleet.address(door)}/api/v1/jobs", json=body, headers=bearer(), timeout=15)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job_id"])


def status(fleet: Hosts, door: Unit, job_id: str) -> dict[str, Any]:
    """What a door says of a job, without what says when it was asked."""
    answer = httpx2.get(f"{fleet.address(door)}/api/v1/jobs/{job_id}/status", headers=bearer(), timeout=15)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return {name: value for name, value in told.items() if name != "timestamp"}


def health(fleet: Hosts, door: Unit) -> str:
    """What a door says of itself; empty before it answers."""
    try:
        return str(httpx2.get(f"{fleet.address(door)}/api/health", timeout=10).json()["status"])
    except httpx2.TransportError:
        return ""


@contextmanager
def under_load(fleet: Hosts, depth: int = 120, seconds: float = 60) -> Iterator[Load]:
    """Keep `depth` jobs of mixed agents in flight; afterwards all of them have ended as promised and all holds."""
    with Load(fleet, depth=depth) as load:
        yield load
    settled(fleet, load.accepted, seconds)


def settled(fleet: Hosts, accepted: dict[str, str], seconds: float) -> None:
    """Wait until nothing is left to do, and demand every invariant."""
    fleet.until(lambda: fleet.unfinished() + fleet.to_follow_up() == 0, seconds)
    assert accepted
    assert fleet.broken(at_rest=True, promised=accepted) == {}
    assert fleet.contradictions() == []
    assert wrong_endings(fleet, accepted) == []
