"""What Locust runs, in its own environment: visitors with the documents' mix, and senders of very many jobs.

A client keeps the ids it was given, asks for a job only when `poll.next_after_ms` has passed, and with the tag it
holds. At the end everything that was promised, and how long the answers took, is written to one file.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, events, task

from tests.load.scenarios import Plan

PLAN = Plan.loaded(os.environ["CALLBOARD_LOAD"])
KEY = os.environ["CALLBOARD_LOAD_KEY"]
OUT = Path(os.environ["CALLBOARD_LOAD_OUT"])
KEPT = 50
"""Jobs that are over that a visitor looks at again."""


@dataclass
class Noted:
    """What all users of this process saw."""

    accepted: list[str] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    senders: int = 0
    at_work: set[int] = field(default_factory=set)
    began: float = 0.0
    submitted_at: float = 0.0


NOTED = Noted()


class Client(FastHttpUser):
    """Somebody with a key; not used by itself."""

    abstract = True
    connection_timeout = network_timeout = 60.0

    def __init__(self, environment: Any) -> None:
        """Hold a connection of one's own, with the key on every request."""
        self.default_headers = {"Authorization": f"Bearer {KEY}"}
        super().__init__(environment)

    def submit(self) -> str | None:
        """Send a job in; its id, if it was taken."""
        order = {
            "agent_id": PLAN.agent_id,
            "parameters": json.loads(PLAN.parameters),
            "tags": [PLAN.tag],
        }
        with self.client.post("/api/v1/jobs", json=order, name="submit", catch_response=True) as answer:
            if answer.status_code != 201:
                answer.failure(f"{answer.status_code} {answer.text}"[:200])
                return None
            job = str(answer.json()["job_id"])
        NOTED.accepted.append(job)
        NOTED.submitted_at = time.monotonic()
        return job

    def look(self, path: str, name: str, tag: str) -> tuple[dict[str, Any] | None, str, float | None]:
        """The document, or None while it is unchanged; its tag; milliseconds until the next look, None if never."""
        headers = {"If-None-Match": tag} if tag else {}
        with self.client.get(path, name=name, headers=headers, catch_response=True) as answer:
            if answer.status_code == 304:
                NOTED.unchanged += 1
                after = answer.headers.get("X-Poll-After-Ms")
                return None, tag, float(after) if after else None
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code} {answer.text}"[:200])
                return None, tag, 1000.0
            found: dict[str, Any] = answer.json()
            return found, answer.headers.get("ETag") or "", found["poll"]["next_after_ms"]


class Visitor(Client):
    """One of the mix: three submissions to one look at a job and one list."""

    def on_start(self) -> None:
        """Come at a moment of one's own, with nothing."""
        self.open: list[tuple[float, str, str]] = []  # a heap: when to look again, which, and its tag
        self.over: deque[tuple[str, str]] = deque(maxlen=KEPT)
        # Locust's own pacing begins before this and would bring everybody back at the same moment.
        gevent.sleep(random.uniform(0, 1 / PLAN.pace if PLAN.pace else 1))
        self.due = time.monotonic()

    def wait_time(self) -> float:
        """Until one's next turn; late ones catch up. Without a pace, as long as people take."""
        if not PLAN.pace:
            return random.uniform(1, 3)
        self.due += 1 / PLAN.pace
        return max(0.0, self.due - time.monotonic())

    @task(3)
    def send(self) -> None:
        """A job more."""
        if job := self.submit():
            heapq.heappush(self.open, (time.monotonic(), job, ""))

    @task(1)
    def poll(self) -> None:
        """The job that waits the longest to be looked at; if none is due, one that is over, as its tag is held."""
        if self.open and self.open[0][0] <= time.monotonic():
            _, job, tag = heapq.heappop(self.open)
            found, tag, after = self.look(f"/api/v1/jobs/{job}/status", "status", tag)
            if after is not None:
                heapq.heappush(self.open, (time.monotonic() + after / 1000, job, tag))
                return
            NOTED.ended[found["status"] if found else "unchanged"] += 1
            self.over.append((job, tag))
        elif self.over:
            job, tag = random.choice(self.over)
            self.look(f"/api/v1/jobs/{job}/status", "status", tag)
        else:
            self.list()

    @task(1)
    def list(self) -> None:
        """The newest ten."""
        with self.client.get("/api/v1/jobs?limit=10", name="list", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code} {answer.text}"[:200])


