"""Tables as they are after so many jobs: not the jobs alone, also all that a job leaves behind in other tables.

For benches and tests that ask what a job costs when there are a million before it. Written by SQL, with the triggers
of `jobs` off, as a dump is read back.
"""

from __future__ import annotations

import time

from app.db import db
from tests.bench import lists

FILLED = (
    "jobs", "job_attempts", "job_history", "job_events", "task_history", "dead_letters", "usage_events", "audit_log",
    "audit_chain", "job_rollups", "idempotency_keys",
)  # fmt: skip

# By table, each in the order of time. Every third job called a model twice.
_DEPENDENTS = """
INSERT INTO job_attempts (job_id, fence, worker_id, agent_version, started_at, ended_at, outcome, usage)
SELECT job_id, 1, worker_id, agent_version, started_at, finished_at, status, usage FROM jobs
WHERE finished_at IS NOT NULL ORDER BY job_id;

INSERT INTO job_history (job_id, at, from_status, to_status, reason, fence, worker_id)
SELECT job_id, CASE n WHEN 1 THEN submitted_at WHEN 2 THEN started_at ELSE finished_at END,
       (ARRAY[NULL, 'queued', 'running'])[n], (ARRAY['queued', 'running', status])[n], NULL, least(n - 1, 1),
       CASE WHEN n > 1 THEN worker_id END
FROM jobs CROSS JOIN generate_series(1, 3) AS n WHERE n = 1 OR finished_at IS NOT NULL ORDER BY job_id, n;

INSERT INTO job_events (job_id, seq, fence, at, kind, level, source, message)
SELECT job_id, n, 1, finished_at, (ARRAY['log', 'complete'])[n], 'info', 'worker',
       (ARRAY['Looked at the harbour and wrote down what was there', 'Completed'])[n]
FROM jobs CROSS JOIN generate_series(1, 2) AS n WHERE finished_at IS NOT NULL ORDER BY job_id, n;

INSERT INTO usage_events (at, job_id, fence, call_id, part, agent_id, team, submitted_by, provider, model,
                          input_tokens, output_tokens, cost_usd, cost_status, billing)
SELECT finished_at, job_id, 1, 'call-' || n, 0, agent_id, 'general', submitted_by, 'anthropic', 'claude-sonnet',
       1200, 300, 0.0081, 'derived', 'api'
FROM jobs CROSS JOIN generate_series(1, 2) AS n
WHERE finished_at IS NOT NULL AND get_byte(uuid_send(job_id), 15) %% 3 = 0
ORDER BY job_id, n;

INSERT INTO audit_log (at, actor, action, subject, correlation_id, details)
SELECT submitted_at, submitted_by, 'job.submitted', job_id::text, job_id::text,
       jsonb_build_object('agent_id', agent_id, 'priority', 'normal', 'parameters', jsonb_build_array('text'))
FROM jobs ORDER BY jobs.job_id;

INSERT INTO audit_chain (position, audit_id, digest, sealed_at)
SELECT row_number() OVER (ORDER BY id), id, sha256(id::text::bytea), at FROM audit_log ORDER BY id;

INSERT INTO idempotency_keys (owner, key, request_hash, status, response, created_at)
SELECT submitted_by, job_id::text, md5(job_id::text), 201, jsonb_build_object('job_id', job_id), submitted_at
FROM jobs WHERE submitted_at > now() - interval '2 days' ORDER BY jobs.job_id;
"""
_QUEUED = """
INSERT INTO jobs (job_id, agent_id, agent_version, pool, status, priority_rank, run_at, parameters, submitted_by,
                  submitted_at, queued_at, updated_at)
SELECT uuidv7(at - now()), 'test-noop', (SELECT version FROM agents WHERE agent_id = 'test-noop'), 'general', 'queued', 3,
       at, jsonb_build_object('text', 'waits'), %(person)s, at, at, at
FROM (SELECT now() - (%(count)s - n) * interval '1 ms' AS at FROM generate_series(1, %(count)s) AS n) AS moments
"""


def fill(jobs: int, people: list[str], *, waiting: int = 0) -> float:
    """`jobs` that are over with all they left, and `waiting` of low priority that wait; answers the seconds it took."""
    began = time.perf_counter()
    with db.quick():
        db.run("SET statement_timeout = 0")
        db.run("SET synchronous_commit = off")
        guarded = ("jobs", "audit_log", "audit_chain", "usage_events")
        for table in guarded:
            db.run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        db.run(f"TRUNCATE {', '.join(FILLED)}, followups CASCADE")
        agents = [row["agent_id"] for row in db.rows("SELECT agent_id FROM agents ORDER BY agent_id")]
        lists.add(jobs, people, agents, waiting=2 * jobs, running=0, asking=0)
        db.run(_QUEUED, count=waiting, person=people[0])
        for statement in (lists.REST + _DEPENDENTS).split(";"):
            if statement.strip():
                db.run(statement)
        for table in guarded:
            db.run(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        for table in FILLED:
            db.run(f"VACUUM (ANALYZE, FREEZE) {table}")
        db.run("RESET synchronous_commit")
        db.run("RESET statement_timeout")
    return time.perf_counter() - began


def queue(waiting: int, person: str) -> float:
    """Let so many more wait in tables that are filled; answers the seconds it took."""
    began = time.perf_counter()
    with db.quick():
        db.run("SET statement_timeout = 0")
        db.run(_QUEUED, count=waiting, person=person)
        db.run("VACUUM (ANALYZE) jobs")
        db.run("RESET statement_timeout")
    return time.perf_counter() - began
