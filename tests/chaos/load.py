"""The load under which things are broken: jobs of every kind, and a log of what was promised for each."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from actors.broker import make_ringer
from app import clock
from app.agents import registry
from app.db import AWAY, db, make_engine
from app.errors import Conflict
from app.jobs import dispatch, intake, lifecycle
from app.jobs.intake import Wish
from app.secrets import sealing
from app.settings import Settings
from tests import invariants
from tests.fleet import CUT_OFF, Fleet

BATCH = 20
# Kind: how often, agent, parameters, and the endings it may have.
KINDS: dict[str, tuple[int, str, Callable[[random.Random], dict[str, Any]], frozenset[str]]] = {
    "noop": (30, "test-noop", lambda _: {}, frozenset({"completed"})),
    "echo": (18, "test-echo", lambda chance: {"n": chance.randrange(1000)}, frozenset({"completed"})),
    "sleeper": (
        22,
        "test-sleeper",
        lambda chance: {"seconds": chance.uniform(0.05, 0.3)},
        frozenset({"completed"}),
    ),
    "flaky": (10, "test-flaky", lambda chance: {"failures": chance.randint(1, 2)}, frozenset({"completed"})),
    "limited": (8, "test-limited", lambda _: {"seconds": 0.05}, frozenset({"completed"})),
    "later": (6, "test-noop", lambda _: {}, frozenset({"completed"})),
    "doomed": (2, "test-flaky", lambda _: {"kind": "permanent", "failures": 99}, frozenset({"failed"})),
    "cancelled": (4, "test-sleeper", lambda _: {"seconds": 0.2}, frozenset({"completed", "cancelled"})),
}


@contextmanager
def at_the_door(fleet: Fleet) -> Iterator[None]:
    """Let this process submit to the fleet's Callboard as a door does, bell included."""
    engine = make_engine(fleet.database_url, pool_size=4, name="chaos-door")
    db.open(engine)
    dispatch.use(make_ringer(fleet.pair.redis.url).ring)
    sealing.use(Settings(CALLBOARD_HOME=fleet.home).sealing_keys)
    registry.forget()
    try:
        yield
    finally:
        dispatch.use(lambda _pool, _times: None)
        engine.dispose()


def wish(kind: str, chance: random.Random, submitted_by: str = "chaos") -> Wish:
    """One submission; its correlation id is never used again, so that a doubled job would show."""
    _, agent_id, parameters, _ = KINDS[kind]
    return Wish(
        agent_id=agent_id,
        parameters=parameters(chance),
        submitted_by=submitted_by,
        run_at=clock.now() + timedelta(seconds=chance.uniform(0.2, 2)) if kind == "later" else None,
        priority=chance.choice(("critical", "high", "normal", "low")),
        correlation_id=str(uuid.uuid4()),
    )


@dataclass
class Load:
    """Keeps `depth` jobs in flight from a thread of its own until it is left; then nothing is added."""

    fleet: Fleet
    depth: int = 600
    seed: int = 1
    accepted: dict[str, str] = field(default_factory=dict)
    """What was promised: job id → kind. Written only after the commit was answered."""
    deepest: int = 0
    refused: int = 0
    """How often Postgres was away; such a submission may or may not have become a job."""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="load")
        self.broke: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Submit nothing more."""
        self._stopped.set()
        self._thread.join()
        if self.broke:
            raise self.broke

    def _loop(self) -> None:
        try:
            while not self._stopped.is_set():
                self._pause_or(self._top_up)
        except BaseException as broke:  # noqa: BLE001 - raised again in the test's own thread
            self.broke = broke

    def _pause_or(self, do: Callable[[], bool]) -> None:
        try:
            with db.quick():
                full = do()
        except CUT_OFF + AWAY:
            self.refused += 1
            full = True
        if full:
            self._stopped.wait(0.05)

    def _top_up(self) -> bool:
        waiting = int(
            db.value("SELECT count(*) FROM jobs WHERE status IN ('pending','queued','running','retry')")
        )
        self.deepest = max(self.deepest, waiting)
        if waiting >= self.depth:
            return True
        self._submit([self._kind() for _ in range(BATCH)])
        return False

    def _kind(self) -> str:
        return self.chance.choices(list(KINDS), [kind[0] for kind in KINDS.values()])[0]

    def _submit(self, kinds: list[str]) -> None:
        rows = lifecycle.submit_many([intake.order(wish(kind, self.chance)) for kind in kinds])
        for row, kind in zip(rows, kinds, strict=True):
            self.accepted[row["job_id"]] = kind
        for row, kind in zip(rows, kinds, strict=True):
            if kind == "cancelled" and self.chance.random() < 0.5:
                self._cancel(row["job_id"])
        for job_id in self.chance.sample(list(self.accepted)[-self.depth :], 1):
            if self.accepted[job_id] == "cancelled":
                self._cancel(job_id)

    def _cancel(self, job_id: str) -> None:
        with suppress(Conflict):  # it was quicker
            lifecycle.cancel(job_id)


def submit(wishes: list[Wish]) -> list[str]:
    """Submit all in one transaction, here and now; answers their ids."""
    with db.quick():
        return [row["job_id"] for row in lifecycle.submit_many([intake.order(each) for each in wishes])]


def wrong_endings(fleet: Fleet, accepted: dict[str, str]) -> list[tuple[str, str, str, str | None]]:
    """The accepted jobs that ended as their kind may not end: (id, kind, status, error)."""
    rows = fleet.rows("SELECT job_id::text, status, error ->> 'message' AS error FROM jobs")
    ended = {row["job_id"]: (row["status"], row["error"]) for row in rows}
    endings = [(job_id, kind, *ended.get(job_id, ("lost", None))) for job_id, kind in accepted.items()]
    return [ending for ending in endings if ending[2] not in KINDS[ending[1]][3]]


class Watch:
    """Looks at the limits all the time and at every invariant now and then, while things break."""

    def __init__(self, fleet: Fleet) -> None:
        """It reads on a connection of its own."""
        self.eye = Fleet(fleet.pair, fleet.database_url, fleet.home, MAX_LOST=fleet.environ["MAX_LOST"])
        self.seen: dict[str, list[Any]] = {}
        self.looks = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._stopped.set()
        self._thread.join()
        self.eye.close()

    def _loop(self) -> None:
        limits = "no agent runs more than it may"
        at = time.monotonic()
        while not self._stopped.wait(0.1):
            try:
                if rows := self.eye.rows(invariants.ALWAYS[limits]):
                    self.seen[limits] = rows
                if time.monotonic() - at > 4:
                    self.seen |= self.eye.broken()
                    at = time.monotonic()
            except CUT_OFF:
                continue
            self.looks += 1
