from __future__ import annotations

from typing import Any

from app.db import db
from app.settings import POOLS
from app.workers import fleet
from tests.app.api import world
from tests.app.api.calling import Caller


def body(answer: Any) -> dict[str, Any]:
    assert answer.json is not None, answer.data
    return dict(answer.json)


def hire(worker_id: str = world.WORKER) -> None:
    with db.transaction():
        fleet.register(worker_id, hostname="h", process_id=1, pools=("general",), threads=4, release="t")


def test_figures_by_priority(owner: Caller) -> None:
    hire()
    world.running(owner.id)
    for priority in ("low", "low", "high"):
        world.submitted(owner.id, priority=priority)
    stats = body(owner.get("/api/v1/queues/stats"))

    depths = {name: line["depth"] for name, line in stats["queues"].items()}
    assert depths == {"critical": 0, "high": 1, "normal": 0, "low": 2}
    assert stats["queues"]["low"]["processing_rate"] == "0/minute"
    assert stats["workers"] == {
        "total": 1,
        "active": 1,
        "idle": 0,
        "threads": 4,
        "busy": 1,
        "utilization": 0.25,
    }


def test_pools_with_their_workers(owner: Caller) -> None:
    hire()
    world.submitted(owner.id)
    pools = {line["pool"]: line for line in body(owner.get("/api/v1/queues"))["queues"]}

    assert set(pools) == set(POOLS)
    assert (pools["general"]["waiting"], pools["general"]["threads"]) == (1, 4)
    assert (pools["testing"]["waiting"], pools["testing"]["threads"]) == (0, 0)


def test_how_many_workers_would_be_right(owner: Caller) -> None:
    hire()
    scaling = body(owner.get("/api/v1/scaling"))

    assert (scaling["current"], scaling["wanted"], scaling["waiting"]) == (1, 5, 0)


def test_workers_are_listed_with_what_they_do(owner: Caller) -> None:
    hire()
    hire("idle-worker")
    claim = world.running(owner.id)
    listed = body(owner.get("/api/v1/workers"))

    states = {worker["worker_id"]: worker["state"] for worker in listed["workers"]}
    assert states == {world.WORKER: "active", "idle-worker": "idle"}
    busy = next(worker for worker in listed["workers"] if worker["worker_id"] == world.WORKER)
    assert [job["job_id"] for job in busy["jobs"]] == [claim.job_id]
    assert listed["summary"]["total"] == 2
