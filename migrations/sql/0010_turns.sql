-- Work is claimed and settled many jobs at a time: one statement for all of them, with plans that are kept.

CREATE OR REPLACE FUNCTION jobs_claim(p_worker text, p_pools text[], p_limit integer, p_lease interval)
RETURNS SETOF jobs LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_pools text[];
    v_lanes text[];
    v_left integer := p_limit;
    v_rank integer;
    v_best record;
    v_suspect boolean;
    v_taken uuid[];
    v_light boolean := true;
BEGIN
    SELECT array_agg(p.pool) INTO v_pools FROM unnest(p_pools) AS p(pool)
    WHERE NOT EXISTS (SELECT 1 FROM queues q WHERE q.pool = p.pool AND q.paused
                      AND (q.paused_until IS NULL OR q.paused_until > now()));
    IF v_pools IS NULL THEN
        RETURN;
    END IF;

    IF EXISTS (SELECT 1 FROM jobs j WHERE j.status IN ('pending','queued','retry') AND j.lane IS NOT NULL) THEN
        WITH RECURSIVE hop AS (
            (SELECT lane FROM jobs WHERE status IN ('pending','queued','retry') AND lane IS NOT NULL
             ORDER BY lane LIMIT 1)
            UNION ALL
            SELECT (SELECT j.lane FROM jobs j WHERE j.status IN ('pending','queued','retry') AND j.lane IS NOT NULL
                    AND j.lane > hop.lane ORDER BY j.lane LIMIT 1)
            FROM hop WHERE hop.lane IS NOT NULL
        )
        SELECT array_agg(hop.lane) INTO v_lanes
        FROM hop JOIN agents a ON a.agent_id = hop.lane LEFT JOIN agent_rates r ON r.agent_id = a.agent_id
        WHERE a.enabled AND a.pool = ANY (v_pools)
          AND NOT EXISTS (SELECT 1 FROM agent_holds h WHERE h.agent_id = a.agent_id AND (h.until IS NULL OR h.until > now()))
          AND (a.max_concurrent_tasks IS NULL
               OR EXISTS (SELECT 1 FROM agent_slots s WHERE s.agent_id = a.agent_id AND s.job_id IS NULL
                         AND s.slot < a.max_concurrent_tasks))
          AND (r.agent_id IS NULL
               OR least(r.burst, r.tokens + r.per_second * extract(epoch FROM clock_timestamp() - r.refilled_at)) >= 1);
    END IF;

    -- A job that lost two workers may be their murderer. It never runs beside another such job in one process:
    -- murderer and victims come back from a rescue together, and would die together until all are called poison.
    -- (An index that is nearly always empty: this costs one page.)
    v_suspect := EXISTS (SELECT 1 FROM jobs j
                         WHERE j.status = 'running' AND j.lost_count >= 2 AND j.worker_id = p_worker);

    FOR v_rank IN 0..3 LOOP
        v_taken := '{}';
        FOR v_best IN
            SELECT x.job_id, x.lane, x.lost_count, a.gated, a.runner = 'python' AND a.effects = '{}' AS light FROM (
                SELECT f.job_id, f.agent_id, NULL::text AS lane, f.run_at, f.lost_count
                FROM unnest(v_pools) AS p(pool) CROSS JOIN LATERAL (
                    SELECT j.job_id, j.agent_id, j.run_at, j.lost_count FROM jobs j
                    WHERE j.status IN ('pending','queued','retry') AND j.lane IS NULL
                      AND j.pool = p.pool AND j.priority_rank = v_rank AND j.run_at <= now()
                      AND (j.lost_count < 2 OR NOT v_suspect)
                    ORDER BY j.run_at, j.job_id LIMIT v_left FOR UPDATE SKIP LOCKED) f
                UNION ALL
                SELECT f.job_id, f.agent_id, l.lane, f.run_at, f.lost_count
                FROM unnest(v_lanes) AS l(lane) CROSS JOIN LATERAL (
                    SELECT j.job_id, j.agent_id, j.run_at, j.lost_count FROM jobs j
                    WHERE j.status IN ('pending','queued','retry') AND j.lane = l.lane
                      AND j.priority_rank = v_rank AND j.run_at <= now()
                      AND (j.lost_count < 2 OR NOT v_suspect)
                    ORDER BY j.run_at, j.job_id LIMIT v_left FOR UPDATE SKIP LOCKED) f
            ) x JOIN agents a ON a.agent_id = x.agent_id ORDER BY x.run_at, x.job_id
        LOOP
            IF v_best.lost_count >= 2 THEN
                -- One thread of the process at a time asks; the next statement sees what the last one committed.
                PERFORM pg_advisory_xact_lock(202407, hashtext(p_worker));
                CONTINUE WHEN v_suspect OR EXISTS (
                    SELECT 1 FROM jobs j
                    WHERE j.status = 'running' AND j.lost_count >= 2 AND j.worker_id = p_worker);
            END IF;
            IF v_best.lane IS NOT NULL THEN
                CONTINUE WHEN NOT jobs_take_room(v_best.lane, v_best.job_id);
            ELSIF v_best.gated THEN
                -- The agent got a limit while this job was being submitted: into its lane with it.
                UPDATE jobs SET lane = agent_id WHERE job_id = v_best.job_id;
                CONTINUE;
            END IF;
            v_suspect := v_suspect OR v_best.lost_count >= 2;
            v_light := v_light AND v_best.light;
            v_taken := v_taken || v_best.job_id;
            v_left := v_left - 1;
            EXIT WHEN v_left = 0;
        END LOOP;
        CONTINUE WHEN v_taken = '{}';
        RETURN QUERY
        WITH taken AS (
            UPDATE jobs j
            SET status = 'running', status_reason = NULL, fence = j.fence + 1, worker_id = p_worker,
                lease_id = gen_random_uuid(), lease_expires_at = clock_timestamp() + p_lease,
                started_at = coalesce(j.started_at, clock_timestamp()),
                agent_version = CASE WHEN j.pinned THEN j.agent_version ELSE a.version END,
                process_id = NULL, watchdog = NULL, budgeted = a.budgeted
            FROM agents a WHERE j.job_id = ANY (v_taken) AND a.agent_id = j.agent_id
            RETURNING j.*
        ), begun AS (
            INSERT INTO job_attempts (job_id, fence, worker_id, agent_version, started_at)
            SELECT t.job_id, t.fence, p_worker, t.agent_version, clock_timestamp() FROM taken t
        )
        SELECT t.* FROM taken t ORDER BY t.run_at, t.job_id;
        EXIT WHEN v_left = 0;
    END LOOP;

    -- A claim that a crash of Postgres took back is made, and its job run, once more. It is on the disk before anything
    -- runs that costs money or reaches the world; what only reckons in Python does not wait for that.
    IF v_light THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
