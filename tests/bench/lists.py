"""How long lists take over a million jobs: the Jobs page, its panels, the API's list, each with every kind of filter.

    make bench-lists          or    python -m tests.bench.lists [--jobs 1000000] [--times 5]

The database is filled by SQL with a month of plausible jobs of twenty people: most are over, some failed, ten thousand
wait. The application runs in this process, so what is measured is what the server does for one request, from the
first byte to the last, without a network. Nothing that is kept for some seconds is known at the first of the times:
`first` is what the unlucky viewer waits for, `again` is the median of the others. Target: 300 ms for each.

DATABASE_URL and REDIS_URL name other servers than a pair of its own; the tables of jobs there are emptied.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.accounts import api_keys, logins, users
from app.accounts.permissions import Principal
from app.accounts.queries import user_by_email
from app.db import db
from tests.bench.drain import servers

MOST_MS = 300.0
PEOPLE = 20
WAITING_SHARE, RUNNING, ASKING = 100, 40, 20  # one in a hundred waits

# A month, oldest first. What lists filter by is skewed as it is in life: few agents, people and tags have most jobs;
# one tag is of old jobs only, one agent and one person have hardly any.
_JOBS = """
INSERT INTO jobs (job_id, agent_id, pool, status, priority_rank, run_at, task_name, parameters, options, tags,
                  submitted_by, fence, lease_id, lease_expires_at, worker_id, progress, usage, result, error,
                  verdict, quality_score, asked_at, submitted_at, queued_at, started_at, finished_at, updated_at)
SELECT uuidv7(at - now()), agent, 'general', status, CASE WHEN n %% 50 = 0 THEN 0 WHEN n %% 9 = 0 THEN 1 ELSE 2 END,
       at, CASE WHEN n %% 3 = 0 THEN NULL ELSE (ARRAY['Write a post about','Check the tests of','Summarise','Translate'])[1 + n %% 4]
                || ' ' || (ARRAY['harbours','lighthouses','tides','ferries','cranes'])[1 + (n / 7) %% 5] || ' ' || n END,
       jsonb_build_object('text', repeat('word ', 10 + n %% 30)), '{}',
       CASE WHEN n %% 4 = 0 THEN '{}' WHEN n <= %(jobs)s / 200 THEN ARRAY['old','bench']
            WHEN n %% 1000 = 1 THEN ARRAY['rare','bench'] ELSE ARRAY['bench'] END,
       person, over::int, CASE status WHEN 'running' THEN gen_random_uuid() END,
       CASE status WHEN 'running' THEN now() + interval '1 day' END,
       CASE WHEN status = 'running' OR over THEN 'w' || n %% 8 END, CASE WHEN over THEN 100 ELSE 0 END,
       CASE WHEN over THEN jsonb_build_object('cost_usd', round((n %% 400) / 1000.0, 3)) END,
       CASE status WHEN 'completed' THEN jsonb_build_object('text', repeat('result ', 10 + n %% 40)) END,
       CASE status WHEN 'failed' THEN jsonb_build_object('type', 'ValueError', 'class', 'permanent',
            'message', 'the harbour is closed, number ' || n %% 977) END,
       CASE WHEN status = 'completed' AND n %% 10 = 3 THEN (ARRAY['passed','passed','passed','needs_review'])[1 + (n / 10) %% 4] END,
       CASE WHEN status = 'completed' AND n %% 10 = 3 THEN 7.5 END,
       CASE status WHEN 'awaiting_input' THEN at + interval '5 s' END, at, at,
       CASE WHEN status NOT IN ('queued','pending') THEN at + interval '1 s' END,
       CASE WHEN over THEN at + interval '1 s' + n %% 60 * interval '1 s' END, at + interval '1 minute'
FROM (SELECT n, now() - (%(jobs)s - n) * (interval '30 days' / %(jobs)s) AS at, status,
             status IN ('completed','failed','cancelled') AS over,
             CASE WHEN n %% 5000 = 7 THEN %(rare_agent)s ELSE (%(agents)s)[1 + (random() * random() * %(agent_count)s)::int %% %(agent_count)s] END AS agent,
             CASE WHEN n %% 20000 = 11 THEN (%(people)s)[%(people_count)s]
                  ELSE (%(people)s)[1 + (random() * random() * (%(people_count)s - 1))::int %% (%(people_count)s - 1)] END AS person
      FROM (SELECT n, CASE WHEN n > %(jobs)s - %(asking)s THEN 'awaiting_input'
                           WHEN n > %(jobs)s - %(asking)s - %(running)s THEN 'running'
                           WHEN n > %(jobs)s - %(jobs)s / %(waiting)s THEN 'queued'
                           WHEN n %% 25 = 3 THEN 'failed' WHEN n %% 40 = 9 THEN 'cancelled' ELSE 'completed' END AS status
            FROM generate_series(%(begin)s, %(end)s) AS n) s) t
