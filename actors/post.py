"""A worker process' post: who it is, what it serves, and the attempts it has in hand."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg2
import uuid_utils.compat

from actors.attempt import Attempt
from actors.broker import Ringer
from actors.together import Together
from app.agents import registry
from app.agents.definition import Definition
from app.db import AWAY, db
from app.errors import LostLease
from app.jobs import lifecycle
from app.jobs.artifacts import Store
from app.jobs.claims import Claim, claim_next
from app.jobs.lifecycle import Success
from app.observe import logs
from app.settings import Settings

log = logs.get("post")

# What Postgres says against one job's data, as opposed to being away: only that job may pay for it.
REFUSED = (psycopg2.DataError, psycopg2.IntegrityError, ValueError)

QUICK_SECONDS = 0.02
"""An attempt that is younger may be a quick one, whose settle is worth a moment's waiting for the others."""


class Turn(NamedTuple):
    """What a thread wants of Postgres between two jobs."""

    success: Success | None
    """What it has done; None: nothing to settle."""
    wants: bool
    """Its next job."""


class Turned(NamedTuple):
    """What it got."""

    kept: bool | Exception
    """Whether what it settled was still its own; what Postgres says against it."""
    claim: Claim | None


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
    """When the last heartbeat that extended the leases began, by the monotonic clock."""
    drain_began: float | None = None

    def __post_init__(self) -> None:
        """As many seats as threads: whoever runs jobs, Dramatiq's threads or the lookout's, sits on one."""
        self.store = Store(self.settings.artifact_store, self.settings.max_artifact_bytes)
        self._seats = threading.BoundedSemaphore(self.settings.worker_threads)
        self._turns: Together[Turn, Turned] = Together(self._take, most=32, expected=self._soon_back)
        self._handed = threading.local()
        self._since: dict[str, float] = {}
        self._definitions: dict[tuple[str, str], Definition] = {}

    def definition(self, agent_id: str, version: str) -> Definition:
        """The pinned definition of an attempt; versions never change, so each is read once."""
        key = (agent_id, version)
        if key not in self._definitions:
            with db.quick():
                self._definitions[key] = registry.definition_of(agent_id, version)
        return self._definitions[key]

    def claim(self) -> Claim | None:
        """The best job there is for this thread; None: nothing to do, or no more to be taken."""
        if claim := self._take_handed():
            return claim
        return self._turns.ask(Turn(None, wants=True)).claim

    def completed(self, success: Success) -> bool | Exception:
        """Settle an attempt that succeeded, and take this thread's next job by the same turn (`claim` has it).

        Whether it was still its own; an exception if Postgres refuses the result. Not if somebody waits for the job:
        what follows it comes first.
        """
        self._since.pop(success.claim.lease_id, None)
        goes_on = getattr(self._handed, "goes_on", False) and not success.claim.awaited
        turned = self._turns.ask(Turn(success, wants=goes_on))
        self._handed.claim = turned.claim
        return turned.kept

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Where a thread does one job after the other: when it settles one it is handed the next.

        A job that it was handed and has not begun when it leaves is given back, which costs it no retry.
        """
        with self._seats:
            self._handed.goes_on = True
            try:
                yield
            finally:
                self._handed.goes_on = False
                if claim := self._take_handed():
                    self._give_back(claim)

    def _give_back(self, claim: Claim) -> None:
        try:
            with db.quick():
                lifecycle.release(claim)
        except (*AWAY, LostLease) as away:  # its lease runs out, and the rescue finds it
            log.warning("claim.not_given_back", job_id=claim.job_id, error=type(away).__name__)

    def _take_handed(self) -> Claim | None:
        claim: Claim | None = getattr(self._handed, "claim", None)
        self._handed.claim = None
        return claim

    def _soon_back(self) -> int:
        """How many threads began their job a moment ago: if it is a quick one, they are about to settle it."""
        lately = time.monotonic() - QUICK_SECONDS
        return sum(since > lately for since in list(self._since.values()))

    def _take(self, turns: list[Turn]) -> list[Turned]:
        """Settle all that succeeded by one statement, then claim for all who want by another."""
        with db.quick():
            kept = iter(self._complete([turn.success for turn in turns if turn.success]))
            answers: list[bool | Exception] = [next(kept) if turn.success else True for turn in turns]
            wants = [turn.wants and answer is True for turn, answer in zip(turns, answers, strict=True)]
            claims = iter(self._claims(sum(wants), patient=any(turn.success for turn in turns)))
        return [
            Turned(answer, next(claims, None) if wanted else None)
            for answer, wanted in zip(answers, wants, strict=True)
        ]

    def _claims(self, wanted: int, *, patient: bool) -> list[Claim]:
        """As many claims as threads ask at this moment: none ever lies in a buffer while others could run it."""
        # Before the first beat after a long silence whatever is taken would be fenced off at once.
        if not wanted or not self.takes_work or self.lease_doubtful:
            return []
        try:
            taken = claim_next(
                self.worker_id, self.settings.pools, lease_seconds=self.settings.lease_seconds, limit=wanted
            )
        except AWAY:
            if not patient:
                raise
            return []  # what was settled is; who wants to claim hears it the next time
        now = time.monotonic()
        self._since |= {claim.lease_id: now for claim in taken}
        return taken

    def _complete(self, done: list[Success]) -> list[bool | Exception]:
        """Whether each was still its own; an exception for a result that Postgres refuses, to nobody but its own job."""
        try:
            return [*lifecycle.complete_many(done)] if done else []
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
        self._since.pop(attempt.claim.lease_id, None)

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
        """The leases were not extended for so long that a rescue may come soon: whoever runs here must stop."""
        margin = min(10.0, self.settings.lease_seconds / 4)
        return time.monotonic() - self.beat_ok_at > self.settings.lease_seconds - margin