class Sender(Client):
    """One of those who send very many jobs in within a minute, and then wait for all of theirs."""

    def on_start(self) -> None:
        """Take a number, which says how many jobs are one's own, and when each is due."""
        self.number, NOTED.senders = NOTED.senders, NOTED.senders + 1
        self.sent, self.after, self.tag = 0, 0.0, ""
        self.open: list[str] = []
        NOTED.at_work.add(self.number)

    def wait_time(self) -> float:
        """Until the next submission is due; when all are sent, as long as the server says."""
        if self.sent < PLAN.share(self.number):
            return max(0.0, NOTED.began + PLAN.due(self.number, self.sent) - time.monotonic())
        return self.after

    @task
    def go_on(self) -> None:
        """The next submission; or a look at what is still open, up to a hundred in one request."""
        if self.sent < PLAN.share(self.number):
            self.sent += 1
            if job := self.submit():
                self.open.append(job)
            self.after = 1.0
        elif self.open:
            self._follow()
        else:
            NOTED.at_work.discard(self.number)
            self.after = 1.0

    def _follow(self) -> None:
        path = f"/api/v1/jobs/status?ids={','.join(self.open[:100])}"
        found, self.tag, after = self.look(path, "statuses", self.tag)
        if found is not None:
            over = {job["job_id"]: job["status"] for job in found["jobs"] if job["poll"]["terminal"]}
            NOTED.ended.update(over.values())
            self.open = [job for job in self.open if job not in over]
            if over:
                self.tag = ""  # other jobs are asked for the next time
        self.after = (after or 0) / 1000


class Coming(LoadTestShape):
    """How many users there are at each moment."""

    def tick(self) -> tuple[int, float] | None:
        """(users, how many may come or go within a second); None at the end."""
        passed = self.get_run_time()
        users = PLAN.present(passed)
        if users is None or (NOTED.senders >= PLAN.users and not NOTED.at_work):
            return None
        return users, max(1.0, float(users))


@events.test_start.add_listener
def _begin(environment: Any, **_: Any) -> None:
    NOTED.began = time.monotonic()


@events.quitting.add_listener
def _write(environment: Any, **_: Any) -> None:
    kinds = {
        entry.name: _figures(entry) for entry in environment.stats.entries.values() if entry.num_requests
    }
    all_of_them = environment.stats.total
    errors = [
        {"kind": each.name, "error": str(each.error), "times": each.occurrences}
        for each in environment.stats.errors.values()
    ]
    told = {
        "seconds": round(time.monotonic() - NOTED.began, 1),
        "submit_seconds": round(max(0.0, NOTED.submitted_at - NOTED.began), 2),
        "requests_per_second": round(all_of_them.total_rps, 2),
        "kinds": kinds,
        "all": _figures(all_of_them) if all_of_them.num_requests else None,
        "errors": errors,
        "accepted": NOTED.accepted,
        "seen_ended": dict(NOTED.ended),
        "unchanged": NOTED.unchanged,
        "cpu_seconds": round(time.process_time(), 1),
    }
    OUT.write_text(json.dumps(told))
    environment.process_exit_code = 0  # errors are judged by whoever reads the file


def _figures(entry: Any) -> dict[str, float]:
    return {
        "n": entry.num_requests,
        "failed": entry.num_failures,
        **{f"p{share}": entry.get_response_time_percentile(share / 100) for share in (50, 95, 99)},
        "max": round(entry.max_response_time, 1),
    }
