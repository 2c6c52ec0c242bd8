"""Checks of what does the work: workers, the scheduler, jobs, providers, agents."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator

from app.alerts import measures
from app.alerts import queries as alert_queries
from app.db import db
from app.ops.doctor.findings import Said, error, info, warning
from app.ops.doctor.place import Place
from app.providers import queries as provider_queries
from app.settings import POOLS
from app.workers import fleet

TICK_SECONDS = 60
LONG_BACKLOG = 1000
LONG_WAIT_SECONDS = 3600
MANY_LETTERS = 25
SHOWN = 5


def workers(_place: Place) -> Iterator[Said]:
    """Whether there are workers, in every pool where jobs wait."""
    standing = fleet.listing()
    living = [worker for worker in standing if worker["state"] != "lost"]
    yield f"{len(living)} alive, {sum(worker['threads'] for worker in living)} jobs at once"
    start = "Start one: dramatiq actors.worker, or make run; on a platform scale the process `worker`"
    if not living:
        yield error("There is no worker", "Jobs are accepted and wait.", start)
        return
    waiting = {reading.subject: int(reading.value) for reading in measures.backlog(measures.Limits())}
    for line in fleet.by_pool(POOLS):
        if not line["threads"]:
            pool, jobs = line["pool"], waiting.get(line["pool"], 0)
            tell = error if jobs else warning
            yield tell(
                f"No worker serves the pool {pool}" + (f", where {jobs:,} jobs wait" if jobs else ""),
                "Jobs of its agents wait for ever.",
                f"Let a worker have {pool} in CALLBOARD_POOLS, or resume one that drains: callboard workers list",
            )
    deaf = [worker["worker_id"] for worker in living if worker["redis_away"]]
    if deaf:
        yield warning(
            f"{len(deaf)} of {len(living)} workers do not reach Redis",
            "They look for work every LOOK_SECONDS, so jobs start later.",
            "Set REDIS_URL for the workers as for the web process, and see that they may connect",
        )
    lost = [worker["worker_id"] for worker in standing if worker["state"] == "lost"]
    if lost:
        yield warning(
            f"{len(lost)} workers were lost without a word: {', '.join(lost[:SHOWN])}",
            "Their jobs were taken over when the lease ran out; they died by memory, or were killed.",
            "Look at the end of worker.log, and at the memory of their machine",
        )


def scheduler(_place: Place) -> Iterator[Said]:
    """Whether the scheduler ticks."""
    seconds = float(db.value("SELECT extract(epoch FROM clock_timestamp() - last_tick_at) FROM upkeep") or 0)
    yield f"ticked {seconds:.0f} s ago"
    if seconds > TICK_SECONDS:
        yield error(
            f"The scheduler has not ticked for {seconds:.0f} s",
            "No schedule fires, no alert is raised, nothing is cleaned up, and lost jobs are found late.",
            "Start it: python -m actors.clockwork, or make run; on a platform scale the process `scheduler` to 1",
        )


def stuck_jobs(place: Place) -> Iterator[Said]:
    """Jobs that run on paper only, and those that run far too long."""
    stuck = int(
        db.value(
            """SELECT count(*) FROM jobs WHERE status = 'running'
                 AND lease_expires_at < clock_timestamp() - %(grace)s * interval '1 s'""",
            grace=place.settings.lease_seconds + 60,
        )
    )
    if stuck:
        yield error(
            f"{stuck} running jobs belong to no living worker",
            "They should have been taken back: the sweep does not run.",
            "Start the scheduler (python -m actors.clockwork) or a worker, and look for sweep.found in its log",
        )
    old = int(
        db.value(
            """SELECT count(*) FROM jobs WHERE status = 'running'
                 AND started_at < clock_timestamp() - %(limit)s * interval '1 s'""",
            limit=2 * place.settings.job_time_limit_seconds,
        )
    )
    if old:
        yield warning(
            f"{old} jobs run for more than twice JOB_TIME_LIMIT_SECONDS",
            "Each holds a thread of a worker.",
            "Look at them (/jobs?state=running), and cancel what hangs",
        )


def waiting_jobs(_place: Place) -> Iterator[Said]:
    """How many due jobs wait, and for how long."""
    found = {reading.subject: int(reading.value) for reading in measures.backlog(measures.Limits())}
    yield f"{sum(found.values()):,} due"
    for pool, jobs in found.items():
        if jobs > LONG_BACKLOG:
            yield warning(
                f"{jobs:,} due jobs wait in the pool {pool}",
                "Each waits for all before it.",
                "More workers, or more WORKER_THREADS; GET /api/v1/scaling says how many",
            )
    seconds = db.value(
        """SELECT extract(epoch FROM max(clock_timestamp() - run_at)) FROM (
             SELECT j.run_at FROM queues q CROSS JOIN LATERAL (
               SELECT run_at FROM jobs WHERE status = 'queued' AND pool = q.pool AND run_at <= now() ORDER BY run_at LIMIT 1) j
             WHERE NOT q.paused) AS first"""
    )
    if seconds and seconds > LONG_WAIT_SECONDS:
        yield warning(
            f"The job that waits longest was due {float(seconds) / 3600:.1f} hours ago",
            "Something holds it, or jobs of higher priority never end.",
            "Its page says what it waits for: /jobs?state=queued",
        )


def dead_letters(_place: Place) -> Iterator[Said]:
    """How many failed jobs nobody has dealt with."""
    amount = int(db.value("SELECT count(*) FROM dead_letters WHERE NOT resubmitted"))
    yield f"{amount:,} open"
    if amount:
        tell = warning if amount >= MANY_LETTERS else info
        yield tell(
            f"{amount:,} dead letters are open",
            "Each is work that was asked for and never done.",
            "Look at their groups at /dead-letters; retry what is mended, ignore the rest",
        )


def alerts(_place: Place) -> Iterator[Said]:
    """What is alarming just now."""
    active = alert_queries.listing("active", limit=alert_queries.MOST)
    yield f"{len(active)} active"
    for row in active[:SHOWN]:
        tell = error if row["severity"] == "critical" else warning
        yield tell(
            f"Alert: {row['title']}{': ' + row['subject'] if row['subject'] else ''}",
            row["message"],
            row["do"],
        )


def providers(_place: Place) -> Iterator[Said]:
    """Whether a language model can be asked."""
    rows = [row for row in provider_queries.every() if row["enabled"] and not row["demo"]]
    conditions = {row["provider_id"]: provider_queries.condition(row) for row in rows}
    ready = [name for name, condition in conditions.items() if condition in ("ready", "degraded")]
    yield f"{', '.join(ready) or 'none'} ready"
    for row in rows:
        if conditions[row["provider_id"]] in ("open", "waking", "probing"):
            yield warning(
                f"{row['title']} is not asked for now: {provider_queries.reason(row)}",
                "Its jobs go to the next provider, or wait.",
                f"See /providers; when it is mended: Reset there, or POST /api/v1/providers/{row['provider_id']}/reset",
            )
    if rows and not ready:
        why = "; ".join(
            f"{row['title']}: {provider_queries.reason(row) or 'unknown'}" for row in rows[:SHOWN]
        )
        yield info(
            "No language model can be asked",
            f"Agents that write by a model wait for one. {why}",
            "Set a key for the workers (ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY or HF_TOKEN), or run Ollama",
        )


def _short(reason: str) -> str:
    """Its first sentence, or as much of it as can be read at a glance."""
    return textwrap.shorten(re.split(r"\. |: set ", reason, maxsplit=1)[0], 90, placeholder="…")


def agents(_place: Place) -> Iterator[Said]:
    """Whether workers found what agents need: the programs on their PATH, keys, models."""
    rows = db.rows(
        """SELECT agent_id, runner, health_status, health_reason FROM agents
           WHERE enabled AND health_status IS NOT NULL AND health_status <> 'ready' ORDER BY agent_id"""
    )
    yield f"{len(rows)} not ready" if rows else "all that were looked at are ready"
    if rows:
        reasons = Counter(_short(row["health_reason"] or row["health_status"]) for row in rows)
        named = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(SHOWN))
        more = f"; and {len(reasons) - SHOWN} other reasons" if len(reasons) > SHOWN else ""
        yield info(
            f"{len(rows)} agents are not ready",
            f"Jobs for them fail or wait. {named}{more}",
            "Install the programs on the workers' PATH and set the keys they name, or switch the agents off at /agents",
        )
    problems = int(db.value("SELECT count(*) FROM agent_problems"))
    if problems:
        yield warning(
            f"{problems} agent definitions could not be installed",
            "The agents are missing, or stayed as they were before.",
            "See /agents, and mend the files it names",
        )
