-- The claim learns of holds (a spent budget, a paused provider) and of jobs pinned to a version; the ledger only grows.

CREATE OR REPLACE FUNCTION jobs_claim(p_worker text, p_pools text[], p_limit integer, p_lease interval)
RETURNS SETOF jobs LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_pools text[];
    v_lanes text[];
    v_left integer := p_limit;
    v_rank integer;
    v_best record;
    v_job jobs;
    v_suspect boolean;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);

    SELECT array_agg(p.pool) INTO v_pools FROM unnest(p_pools) AS p(pool)
    WHERE NOT EXISTS (SELECT 1 FROM queues q WHERE q.pool = p.pool AND q.paused
                      AND (q.paused_until IS NULL OR q.paused_until > now()));
    IF v_pools IS NULL THEN
        RETURN;
    END IF;

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

    -- A job that lost two workers may be their murderer. It never runs beside another such job in one process:
    -- murderer and victims come back from a rescue together, and would die together until all are called poison.
    -- (An index that is nearly always empty: this costs one page.)
    v_suspect := EXISTS (SELECT 1 FROM jobs j
                         WHERE j.status = 'running' AND j.lost_count >= 2 AND j.worker_id = p_worker);

    FOR v_rank IN 0..3 LOOP
        FOR v_best IN
            SELECT x.job_id, x.agent_id, x.lane, x.lost_count FROM (
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
            ) x ORDER BY x.run_at, x.job_id
        LOOP
            IF v_best.lost_count >= 2 THEN
                -- One thread of the process at a time asks; the next statement sees what the last one committed.
                PERFORM pg_advisory_xact_lock(202407, hashtext(p_worker));
                CONTINUE WHEN EXISTS (SELECT 1 FROM jobs j
                                      WHERE j.status = 'running' AND j.lost_count >= 2 AND j.worker_id = p_worker);
            END IF;
            IF v_best.lane IS NULL THEN
                -- The agent got a limit while this job was being submitted: into its lane with it.
                UPDATE jobs j SET lane = j.agent_id FROM agents a
                WHERE j.job_id = v_best.job_id AND a.agent_id = j.agent_id AND a.gated;
                CONTINUE WHEN FOUND;
            ELSIF NOT jobs_take_room(v_best.lane, v_best.job_id) THEN
                CONTINUE;
            END IF;
            UPDATE jobs j
            SET status = 'running', status_reason = NULL, fence = j.fence + 1, worker_id = p_worker,
                lease_id = gen_random_uuid(), lease_expires_at = clock_timestamp() + p_lease, started_at = coalesce(j.started_at, clock_timestamp()),
                agent_version = CASE WHEN j.pinned THEN j.agent_version ELSE a.version END, process_id = NULL, watchdog = NULL
            FROM agents a WHERE j.job_id = v_best.job_id AND a.agent_id = j.agent_id
            RETURNING j.* INTO v_job;
            INSERT INTO job_attempts (job_id, fence, worker_id, agent_version, started_at)
            VALUES (v_job.job_id, v_job.fence, p_worker, v_job.agent_version, clock_timestamp());
            RETURN NEXT v_job;
            v_left := v_left - 1;
            EXIT WHEN v_left = 0;
        END LOOP;
        EXIT WHEN v_left = 0;
    END LOOP;
END
$$;

-- Take a slot and a token of a limited agent for one job; false leaves both as they were.
CREATE OR REPLACE FUNCTION jobs_take_room(p_agent text, p_job uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_limit integer;
    v_slot integer;
    v_tokens double precision;
BEGIN
    SELECT max_concurrent_tasks INTO v_limit FROM agents WHERE agent_id = p_agent AND enabled
      AND NOT EXISTS (SELECT 1 FROM agent_holds h WHERE h.agent_id = p_agent AND (h.until IS NULL OR h.until > now()));
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF v_limit IS NOT NULL THEN
        SELECT slot INTO v_slot FROM agent_slots WHERE agent_id = p_agent AND job_id IS NULL AND slot < v_limit
        ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    SELECT least(burst, tokens + per_second * extract(epoch FROM clock_timestamp() - refilled_at)) INTO v_tokens
    FROM agent_rates WHERE agent_id = p_agent FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        IF v_tokens < 1 THEN
            RETURN false;
        END IF;
        UPDATE agent_rates SET tokens = v_tokens - 1, refilled_at = clock_timestamp() WHERE agent_id = p_agent;
    ELSIF EXISTS (SELECT 1 FROM agent_rates WHERE agent_id = p_agent) THEN
        RETURN false; -- another claimer is at the bucket
    END IF;
    IF v_limit IS NOT NULL THEN
        UPDATE agent_slots SET job_id = p_job WHERE agent_id = p_agent AND slot = v_slot;
    END IF;
    RETURN true;
END
$$;

CREATE FUNCTION usage_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('callboard.retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the ledger of usage is append-only' USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER usage_append_only BEFORE UPDATE OR DELETE ON usage_events
    FOR EACH ROW EXECUTE FUNCTION usage_append_only();
