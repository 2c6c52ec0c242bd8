from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from app import clock
from app.db import db
from app.jobs import claims
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
        "draining": 0,
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


PAUSE, RESUME = "/api/v1/queues/general/pause", "/api/v1/queues/general/resume"


def pool(caller: Caller, name: str = "general") -> dict[str, Any]:
    lines = body(caller.get("/api/v1/queues"))["queues"]
    return next(line for line in lines if line["pool"] == name)


def claimable() -> list[str]:
    with db.transaction():
        return [claim.job_id for claim in claims.claim_next(world.WORKER, POOLS, lease_seconds=60)]


def test_from_a_paused_pool_nothing_is_taken_until_it_is_resumed(
    admin: Caller, bells: list[tuple[str, int]]
) -> None:
    job_id = world.submitted(admin.id)
    paused = body(admin.post(PAUSE, json={"reason": "the flood"}))

    assert (paused["paused"], paused["pause_reason"], paused["paused_until"], paused["paused_by"]) == (
        True,
        "the flood",
        None,
        admin.id,
    )
    assert pool(admin) == paused
    assert body(admin.get("/api/v1/queues/stats"))["paused"] == ["general"]
    assert claimable() == []

    bells.clear()
    resumed = body(admin.post(RESUME))
    assert (resumed["paused"], resumed["pause_reason"], resumed["paused_by"]) == (False, None, None)
    assert bells == [("general", 1)]
    assert claimable() == [job_id]
    assert body(admin.get("/api/v1/queues/stats"))["paused"] == []


def test_a_waiting_job_says_that_its_pool_is_paused_by_whose_reason(admin: Caller) -> None:
    hire()
    job_id = world.submitted(admin.id)
    admin.post(PAUSE, json={"reason": "the flood", "for_seconds": 600})

    (blocker,) = body(admin.get(f"/api/v1/jobs/{job_id}/explain"))["blockers"]
    assert (blocker["code"], blocker["message"]) == ("paused", "the pool general is paused: the flood")
    assert blocker["until"] == pool(admin)["paused_until"]


def test_other_pools_go_on(admin: Caller) -> None:
    admin.post("/api/v1/queues/testing/pause")
    job_id = world.submitted(admin.id)

    assert pool(admin, "testing")["paused"] is True
    assert claimable() == [job_id]


def test_a_pause_ends_by_itself(admin: Caller) -> None:
    job_id = world.submitted(admin.id)
    before = clock.now()
    paused = body(admin.post(PAUSE, json={"for_seconds": 3600, "reason": "lunch"}))
    left = datetime.fromisoformat(paused["paused_until"]) - before
    assert timedelta(seconds=3599) < left < timedelta(seconds=3660)

    with db.transaction():
        db.run("UPDATE queues SET paused_until = now() - interval '1 s' WHERE pool = 'general'")
    line = pool(admin)
    assert [line[name] for name in ("paused", "paused_until", "pause_reason", "paused_by")] == [
        False,
        None,
        None,
        None,
    ]
    assert claimable() == [job_id]


def test_pausing_again_replaces_reason_and_end(admin: Caller) -> None:
    admin.post(PAUSE, json={"reason": "one", "for_seconds": 60})
    until = "2999-01-01T00:00:00.000Z"
    again = body(admin.post(PAUSE, json={"until": until}))

    assert (again["pause_reason"], again["paused_until"]) == (None, until)


def test_resuming_what_is_not_paused_is_no_harm(admin: Caller, bells: list[tuple[str, int]]) -> None:
    assert body(admin.post(RESUME))["paused"] is False
    assert bells == []


@pytest.mark.parametrize(
    "wish",
    [
        {"until": "2020-01-01T00:00:00Z"},
        {"until": "2999-01-01T00:00:00Z", "for_seconds": 60},
        {"for_seconds": 0},
        {"reason": "x" * 201},
        {"why": "x"},
    ],
)
def test_an_end_in_the_past_two_ends_and_unknown_words_are_refused(
    admin: Caller, wish: dict[str, Any]
) -> None:
    assert admin.post(PAUSE, json=wish).status_code == 422
    assert pool(admin)["paused"] is False


@pytest.mark.parametrize("path", ["/api/v1/queues/nowhere/pause", "/api/v1/queues/nowhere/resume"])
def test_an_unknown_pool_is_not_found(admin: Caller, path: str) -> None:
    assert admin.post(path).status_code == 404


def test_only_admins_pause(owner: Caller, viewer: Caller) -> None:
    for caller in (owner, viewer):
        assert (caller.post(PAUSE).status_code, caller.post(RESUME).status_code) == (403, 403)
    assert pool(owner)["paused"] is False


def test_both_are_in_the_audit_log(admin: Caller) -> None:
    admin.post(PAUSE, json={"reason": "the flood"})
    admin.post(RESUME)
    with db.quick():
        entries = db.rows(
            "SELECT action, actor, subject, details FROM audit_log WHERE subject = 'general' ORDER BY id"
        )

    assert [(entry["action"], entry["actor"]) for entry in entries] == [
        ("queue.paused", admin.id),
        ("queue.resumed", admin.id),
    ]
    assert entries[0]["details"] == {"reason": "the flood", "until": None}