"""
REST = """
INSERT INTO task_history (job_id, agent_id, submitted_by, priority_rank, status, wait_seconds, duration_seconds, error_type, completed_at)
SELECT job_id, agent_id, submitted_by, priority_rank, status, 1, extract(epoch FROM finished_at - started_at), error->>'type', finished_at
FROM jobs WHERE finished_at IS NOT NULL ORDER BY finished_at;
INSERT INTO dead_letters (dlq_id, job_id, agent_id, task_name, parameters, priority_rank, submitted_by, submitted_at, failed_at,
                          reason, error_type, error_class, error_message, retry_count, group_key)
SELECT uuidv7(finished_at - now()), job_id, agent_id, task_name, parameters, priority_rank, submitted_by, submitted_at, finished_at,
       'permanent', 'ValueError', 'permanent', error->>'message', 3, md5(agent_id || (error->>'message'))
FROM jobs WHERE status = 'failed';
INSERT INTO job_rollups (step, at, agent_id, submitted_by, completed, failed, cancelled)
SELECT 3600, date_trunc('hour', completed_at), agent_id, submitted_by, count(*) FILTER (WHERE status = 'completed'),
       count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'cancelled')
FROM task_history GROUP BY 1, 2, 3, 4;
"""
AT_ONCE = 50_000


@dataclass(frozen=True)
class Viewer:
    """Somebody who looks at lists: by cookie and by key."""

    user_id: str
    client: FlaskClient
    key: str


def viewer(app: Flask, role: str, number: int = 0) -> Viewer:
    """A person with a cookie and a new key."""
    email = f"{role}{number}@lists.test"
    with db.transaction():
        row = user_by_email(email) or users.create(email, None, role=role)
        who = Principal(user_id=str(row["user_id"]), email=email, role=role)
        key = api_keys.create(who, name="bench")
        login_id = logins.open_login(
            who.user_id, kind="browser", method="password", ip=None, user_agent=None, life=timedelta(hours=12)
        )
    client = app.test_client()
    with client.session_transaction() as cookie:
        cookie["_user_id"] = f"{who.user_id}:{row['token_version']}:{login_id}"
    return Viewer(who.user_id, client, key.text)


def fill(jobs: int, people: list[str]) -> float:
    """So many jobs in empty tables, with what belongs to them; answers the seconds that it took."""
    began = time.perf_counter()
    with db.quick():
        db.run("SET statement_timeout = 0")
        db.run("TRUNCATE jobs, task_history, dead_letters, job_rollups, job_history, job_events CASCADE")
        db.run("ALTER TABLE jobs DISABLE TRIGGER USER")  # as a dump is read back
        agents = [row["agent_id"] for row in db.rows("SELECT agent_id FROM agents ORDER BY agent_id")]
        add(jobs, people, agents, waiting=WAITING_SHARE, running=RUNNING, asking=ASKING)
        db.run(REST)
        for table in ("jobs", "task_history", "dead_letters", "job_rollups"):
            db.run(f"VACUUM ANALYZE {table}")
        db.run("ALTER TABLE jobs ENABLE TRIGGER USER")
        db.run("RESET statement_timeout")
    return time.perf_counter() - began


def add(jobs: int, people: list[str], agents: list[str], *, waiting: int, running: int, asking: int) -> None:
    """Rows of `jobs`, a month of them; one in `waiting` waits. Nobody has many of the first agent and of the last person."""
    for begin in range(1, jobs + 1, AT_ONCE):
        db.run(
            _JOBS, jobs=jobs, begin=begin, end=min(jobs, begin + AT_ONCE - 1),
            agents=agents[1:], agent_count=len(agents) - 1, rare_agent=agents[0],
            people=people, people_count=len(people), waiting=waiting, running=running, asking=asking,
        )  # fmt: skip


def filters() -> dict[str, str]:
    """What a list is asked for, by a name, in the words of the filter bar."""
    with db.quick():
        rare, *others = [row["agent_id"] for row in db.rows("SELECT agent_id FROM agents ORDER BY agent_id")]
        last = db.value("SELECT job_id::text FROM jobs ORDER BY job_id LIMIT 1")
    return {
        "everything": "",
        "waiting": "status:waiting",
        "running": "status:running",
        "failed": "status:failed",
        "failed, last hour": "status:failed since:1h",
        "cancelled, last day": "status:cancelled since:24h",
        "all but completed": "-status:completed",
        "a common agent": f"agent:{others[0]}",
        "a rare agent": f"agent:{rare}",
        "a rare agent, failed": f"agent:{rare} status:failed",
        "two agents": f"agent:{others[0]},{others[1]}",
        "a common tag": "tag:bench",
        "a rare tag": "tag:rare",
        "a tag of old jobs": "tag:old",
        "no such tag": "tag:nowhere",
        "a tag, failed": "tag:rare status:failed",
        "last hour": "since:1h",
        "last week": "since:7d",
        "urgent": "priority:critical",
        "to be reviewed": "quality:needs_review",
        "a common word": "lighthouses",
        "a rare word": "ferries 777123",
        "no such word": "submarines",
        "a word of failures": "error:closed",
        "no such error": "error:submarines",
        "dear": "cost:>0.39",
        "one id": last,
        "the end of an id": last[-8:],
        "a word, an agent, failed": f"harbours agent:{others[1]} status:failed",
    }


def requests(admin: Viewer, owner: Viewer, rare_owner: Viewer) -> dict[str, Callable[[], Any]]:
    """Every list to be measured, by name."""
    asked: dict[str, Callable[[], Any]] = {}
    for name, words in filters().items():
        q = quote(words)
        asked[f"page: {name}"] = _page(admin, f"/jobs?q={q}")
        asked[f"tabs: {name}"] = _page(admin, f"/ui/jobs/tabs?q={q}")
        asked[f"api: {name}"] = _api(admin, f"/api/v1/jobs?filter={q}")
    for name, who in (("of one person", owner), ("of one with few jobs", rare_owner)):
        asked[f"page: {name}"] = _page(who, "/jobs")
        asked[f"tabs: {name}"] = _page(who, "/ui/jobs/tabs")
        asked[f"page: {name}, failed"] = _page(who, "/jobs?q=status:failed")
        asked[f"page: {name}, waiting"] = _page(who, "/jobs?q=status:waiting")
        asked[f"page: {name}, a word"] = _page(who, "/jobs?q=lighthouses")
        asked[f"api: {name}"] = _api(who, "/api/v1/jobs")
    for name, path in (("menu", "/ui/nav"), ("now", "/"), ("dead letters", "/dead-letters"), ("analytics", "/analytics"),
                       ("queues", "/queues"), ("workers", "/workers"), ("agents", "/agents")):  # fmt: skip
        asked[f"page: {name}"] = _page(admin, path)
    asked["page: now, of one person"] = _page(owner, "/")
    for share in (0.5, 0.99):
        asked[f"page: everything, {share:.0%} down"] = _page(admin, f"/jobs?after={quote(_place(share))}")
        asked[f"page: failed, {share:.0%} down"] = _page(
            admin, f"/jobs?q=status:failed&after={quote(_place(share))}"
        )
    return asked


def _place(share: float) -> str:
    """The mark behind the job that so much of the list lies above."""
    with db.quick():
        row = db.row(
            """SELECT submitted_at, job_id::text FROM jobs WHERE submitted_at < now() - interval '30 days' * %(share)s
               ORDER BY jobs.job_id DESC LIMIT 1""",
            share=share,
        )
    assert row is not None
    return f"{row['submitted_at'].isoformat()}~{row['job_id']}"


def _page(who: Viewer, path: str) -> Callable[[], Any]:
    return lambda: who.client.get(path)


def _api(who: Viewer, path: str) -> Callable[[], Any]:
    return lambda: who.client.get(path, headers={"X-API-Key": who.key})


def timed(ask: Callable[[], Any], times: int) -> dict[str, Any]:
    """{first, again, status} in milliseconds; `again` is the median of the others."""
    taken, status = [], 0
    for _ in range(times):
        began = time.perf_counter()
        status = ask().status_code
        taken.append((time.perf_counter() - began) * 1000)
    again = statistics.median(taken[1:] or taken)
    return {"first": round(taken[0], 1), "again": round(again, 1), "status": status}


def measure(jobs: int, times: int, only: str = "", *, filled: bool = False) -> dict[str, Any]:
    """Fill, unless that was done before, then ask for every list."""
    app = create_app()
    admin, people = viewer(app, "admin"), [viewer(app, "user", n) for n in range(PEOPLE)]
    took = 0.0 if filled else fill(jobs, [person.user_id for person in people])
    asked = requests(admin, people[0], people[-1])
    timed(_page(admin, "/jobs"), 2)  # templates are read at first
    found = {name: timed(ask, times) for name, ask in asked.items() if only in name}
    wrong = {name: one["status"] for name, one in found.items() if one["status"] != 200}
    slow = {name: one for name, one in found.items() if max(one["first"], one["again"]) > MOST_MS}
    with db.quick():
        size = db.value("SELECT pg_total_relation_size('jobs')")
    return {
        "machine": {"processors": os.cpu_count(), "load": [round(each, 2) for each in os.getloadavg()]},
        "jobs": jobs,
        "filled_in_seconds": round(took, 1),
        "jobs_megabytes": size // 1_000_000,
        "ms": found,
        "wrong": wrong,
        "slow": slow,
        "slowest_ms": max((max(one["first"], one["again"]) for one in found.values()), default=0),
    }


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", default="", help="lists whose name has this in it")
    parser.add_argument(
        "--filled", action="store_true", help="the database of DATABASE_URL was filled before"
    )
    chosen = parser.parse_args()
    with servers():
        print(json.dumps(measure(chosen.jobs, chosen.times, chosen.only, filled=chosen.filled), indent=1))


if __name__ == "__main__":
    main()
