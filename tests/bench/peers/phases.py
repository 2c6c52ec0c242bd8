"""What is measured of one peer: how fast it takes and drains, how soon a lone job starts, what survives Redis."""

from __future__ import annotations

import http.client
import json
import random
import time
from contextlib import suppress
from typing import Any

from tests.bench.peers import meter
from tests.bench.peers.side import Failed, Side
from tests.bench.peers.sides.ledger import now

ONE_BY_ONE = 500
LOST = 200
QUIET_SECONDS = 12.0
"""So long nothing new: what has not run by then is taken for lost. Callboard looks by itself every few seconds."""
PATIENCE_SECONDS = 180.0
START_SECONDS = 180.0


def drained(side: Side, jobs: int) -> dict[str, Any]:
    """Fill the queue with nobody working, then have it worked off; rates a second, µs of processors a job."""
    side.ask("submit", count=20)  # what is looked up or compiled but once is nobody's speed
    side.ask("clear")
    filled = _fill(side, jobs)
    side.start_workers()
    try:
        side.wait(lambda: side.ask("done") > 0, START_SECONDS)
        watch = meter.Meter(side.servers.pids() | side.pids())
        first, began = side.ask("done"), time.perf_counter()
        seconds = _until_done(side, first, jobs, began)
        used = watch.stop()
        memory = meter.memory_mb(side.pids()["worker"])
    finally:
        side.stop_workers()
    per_job = {name: used[name] / (jobs - first) * 1e6 for name in ("worker", "postgres", "redis")}
    return filled | {
        "drained": (jobs - first) / seconds,
        "us": {name: round(value) for name, value in per_job.items()},
        "memory_mb": memory and round(memory, 1),
        "others": round(used["others"], 2),
    }


def _fill(side: Side, jobs: int) -> dict[str, Any]:
    if not side.about["bulk"]:
        return {"submitted": jobs / side.ask("submit", count=jobs), "bulk": None}
    ones = min(jobs // 2, ONE_BY_ONE)
    return {
        "submitted": ones / side.ask("submit", count=ones),
        "bulk": (jobs - ones) / side.ask("bulk", count=jobs - ones),
    }


def _until_done(side: Side, first: int, jobs: int, began: float) -> float:
    """Seconds until all are done; counting costs its server something, so it is done seldom until the end is near."""
    if first >= jobs:
        raise Failed(f"all {jobs} jobs were done before they could be counted: ask for more")
    done = first
    while True:
        passed = time.perf_counter() - began
        rate = (done - first) / passed if done > first else 0
        left = (jobs - done) / rate if rate else 0.05
        time.sleep(min(0.25, max(0.01, left * 0.4)))
        done = side.ask("done")
        passed = time.perf_counter() - began
        if done >= jobs:
            return passed
        if passed > PATIENCE_SECONDS:
            raise Failed(f"{done} of {jobs} jobs after {passed:.0f} s: {side.last_words()}")


def at_rest(side: Side, samples: int, chance: random.Random) -> dict[str, Any]:
    """Milliseconds from the call that submits to the job's first line, one at a time, at rest 0.2 to 0.6 s before each."""
    side.ask("clear")
    side.forget_notes()
    side.start_workers()
    side.start_rest()
    try:
        side.warm()
        taken = {
            "idle_ms": _one_by_one(side, samples, chance, lambda number: side.ask("note", number=number))
        }
        if side.rest:
            side.wait(lambda: _post(side, -2) is not None, 60, 0.5)
            taken["http_ms"] = _one_by_one(side, samples, chance, lambda number: _post(side, number), 10_000)
            sizes = {name: meter.memory_mb([process.pid]) for name, process in side.rest.items()}
            taken["rest_mb"] = {name: size and round(size, 1) for name, size in sizes.items()}
    finally:
        side.stop_workers()
        side.stop_rest()
    return taken


def _one_by_one(side: Side, samples: int, chance: random.Random, send: Any, start: int = 0) -> list[float]:
    for number in range(start, start + samples):
        time.sleep(chance.uniform(0.2, 0.6))
        send(number)
        side.wait(lambda number=number: side.notes()[number] > 0, 20)
    return [
        round(seconds * 1000, 2)
        for number, seconds in side.noted()
        if number in range(start, start + samples)
    ]


def _post(side: Side, number: int) -> int | None:
    """Submit a noted job through HTTP; its status, None while the web process does not answer."""
    environ = side.servers.environ
    parameters = {"number": number, "sent": now(), "pause": 0}
    try:
        line = http.client.HTTPConnection("127.0.0.1", int(environ["PORT"]), timeout=5)
        line.request(
            "POST",
            "/api/v1/jobs",
            json.dumps({"agent_id": "bench-noted", "parameters": parameters}),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {environ['CALLBOARD_ADMIN_API_KEY']}",
            },
        )
        answer = line.getresponse()
        said = answer.read()
    except OSError:
        return None
    if answer.status >= 300:
        raise Failed(f"POST answered {answer.status}: {said[:200]!r}")
    return answer.status


def redis_lost(side: Side, *, half_way: bool) -> dict[str, int]:
    """Submit 200 jobs, kill Redis with all it has, start it empty: how many of the jobs ran, ran twice, never ran.

    The workers come up afterwards; `half_way`, they have done half of the jobs when Redis dies and are still there.
    """
    side.ask("clear")
    side.forget_notes()
    for number in range(LOST):
        side.ask("note", number=number, pause=0.05 if half_way else 0.0)
    side.start_rest()
    if half_way:
        side.start_workers()
        side.wait(lambda: len(_ran(side)) >= LOST // 2, START_SECONDS)
    before = len(_ran(side))
    side.servers.lose_redis()
    if not half_way:
        side.start_workers()
    try:
        restarts = _awake(side) + _until_quiet(side)
    finally:
        side.stop_workers()
        side.stop_rest()
    ran = _ran(side)
    return {
        "ran": len(ran),
        "twice": sum(times > 1 for times in ran.values()),
        "never": LOST - len(ran),
        "before": before,
        "restarts": restarts,
    }


def _ran(side: Side) -> dict[int, int]:
    """How often each of the jobs ran that were submitted before the loss."""
    return {number: times for number, times in side.notes().items() if number >= 0}


def _awake(side: Side) -> int:
    """Send one job more and wait until it ran: only from then on does silence mean anything.

    Answers how many workers had to be started again. One who cannot be woken has lost what has not run.
    """
    restarts, until, sent = 0, time.monotonic() + START_SECONDS, False
    while side.notes()[-1] == 0 and time.monotonic() < until:
        restarts += side.revive()
        with suppress(Failed):  # the feeder's own connection was cut as well
            if not sent:
                side.ask("note", number=-1)
                sent = True
        time.sleep(0.2)
    return restarts


def _until_quiet(side: Side) -> int:
    """Wait until nothing new has run for a while; answers how many workers had to be started again."""
    seen, since, restarts = -1, time.monotonic(), 0
    while time.monotonic() - since < (QUIET_SECONDS if len(_ran(side)) < LOST else 2.0):
        restarts += side.revive()
        if (ran := sum(_ran(side).values())) != seen:
            seen, since = ran, time.monotonic()
        time.sleep(0.1)
    return restarts
