"""Half a minute in which anything may break at any moment; the seed is printed, and CHAOS_SEED plays it again."""

from __future__ import annotations

import os
import random
import secrets
import signal
from collections.abc import Callable

import redis

from tests.chaos.conftest import FIGURES, Storm
from tests.chaos.pulse import pulse
from tests.chaos.test_servers_die import restart_empty
from tests.chaos.test_workers_die import HOW, shoot
from tests.fleet import Fleet

BLOWS = 24
CUT = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'
         AND datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.6"""


class Chaos:
    """What may happen, and the dice."""

    def __init__(self, fleet: Fleet, seed: str) -> None:
        self.fleet = fleet
        self.chance = random.Random(seed)
        self.workers = [fleet.worker("worker-a"), fleet.worker("worker-b", processes=2, threads=4)]
        self.schedulers = [fleet.scheduler("scheduler-a"), fleet.scheduler("scheduler-b")]
        self.frozen: list[Callable[[], None]] = []

    def blow(self) -> str:
        """Do one bad thing; what was frozen before thaws. Answers its name."""
        self.thaw()
        name = self.chance.choices(*zip(*BLOWS_AND_WEIGHTS, strict=True))[0]
        getattr(self, name)()
        return str(name)

    def thaw(self) -> None:
        """Wake all who were frozen."""
        while self.frozen:
            self.frozen.pop()()

    def kill_worker(self) -> None:
        shoot(self.chance.choice(self.workers), self.chance.choice(HOW))

    def terminate_worker(self) -> None:
        self.chance.choice(self.workers).signal_group(signal.SIGTERM)

    def freeze_worker(self) -> None:
        worker = self.chance.choice(self.workers)
        worker.signal_group(signal.SIGSTOP)
        self.frozen.append(lambda: worker.signal_group(signal.SIGCONT))

    def kill_scheduler(self) -> None:
        self.chance.choice(self.schedulers).signal_group(signal.SIGKILL)

    def flush_broker(self) -> None:
        with redis.Redis.from_url(self.fleet.pair.redis.url) as broker:
            broker.flushall()

    def freeze_broker(self) -> None:
        self.fleet.pair.redis.freeze()
        self.frozen.append(self.fleet.pair.redis.thaw)

    def empty_broker(self) -> None:
        restart_empty(self.fleet.pair.redis)

    def crash_postgres(self) -> None:
        self.fleet.pair.postgres.crash()
        self.fleet.pair.postgres.start()

    def cut_connections(self) -> None:
        self.fleet.rows(CUT)


BLOWS_AND_WEIGHTS = (
    (Chaos.kill_worker.__name__, 4),
    (Chaos.terminate_worker.__name__, 2),
    (Chaos.freeze_worker.__name__, 3),
    (Chaos.kill_scheduler.__name__, 2),
    (Chaos.flush_broker.__name__, 3),
    (Chaos.freeze_broker.__name__, 2),
    (Chaos.empty_broker.__name__, 1),
    (Chaos.crash_postgres.__name__, 2),
    (Chaos.cut_connections.__name__, 3),
)


def test_everything_at_once(fleet: Fleet, storm: Callable[..., Storm]) -> None:
    seed = os.environ.get("CHAOS_SEED") or secrets.token_hex(4)
    print(f"CHAOS_SEED={seed}")
    FIGURES.append(f"CHAOS_SEED={seed}")
    chaos = Chaos(fleet, seed)
    under = storm(fleet)
    done: list[str] = []

    try:
        for _ in pulse(fleet, 1.25, BLOWS):
            done.append(chaos.blow())  # noqa: PERF401 - what was done is wanted when the next one fails
    finally:
        print(" ".join(done))
        chaos.thaw()

    under.calm(120)
