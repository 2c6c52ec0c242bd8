"""Milliseconds from the settle of a job to the receipt of its callback, at rest and in a burst.

    python -m tests.bench.callbacks [--samples 60] [--burst 300]

A real worker, a real receiver that checks every signature; both clocks are this machine's.
"""

from __future__ import annotations

import argparse
import json
import os
import time

from actors.broker import make_ringer
from app import seal_by
from app import settings as configuration
from app.db import db, make_engine
from app.jobs import dispatch, intake, lifecycle
from app.jobs.intake import Wish
from app.notify import secrets
from tests.bench.drain import _dramatiq, _two_workers, servers
from tests.waiting import until
from tests.webhook_receiver import Receiver, receiving

OWNER = "bench"


def submit(receiver: Receiver) -> str:
    """A job that does nothing and tells the receiver."""
    wish = Wish(
        agent_id="test-noop", parameters={}, submitted_by=OWNER, notify={"callback_url": receiver.url}
    )
    with db.quick():
        return str(lifecycle.submit(intake.order(wish))["job_id"])


def latencies(receiver: Receiver, jobs: list[str]) -> list[float]:
    """Of each job, sorted; waits until all are there."""
    until(
        lambda: len({received.json["data"]["job_id"] for received in receiver.got} & {*jobs}) == len(jobs),
        120,
    )
    with db.quick():
        rows = db.rows(
            "SELECT job_id::text, extract(epoch FROM finished_at)::float8 AS at FROM jobs WHERE job_id = ANY(%(jobs)s::uuid[])",
            jobs=jobs,
        )
    settled = {row["job_id"]: row["at"] for row in rows}
    heard = {received.json["data"]["job_id"]: received.at for received in reversed(receiver.got)}
    return sorted((heard[job] - settled[job]) * 1000 for job in jobs)


def at_rest(receiver: Receiver, samples: int) -> list[float]:
    """One job at a time."""
    jobs = []
    for _ in range(samples):
        jobs.append(submit(receiver))
        until(lambda: len(receiver.got) >= len(jobs), 30)
        time.sleep(0.15)  # rest between samples: the figure is about an idle worker
    return latencies(receiver, jobs)


def figures(sorted_ms: list[float]) -> dict[str, float]:
    """Quantiles."""
    last = len(sorted_ms) - 1
    return {
        name: round(sorted_ms[int(last * share)], 1)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1))
    }


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--burst", type=int, default=300)
    chosen = parser.parse_args()
    with servers(), receiving() as receiver:
        os.environ |= {"CALLBOARD_ENV": "test", "HTTP_ALLOW_PRIVATE": "true"}
        settings = configuration.load()
        seal_by(settings)
        db.open(make_engine(settings.database_url))
        dispatch.use(make_ringer(settings.redis_url).ring)
        with db.quick():
            receiver.secrets = [secrets.of_callbacks(OWNER)]
        worker = _dramatiq("actors.worker")
        try:
            until(_two_workers, 30)
            rest = at_rest(receiver, chosen.samples)
            burst = latencies(receiver, [submit(receiver) for _ in range(chosen.burst)])
        finally:
            worker.terminate()
            worker.wait(30)
    genuine = sum(bool(received.verified) for received in receiver.got)
    print(
        json.dumps(
            {
                "at_rest_ms": figures(rest),
                "burst_ms": figures(burst),
                "got": len(receiver.got),
                "genuine": genuine,
            }
        )
    )


if __name__ == "__main__":
    main()
