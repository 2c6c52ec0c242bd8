"""A worker process' post: who it is, what it serves, and the attempts it has in hand."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass, field

import psycopg2
import uuid_utils.compat

from actors.attempt import Attempt
from actors.broker import Ringer
from actors.together import Together
from app.agents import registry
from app.agents.definition import Definition
from app.db import db
from app.jobs import lifecycle
from app.jobs.artifacts import Store
from app.jobs.claims import Claim, claim_next
from app.jobs.lifecycle import Success
from app.settings import Settings

# What Postgres says against one job's data, as opposed to being away: only that job may pay for it.
REFUSED = (psycopg2.DataError, psycopg2.IntegrityError, ValueError)


@dataclass(kw_only=True)
class Post:
    """Shared by the threads of one worker process."""

    settings: Settings
    ringer: Ringer
    worker_id: str = field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{uuid_utils.compat.uuid7().hex[-6:]}"
    )
    draining: threading.Event = field(default_factory=threading.Event)
    """The process ends: the grace period of what runs has begun."""
    resting: threading.Event = field(default_factory=threading.Event)
    """Somebody wants it to take nothing more; what runs goes on as if nothing were."""
    redis_away: bool = False
    attempts: dict[str, Attempt] = field(default_factory=dict)
    """By lease: after a crash of Postgres that forgot a claim, one process may hold a job's fence twice."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    beat_ok_at: float = field(default_factory=time.monotonic)
    """When the last heartbeat that succeeded began, by the monotonic clock."""
    drain_began: float | None = None

    def __post_init__(self) -> None:
        """As many seats as threads: whoever runs jobs, Dramatiq's threads or the lookout's, sits on one."""
        self.store = Store(self.settings.artifact_store, self.settings.max_artifact_bytes)
        self.seats = threading.BoundedSemaphore(self.settings.worker_threads)
        self.claims: Together[None, Claim | None] = Together(self._claim_for)
        self.successes: Together[Success, bool | Exception] = Together(self._complete)
        self._definitions: dict[tuple[str, str], Definition] = {}

    def definition(self, agent_id: str, version: str) -> Definition:
        """The pinned definition of an attempt; versions never change, so each is read once."""
        key = (agent_id, version)
        if key not in self._definitions:
            with db.quick():
                self._definitions[key] = registry.definition_of(agent_id, version)
        return self._definitions[key]

    def _claim_for(self, askers: list[None]) -> list[Claim | None]:
        """As many claims as threads ask at this moment: none ever lies in a buffer while others could run it."""
        if not self.takes_work:
            return [None] * len(askers)
        with db.quick():
            taken: list[Claim | None] = [
                *claim_next(
                    self.worker_id,
                    self.settings.pools,
                    lease_seconds=self.settings.lease_seconds,
                    limit=len(askers),
                )
            ]
        return taken + [None] * (len(askers) - len(taken))

    def _complete(self, done: list[Success]) -> list[bool | Exception]:
        """Whether each was still its own; an exception for a result that Postgres refuses, to nobody but its own job."""
        try:
            with db.quick():
                return [*lifecycle.complete_many(done)]
        except REFUSED as refused:
            if len(done) == 1:
                return [refused]
            return [answer for each in done for answer in self._complete([each])]

    def enter(self, attempt: Attempt) -> None:
        """Have the heartbeat look after `attempt`."""
        with self.lock:
            self.attempts[attempt.claim.lease_id] = attempt

    def leave(self, attempt: Attempt) -> None:
        """The attempt is settled, or given up."""
        with self.lock:
            self.attempts.pop(attempt.claim.lease_id, None)

    def in_hand(self) -> list[Attempt]:
        """The attempts that run now."""
        with self.lock:
            return list(self.attempts.values())

    def start_draining(self) -> None:
        """Claim nothing more; running attempts get their grace period. Saying it twice is no hurry."""
        if self.drain_began is None:
            self.drain_began = time.monotonic()
        self.draining.set()

    def rest(self) -> None:
        """Claim nothing more until `wake`. The bells that nobody here answers any more are for the others."""
        if not self.resting.is_set():
            self.resting.set()
            self._ring_all()

    def wake(self) -> None:
        """Claim again."""
        if self.resting.is_set():
            self.resting.clear()
            self._ring_all()

    def _ring_all(self) -> None:
        for pool in self.settings.pools:
            self.ringer.ring(pool, self.settings.worker_threads)

    @property
    def takes_work(self) -> bool:
        """Whether it may claim jobs: it neither ends nor rests."""
        return not (self.draining.is_set() or self.resting.is_set())

    @property
    def lease_doubtful(self) -> bool:
        """No heartbeat succeeded for so long that a rescue may come soon: whoever runs here must stop."""
        margin = min(10.0, self.settings.lease_seconds / 4)
        return time.monotonic() - self.beat_ok_at > self.settings.lease_seconds - margin
