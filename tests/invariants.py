"""What must be true whatever happened, of jobs, runs, schedules, news, questions and drafts, as named SQL queries that must answer no rows.

    broken(read)                       at any moment, also in the middle of the chaos
    broken(read, at_rest=True, ...)    once nothing is left to do, with the ids that clients were promised

`read(statement, values)` runs one statement and answers its rows. The legal moves come from `states.MOVES`
and not from the database's own function, so that the two cannot agree by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from app.jobs.states import MOVES

Read = Callable[[str, Mapping[str, object]], list[Any]]

_MOVES = ", ".join(f"('{source}','{target}')" for source, targets in MOVES.items() for target in targets)
_FINAL = "('completed','failed','cancelled')"
_STEP_IS_OVER = "('completed','skipped','failed','cancelled')"
# What is written down of it in the transaction that ends it, and gone when everybody knows.
_TO_FOLLOW = "(SELECT 1 FROM followups f WHERE f.subject_type = '{0}' AND f.subject_id = {1})"

_OF_JOBS: dict[str, str] = {
    "settled at most once": f"""
        SELECT job_id FROM job_history WHERE to_status IN {_FINAL} GROUP BY job_id HAVING count(*) > 1""",
    "nothing happens after the end": f"""
        SELECT late.job_id FROM job_history late JOIN job_history final
        ON final.job_id = late.job_id AND final.to_status IN {_FINAL} AND late.id > final.id""",
    "a history is an unbroken chain": """
        SELECT job_id, from_status, before FROM (
            SELECT job_id, from_status, lag(to_status) OVER (PARTITION BY job_id ORDER BY id) AS before
            FROM job_history) AS step WHERE before IS DISTINCT FROM from_status""",
    "a history has legal moves only": f"""
        SELECT job_id, from_status, to_status FROM job_history
        WHERE CASE WHEN from_status IS NULL THEN to_status NOT IN ('pending','queued')
              ELSE (from_status, to_status) NOT IN (VALUES {_MOVES}) END""",
    "a history ends in the present status": """
        SELECT j.job_id, j.status, last.to_status FROM jobs j LEFT JOIN LATERAL (
            SELECT to_status FROM job_history h WHERE h.job_id = j.job_id ORDER BY id DESC LIMIT 1) AS last ON true
        WHERE last.to_status IS DISTINCT FROM j.status""",
    "a history has one start per attempt": """
        SELECT j.job_id FROM jobs j LEFT JOIN job_history h ON h.job_id = j.job_id AND h.to_status = 'running'
        GROUP BY j.job_id HAVING count(h.id) <> j.fence OR count(DISTINCT h.fence) <> j.fence""",
    "attempts are numbered 1 to the fence": """
        SELECT j.job_id, j.fence FROM jobs j LEFT JOIN job_attempts a USING (job_id)
        GROUP BY j.job_id HAVING count(a.fence) <> j.fence OR coalesce(max(a.fence), 0) <> j.fence
               OR coalesce(min(a.fence), 1) <> 1""",
    "an attempt is open if and only if the job runs": """
        SELECT j.job_id, j.status, a.fence FROM jobs j LEFT JOIN job_attempts a
        ON a.job_id = j.job_id AND a.ended_at IS NULL
        WHERE (j.status = 'running') <> (a.job_id IS NOT NULL)
           OR (j.status = 'running' AND (a.fence <> j.fence OR a.worker_id <> j.worker_id))""",
    "attempts of a job do not overlap": """
        SELECT a.job_id, a.fence, b.fence FROM job_attempts a JOIN job_attempts b
        ON a.job_id = b.job_id AND a.fence < b.fence AND (a.ended_at IS NULL OR a.ended_at > b.started_at)""",
    "completed means that the last attempt completed, and no other": """
        SELECT j.job_id, j.status FROM jobs j LEFT JOIN job_attempts a
        ON a.job_id = j.job_id AND a.outcome = 'completed'
        GROUP BY j.job_id HAVING count(a.fence) <> (j.status = 'completed')::int
               OR (j.status = 'completed' AND max(a.fence) <> j.fence)""",
    "a completed job says so once": """
        SELECT j.job_id FROM jobs j LEFT JOIN job_events e ON e.job_id = j.job_id AND e.kind = 'complete'
        GROUP BY j.job_id HAVING count(e.seq) <> (j.status = 'completed')::int""",
    "counters equal the outcomes of the attempts": """
        SELECT j.job_id, j.status, j.retry_count, j.lost_count, j.released_count FROM jobs j LEFT JOIN LATERAL (
            SELECT count(*) FILTER (WHERE outcome IN ('failed','timeout')) AS failed,
                   count(*) FILTER (WHERE outcome = 'lost') AS lost,
                   count(*) FILTER (WHERE outcome = 'released') AS released
            FROM job_attempts a WHERE a.job_id = j.job_id) AS n ON true
        WHERE j.lost_count <> n.lost OR j.released_count <> n.released
           -- A failure that nothing follows is no retry; a cancellation may come with either kind of failure.
           OR n.failed - j.retry_count NOT BETWEEN
              (j.status = 'failed' AND j.status_reason <> 'poison')::int
              AND (j.status = 'cancelled' OR (j.status = 'failed' AND j.status_reason <> 'poison'))::int""",
    "no more retries or lost workers than allowed": """
        SELECT job_id, retry_count, lost_count FROM jobs
        WHERE retry_count > max_retries OR lost_count > %(max_lost)s
           OR (lost_count = %(max_lost)s AND status NOT IN ('failed','cancelled'))""",
    "failed means exactly one dead letter": """
        SELECT j.job_id, j.status FROM jobs j LEFT JOIN dead_letters d USING (job_id)
        GROUP BY j.job_id HAVING count(d.dlq_id) <> (j.status = 'failed')::int""",
    "an end is counted once in the figures": f"""
        SELECT j.job_id, j.status FROM jobs j LEFT JOIN task_history t USING (job_id)
        GROUP BY j.job_id HAVING count(t.history_id) <> (j.status IN {_FINAL})::int""",
    "a slot is held by a running job of its agent only": """
        SELECT s.agent_id, s.slot, s.job_id, j.status FROM agent_slots s LEFT JOIN jobs j USING (job_id)
        WHERE s.job_id IS NOT NULL AND (j.status IS DISTINCT FROM 'running' OR j.agent_id <> s.agent_id)""",
    "a running job of a limited agent holds one slot": """
        SELECT j.job_id FROM jobs j JOIN agents a USING (agent_id) LEFT JOIN agent_slots s USING (job_id)
        WHERE j.status = 'running' AND a.max_concurrent_tasks IS NOT NULL
        GROUP BY j.job_id HAVING count(s.slot) <> 1""",
    "no agent runs more than it may": """
        SELECT agent_id, count(*) FROM jobs j JOIN agents a USING (agent_id) WHERE j.status = 'running'
        GROUP BY agent_id, a.max_concurrent_tasks HAVING count(*) > a.max_concurrent_tasks""",
    "nothing starts after it was cancelled": """
        SELECT j.job_id FROM jobs j JOIN job_attempts a USING (job_id) WHERE a.started_at > j.cancel_requested_at""",
    "cancelled only on demand": """
        SELECT job_id FROM jobs WHERE status = 'cancelled' AND cancel_requested_at IS NULL""",
    "a delegated job stands one below its parent, and works for the same owner and session": """
        SELECT c.job_id, c.depth, p.depth FROM jobs c JOIN jobs p ON p.job_id = c.parent_job_id
        WHERE c.depth <> p.depth + 1 OR c.submitted_by <> p.submitted_by
           OR c.session_id IS DISTINCT FROM p.session_id""",
    "a delegated job has its parent's correlation, was handed out by an attempt of it, and each key stands for one": """
        SELECT c.job_id, c.child_key FROM jobs c JOIN jobs p ON p.job_id = c.parent_job_id
        WHERE (p.correlation_id IS NOT NULL AND c.correlation_id IS DISTINCT FROM p.correlation_id)
           OR NOT EXISTS (SELECT 1 FROM job_attempts a WHERE a.job_id = p.job_id AND a.started_at <= c.submitted_at
                          AND (a.ended_at IS NULL OR a.ended_at >= c.submitted_at))
           OR EXISTS (SELECT 1 FROM jobs twin WHERE twin.parent_job_id = c.parent_job_id
                      AND twin.child_key = c.child_key AND twin.job_id <> c.job_id)""",
    "no job stands below itself": """
        WITH RECURSIVE up AS (
            SELECT job_id, parent_job_id, 1 AS steps FROM jobs WHERE parent_job_id IS NOT NULL
            UNION ALL
            SELECT up.job_id, j.parent_job_id, up.steps + 1 FROM up JOIN jobs j ON j.job_id = up.parent_job_id
            WHERE up.steps < 50 AND j.parent_job_id IS NOT NULL)
        SELECT job_id FROM up WHERE parent_job_id = job_id""",
    "nothing goes on below a job that was cancelled": """
        SELECT c.job_id, c.status FROM jobs c JOIN jobs p ON p.job_id = c.parent_job_id
        WHERE p.cancel_requested_at IS NOT NULL AND c.finished_at IS NULL AND c.cancel_requested_at IS NULL""",
    "every submission became one job at most": """
        SELECT correlation_id FROM jobs WHERE correlation_id IS NOT NULL AND parent_job_id IS NULL
          AND workflow_id IS NULL GROUP BY correlation_id HAVING count(*) > 1""",
}

_OF_RUNS: dict[str, str] = {
    "a step has one job in each round": f"""
        SELECT j.workflow_id, j.step_id, count(*) FROM jobs j JOIN workflows w USING (workflow_id)
        LEFT JOIN workflow_steps s ON s.workflow_id = j.workflow_id AND s.step_id = j.step_id
        GROUP BY j.workflow_id, j.step_id, w.round, s.round
        -- A map makes the steps of its items anew in the second round.
        HAVING count(*) > CASE WHEN strpos(j.step_id, '[') > 0 THEN w.round ELSE s.round END
            OR count(*) FILTER (WHERE j.status NOT IN {_FINAL}) > 1""",
    "an open job of a run is what a running step waits for": f"""
        SELECT j.job_id, j.workflow_id, j.step_id FROM jobs j LEFT JOIN workflow_steps s
        ON s.workflow_id = j.workflow_id AND s.step_id = j.step_id AND s.job_id = j.job_id AND s.status = 'running'
        WHERE j.workflow_id IS NOT NULL AND j.status NOT IN {_FINAL} AND s.step_id IS NULL""",
    "a step under way has what it waits for": """
        SELECT workflow_id, step_id, kind, status FROM workflow_steps
        WHERE (status = 'running' AND kind = 'agent' AND job_id IS NULL)
           OR (status = 'running' AND kind = 'workflow' AND child_workflow_id IS NULL)
           OR (status = 'awaiting_input' AND approval_id IS NULL)""",
    "a finished run has no open step": f"""
        SELECT s.workflow_id, s.step_id, s.status FROM workflow_steps s JOIN workflows w USING (workflow_id)
        WHERE w.finished_at IS NOT NULL AND s.status NOT IN {_STEP_IS_OVER}""",
    "a finished run has no open job": f"""
        SELECT j.workflow_id, j.job_id, j.status FROM jobs j JOIN workflows w USING (workflow_id)
        WHERE w.finished_at IS NOT NULL AND j.status NOT IN {_FINAL}""",
    "a finished run has no open question": """
        SELECT a.workflow_id, a.approval_id FROM approvals a JOIN workflows w USING (workflow_id)
        WHERE w.finished_at IS NOT NULL AND a.status = 'open'""",
    "a finished run has no open run inside": """
        SELECT w.workflow_id, inside.workflow_id FROM workflows w JOIN workflows inside
        ON inside.parent_workflow_id = w.workflow_id
        WHERE w.finished_at IS NOT NULL AND inside.finished_at IS NULL""",
    # Not by jobs.submitted_at: that is when the transaction began, which may have waited for the run's lock.
    "a step starts when all it waits for is over, and what it is in": """
        WITH RECURSIVE around AS (
            SELECT s.workflow_id, s.step_id AS started, h.at, s.step_id, s.parent_step_id, s.depends_on
            FROM workflow_steps s JOIN job_history h ON h.job_id = s.job_id AND h.from_status IS NULL WHERE NOT s.kept
            UNION ALL
            SELECT i.workflow_id, i.started, i.at, s.step_id, s.parent_step_id, s.depends_on
            FROM around i JOIN workflow_steps s ON s.workflow_id = i.workflow_id AND s.step_id = i.parent_step_id)
        SELECT i.workflow_id, i.started, d.step_id, d.status FROM around i JOIN workflow_steps d
        ON d.workflow_id = i.workflow_id AND d.step_id = ANY (i.depends_on)
        WHERE d.finished_at IS NULL OR d.finished_at > i.at
           OR NOT (d.status IN ('completed','skipped')
                   OR coalesce((d.definition ->> 'continue_on_failure')::boolean, false))""",
    "a step ends as its job did": f"""
        SELECT s.workflow_id, s.step_id, s.status, j.status FROM workflow_steps s JOIN jobs j USING (job_id)
        WHERE NOT s.kept AND s.status <> j.status
          AND (s.status IN {_STEP_IS_OVER}
               OR (j.status IN {_FINAL} AND NOT EXISTS {_TO_FOLLOW.format("job", "j.job_id")}))""",
    "a step has the result of its job": """
        SELECT s.workflow_id, s.step_id FROM workflow_steps s JOIN jobs j USING (job_id)
        WHERE s.status = 'completed' AND s.output IS DISTINCT FROM j.result""",
    "a map has no more items under way than it may": """
        SELECT m.workflow_id, m.step_id, count(*) FROM workflow_steps m JOIN workflow_steps i
        ON i.workflow_id = m.workflow_id AND i.parent_step_id = m.step_id AND i.status IN ('running','awaiting_input')
        WHERE m.kind = 'map'
        GROUP BY m.workflow_id, m.step_id, m.definition
        HAVING count(*) > (m.definition ->> 'max_parallel')::integer""",
    "a run is told of once at most, as it ended, and not of those inside": """
        SELECT w.workflow_id, count(*), max(n.event) FROM workflows w JOIN notifications n
        ON n.subject_type = 'workflow' AND n.subject_id = w.workflow_id::text AND n.event LIKE 'workflow.%%'
        GROUP BY w.workflow_id
        HAVING count(*) + max(n.count) > 2 OR max(n.event) <> 'workflow.' || w.status
            OR w.finished_at IS NULL OR w.parent_workflow_id IS NOT NULL""",
    "a time of a schedule fires once": """
        SELECT o.schedule_id, o.id, count(f.slot_at) FROM (
            SELECT schedule_id, job_id AS id FROM jobs WHERE workflow_id IS NULL
            UNION ALL
            SELECT schedule_id, workflow_id FROM workflows
            WHERE parent_workflow_id IS NULL AND retry_of_workflow_id IS NULL) AS o
        JOIN schedules USING (schedule_id)
        LEFT JOIN schedule_fires f ON f.schedule_id = o.schedule_id AND coalesce(f.job_id, f.workflow_id) = o.id
        GROUP BY o.schedule_id, o.id HAVING count(f.slot_at) <> 1""",
    "a time that fired has one job or run": """
        SELECT schedule_id, slot_at, outcome FROM schedule_fires
        WHERE (outcome = 'fired') <> (num_nonnulls(job_id, workflow_id) = 1)""",
}

_OF_NEWS: dict[str, str] = {
    "what was delivered was accepted": """
        SELECT d.delivery_id, d.channel FROM deliveries d WHERE d.status = 'delivered' AND NOT EXISTS (
            SELECT 1 FROM delivery_attempts a
            WHERE a.delivery_id = d.delivery_id AND a.duration_ms IS NOT NULL AND a.error IS NULL
              AND (d.channel <> 'webhook' OR a.status_code BETWEEN 200 AND 299))""",
    "tries of a delivery are numbered 1 to the last, one at a time": """
        SELECT d.delivery_id, d.attempts FROM deliveries d LEFT JOIN delivery_attempts a USING (delivery_id)
        GROUP BY d.delivery_id
        HAVING count(a.number) <> d.attempts OR coalesce(max(a.number), 0) <> d.attempts
            OR count(a.number) FILTER (WHERE a.duration_ms IS NULL) > (d.status = 'pending')::int""",
    "nobody is called back twice, or before the end": f"""
        SELECT d.subject_type, d.subject_id, count(DISTINCT d.delivery_id) FROM deliveries d
        LEFT JOIN jobs j ON j.job_id::text = d.subject_id AND j.status IN {_FINAL}
        LEFT JOIN workflows w ON w.workflow_id::text = d.subject_id AND w.finished_at IS NOT NULL
        WHERE d.callback AND d.subject_type <> 'session'
        GROUP BY d.subject_type, d.subject_id
        HAVING count(DISTINCT d.delivery_id) > 1 OR count(j.job_id) + count(w.workflow_id) = 0""",
}

_OF_QUESTIONS: dict[str, str] = {
    "a job waits for a person if and only if it has an open question": """
        SELECT j.job_id, j.status, count(a.approval_id) FROM jobs j LEFT JOIN approvals a
        ON a.job_id = j.job_id AND a.status = 'open'
        GROUP BY j.job_id HAVING count(a.approval_id) <> (j.status = 'awaiting_input')::int""",
    "a question of a job is of an attempt that ended by asking, and of no other": """
        SELECT a.job_id, a.fence, count(*) FROM approvals a LEFT JOIN job_attempts t
        ON t.job_id = a.job_id AND t.fence = a.fence WHERE a.job_id IS NOT NULL
        GROUP BY a.job_id, a.fence, t.outcome HAVING count(*) > 1 OR t.outcome IS DISTINCT FROM 'asked'""",
    "a job that asked goes on with an answer only": """
        SELECT h.job_id, h.fence FROM job_history h LEFT JOIN approvals a ON a.job_id = h.job_id
        AND a.fence = h.fence AND a.status IN ('approved','rejected','sent_back','expired')
        WHERE h.from_status = 'awaiting_input' AND h.to_status = 'queued' AND a.approval_id IS NULL""",
    "a link was used for the answer of whom it was made for": """
        SELECT a.approval_id, a.status, l.email FROM approval_links l JOIN approvals a USING (approval_id)
        WHERE l.used_at IS NOT NULL AND a.answered_by IS DISTINCT FROM l.email""",
}

_OF_DRAFTS: dict[str, str] = {
    "drafts are numbered without holes": """
        SELECT job_id, count(*), max(number) FROM drafts GROUP BY job_id
        HAVING count(*) <> max(number) OR min(number) <> 1""",
    "a draft is made once the one before was judged, and not by an attempt before that one's": """
        SELECT d.job_id, d.number FROM drafts d JOIN drafts before
        ON before.job_id = d.job_id AND before.number = d.number - 1
        WHERE before.judged_at IS NULL OR before.judged_at > d.made_at OR before.fence > d.fence""",
    "a result with a verdict was judged": """
        SELECT j.job_id, j.verdict FROM jobs j
        WHERE j.status = 'completed' AND j.verdict IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM drafts d WHERE d.job_id = j.job_id AND d.judged_at IS NOT NULL)""",
}

_ENDS = "('job.completed','job.failed','job.cancelled')"
_OF_SESSIONS: dict[str, str] = {
    "what happens in a session is numbered without holes": """
        SELECT s.session_id, s.last_seq, count(e.seq) FROM sessions s LEFT JOIN session_events e USING (session_id)
        GROUP BY s.session_id HAVING count(e.seq) <> s.last_seq OR coalesce(max(e.seq), 0) <> s.last_seq""",
    "a session hears of the end of a job once, and as it ended": f"""
        SELECT e.session_id, e.data ->> 'job_id', count(*) FROM session_events e
        LEFT JOIN jobs j ON j.job_id::text = e.data ->> 'job_id' WHERE e.type IN {_ENDS}
        GROUP BY e.session_id, e.data ->> 'job_id'
        HAVING count(*) > 1 OR bool_or(e.type <> 'job.' || j.status)""",
    "an address is sent each event of a session once": """
        SELECT d.subject_id, d.target, d.payload -> 'data' ->> 'seq' FROM deliveries d
        WHERE d.callback AND d.subject_type = 'session'
        GROUP BY d.subject_id, d.target, d.payload -> 'data' ->> 'seq' HAVING count(*) > 1""",
}

ALWAYS: dict[str, str] = _OF_JOBS | _OF_RUNS | _OF_NEWS | _OF_QUESTIONS | _OF_DRAFTS | _OF_SESSIONS

AT_REST: dict[str, str] = {
    "nothing is stuck": f"SELECT job_id, status, status_reason FROM jobs WHERE status NOT IN {_FINAL}",
    "no slot is held": "SELECT agent_id, slot, job_id FROM agent_slots WHERE job_id IS NOT NULL",
    "no lease is left": "SELECT job_id FROM jobs WHERE lease_id IS NOT NULL OR worker_id IS NOT NULL",
    "everything accepted is there": """
        SELECT promised.job_id FROM unnest(%(promised)s::uuid[]) AS promised(job_id)
        LEFT JOIN jobs USING (job_id) WHERE jobs.job_id IS NULL""",
    "everything accepted ended once": f"""
        SELECT promised.job_id, count(h.id) FROM unnest(%(promised)s::uuid[]) AS promised(job_id)
        LEFT JOIN job_history h ON h.job_id = promised.job_id AND h.to_status IN {_FINAL}
        GROUP BY promised.job_id HAVING count(h.id) <> 1""",
    "nothing that ended waits to be followed up": """
        SELECT subject_type, subject_id, tries FROM followups WHERE at < clock_timestamp() - interval '5 s'""",
    "a session heard of the end of every job of its": f"""
        SELECT j.job_id, j.status FROM jobs j JOIN sessions s USING (session_id)
        WHERE j.status IN {_FINAL} AND NOT EXISTS {_TO_FOLLOW.format("job", "j.job_id")} AND NOT EXISTS (
            SELECT 1 FROM session_events e WHERE e.session_id = j.session_id
              AND e.type = 'job.' || j.status AND e.data ->> 'job_id' = j.job_id::text)""",
    "no run is stuck": "SELECT workflow_id, status, status_reason FROM workflows WHERE finished_at IS NULL",
    "a finished run was told of": f"""
        SELECT w.workflow_id, w.status FROM workflows w LEFT JOIN notifications n
        ON n.subject_type = 'workflow' AND n.subject_id = w.workflow_id::text
        WHERE w.finished_at IS NOT NULL AND w.parent_workflow_id IS NULL AND n.notification_id IS NULL
          AND NOT EXISTS {_TO_FOLLOW.format("workflow", "w.workflow_id")}""",
    "whoever asked to be called back is": f"""
        SELECT j.job_id FROM jobs j LEFT JOIN deliveries d ON d.callback AND d.subject_id = j.job_id::text
        WHERE j.status IN {_FINAL} AND j.workflow_id IS NULL AND j.notify ->> 'callback_url' IS NOT NULL
          AND d.delivery_id IS NULL AND NOT EXISTS {_TO_FOLLOW.format("job", "j.job_id")}""",
}


def broken(
    read: Read, *, at_rest: bool = False, promised: Collection[str] = (), max_lost: int = 3
) -> dict[str, list[Any]]:
    """The invariants that do not hold, each with the first rows that say so; empty when all is well."""
    queries = ALWAYS | AT_REST if at_rest else ALWAYS
    values = {"promised": list(promised), "max_lost": max_lost}
    found = {name: read(statement, values) for name, statement in queries.items()}
    return {name: rows[:5] for name, rows in found.items() if rows}