END
$$;

-- The same for a worker: of each job it took what an attempt needs, as one value that is cheap to send and to read.
CREATE FUNCTION jobs_take(p_worker text, p_pools text[], p_limit integer, p_lease interval)
RETURNS SETOF json LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT row_to_json(c) FROM (
        SELECT j.job_id, j.fence, j.lease_id, j.worker_id, j.agent_id, j.agent_version, j.pool, j.parameters, j.options,
               j.retry_count, j.max_retries, j.lost_count, j.priority_rank, coalesce(j.checkpoint, '{}') AS checkpoint,
               j.submitted_by, j.submitted_at, j.correlation_id, j.task_name, j.last_seq, j.traceparent,
               greatest(0, extract(epoch FROM clock_timestamp() - j.run_at))::float AS waited_seconds,
               j.schedule_id, j.workflow_id, j.step_id, j.session_id, j.parent_job_id, j.depth, j.budgeted,
               j.workflow_id IS NOT NULL OR j.notify IS NOT NULL OR j.session_id IS NOT NULL
               OR j.parent_job_id IS NOT NULL AS awaited
        FROM jobs_claim(p_worker, p_pools, p_limit, p_lease) j
    ) c;
END
$$;

-- Settle attempts that succeeded; answers the jobs that were (still) their owners'.
CREATE FUNCTION jobs_complete(p_jobs uuid[], p_fences bigint[], p_leases uuid[], p_results text[], p_usages text[],
                              p_verdicts text[], p_scores double precision[], p_headlines text[])
RETURNS SETOF uuid LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
    WITH mine AS (
        SELECT * FROM unnest(p_jobs, p_fences, p_leases, p_results, p_usages, p_verdicts, p_scores, p_headlines)
               AS m(job_id, fence, lease_id, result, usage, verdict, score, headline)
    ), settled AS (
        UPDATE jobs j SET status = 'completed', result = m.result::jsonb, progress = 100,
               status_reason = CASE WHEN m.verdict = 'rejected' THEN 'rejected' END,
               verdict = m.verdict, quality_score = m.score, headline = m.headline::jsonb,
               finished_at = clock_timestamp(), lease_id = NULL, lease_expires_at = NULL, worker_id = NULL,
               process_id = NULL, error = NULL, usage = coalesce(m.usage::jsonb, j.usage), last_seq = j.last_seq + 1
        FROM mine m
        WHERE j.job_id = m.job_id AND j.fence = m.fence AND j.lease_id = m.lease_id AND j.status || '' = 'running'
        RETURNING j.job_id, j.fence, j.last_seq, j.finished_at, j.usage
    ), said AS (
        INSERT INTO job_events (job_id, seq, fence, at, kind, level, source, message)
        SELECT s.job_id, s.last_seq, s.fence, s.finished_at, 'complete', 'info', 'worker', 'Completed' FROM settled s
    ), attempt AS (
        UPDATE job_attempts a SET ended_at = s.finished_at, outcome = 'completed', usage = s.usage
        FROM settled s WHERE a.job_id = s.job_id AND a.fence = s.fence
    )
    SELECT s.job_id FROM settled s;
END
$$;
