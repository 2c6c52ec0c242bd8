"""Whoever submits or schedules dies: between the commit and the bell, under load, or frozen in the middle."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.chaos.conftest import Storm
from tests.chaos.load import KINDS, wish, wrong_endings
from tests.chaos.pulse import pulse
from tests.fleet import API_KEY, Fleet
from tests.services import free_port

pytestmark = pytest.mark.timeout(240)

# Submits ten jobs; dies in the bell, which is rung after the commit.
DIES_RINGING = """
import os
from app.db import db, make_engine
from app.jobs import dispatch, intake, lifecycle
db.open(make_engine(os.environ["DATABASE_URL"]))
dispatch.use(lambda pool, times: os._exit(9))
with db.quick():
    lifecycle.submit_many([intake.order(intake.Wish(agent_id="test-noop", parameters={}, submitted_by="ringer"))] * 10)
raise SystemExit("the bell was not rung")
"""
# A scheduler that is frozen while it holds the lock of the sweeps.
FREEZES_SWEEPING = """
import os, signal
from actors import sweeps
from app.db import db, make_engine
db.open(make_engine(os.environ["DATABASE_URL"]))
sweeps._alone(sweeps.SWEEP_LOCK, lambda: os.kill(os.getpid(), signal.SIGSTOP))
"""


def test_a_job_whose_submitter_died_before_the_bell_is_run_all_the_same(
    fleet: Fleet, storm: Callable[..., Storm]
) -> None:
    fleet.scheduler()
    fleet.worker("worker-a")
    fleet.worker("worker-b")
    under = storm(fleet)

    for number in range(3):
        dying = fleet.start(f"dying-{number}", "-c", DIES_RINGING)
        dying.wanted = False
        fleet.until(lambda dying=dying: not dying.alive, 20)
        assert dying.exit_code == 9
    orphans = [
        row["job_id"] for row in fleet.rows("SELECT job_id::text FROM jobs WHERE submitted_by = 'ringer'")
    ]

    assert len(orphans) == 30
    under.load.accepted |= dict.fromkeys(orphans, "noop")
    under.calm()


def test_what_a_killed_web_process_answered_with_201_is_never_lost(fleet: Fleet) -> None:
    fleet.scheduler()
    fleet.worker("worker-a")
    fleet.worker("worker-b")
    port = free_port()
    web = fleet.web(port)
    clients = [Client(port, seed) for seed in range(3)]
    fleet.until(clients[0].answered, 30)
    for client in clients:
        client.start()

    for number in range(8):
        done = sum(len(client.accepted) for client in clients)
        fleet.until(lambda done=done: sum(len(client.accepted) for client in clients) >= done + 60, 60)
        web.signal_group(signal.SIGKILL) if number % 2 else web.kill_children()

    fleet.until(lambda: sum(len(client.accepted) for client in clients) >= 520, 60)
    for client in clients:
        client.stop()
    accepted = {job_id: kind for client in clients for job_id, kind in client.accepted.items()}
    fleet.until(lambda: fleet.unfinished() == 0, 60)
    assert sum(client.cut_off for client in clients) > 0
    assert len(accepted) >= 520
    assert fleet.broken(at_rest=True, promised=accepted) == {}
    assert wrong_endings(fleet, accepted) == []


class Client(threading.Thread):
    """Submits over HTTP as fast as it is answered, and writes down what was answered with 201."""

    def __init__(self, port: int, seed: int) -> None:
        super().__init__(name=f"client-{seed}")
        self.http = httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=5, headers={"Authorization": f"Bearer {API_KEY}"}
        )
        self.chance = random.Random(seed)
        self.accepted: dict[str, str] = {}
        self.cut_off = 0
        self._stopped = threading.Event()

    def answered(self) -> bool:
        """Whether a submission is answered with 201."""
        return self._submit("noop") is not None

    def run(self) -> None:
        while not self._stopped.is_set():
            if self._submit(self.chance.choices([k for k in KINDS if k != "later"], k=1)[0]) is None:
                self._stopped.wait(0.05)

    def stop(self) -> None:
        """Submit nothing more."""
        self._stopped.set()
        self.join()
        self.http.close()

    def _submit(self, kind: str) -> str | None:
        asked = wish(kind, self.chance)
        body: dict[str, Any] = {
            "agent_id": asked.agent_id,
            "parameters": asked.parameters,
            "priority": asked.priority,
        }
        try:
            answer = self.http.post("/api/v1/jobs", json=body)
        except httpx2.TransportError:
            self.cut_off += 1
            return None
        assert answer.status_code in {201, 503}, answer.text
        if answer.status_code != 201:
            return None
        job_id: str = answer.json()["job_id"]
        self.accepted[job_id] = kind
        return job_id


def test_two_schedulers_of_which_one_is_killed_again_and_again_do_everything_once(
    fleet: Fleet, storm: Callable[..., Storm]
) -> None:
    schedulers = [fleet.scheduler("scheduler-a"), fleet.scheduler("scheduler-b")]
    fleet.worker("worker-a")
    fleet.worker("worker-b")
    under = storm(fleet)

    for number in pulse(fleet, 1.5, 6):
        schedulers[number % 2].signal_group(signal.SIGKILL)
    fleet.until(lambda: count_promoted(fleet) > 50, 30)

    under.calm()
    assert fleet.outcomes().get("lost", 0) == 0


def count_promoted(fleet: Fleet) -> int:
    """How many jobs were called `queued` when their time came."""
    return int(
        fleet.value(
            "SELECT count(*) FROM job_history WHERE from_status IN ('pending','retry') AND to_status = 'queued'"
        )
    )


def test_a_scheduler_frozen_in_the_middle_of_a_sweep_holds_nobody_up(
    fleet: Fleet, storm: Callable[..., Storm]
) -> None:
    worker = fleet.worker("worker-a")
    fleet.worker("worker-b")
    under = storm(fleet)
    frozen = fleet.start("frozen", "-c", FREEZES_SWEEPING)
    frozen.wanted = False
    fleet.until(lambda: holds_the_sweeps(fleet), 20)
    fleet.scheduler()

    fleet.until(lambda: len(fleet.running_on(worker)) >= 3, 30)
    worker.signal_group(signal.SIGKILL)

    fleet.until(lambda: fleet.outcomes().get("lost", 0) > 0, 40)
    under.calm()


def holds_the_sweeps(fleet: Fleet) -> bool:
    """Whether somebody sits on the sweeps' lock without doing anything."""
    return bool(
        fleet.value(
            """SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
               WHERE locktype = 'advisory' AND state = 'idle in transaction'
                 AND state_change < clock_timestamp() - interval '1 s'"""
        )
    )
