-- What a finished job wakes is written down in the transaction that finishes it; a claim notes who is under a budget.

CREATE OR REPLACE FUNCTION jobs_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status NOT IN ('pending', 'queued') THEN
            RAISE EXCEPTION 'a job is born pending or queued, not %', NEW.status USING ERRCODE = 'check_violation';
        END IF;
        INSERT INTO job_history (job_id, from_status, to_status, reason, fence)
        VALUES (NEW.job_id, NULL, NEW.status, NEW.status_reason, NEW.fence);
        RETURN NEW;
    END IF;
    IF NEW.fence < OLD.fence THEN
        RAISE EXCEPTION 'the fence of job % may not go back', OLD.job_id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    IF NOT jobs_move_allowed(OLD.status, NEW.status) THEN
        RAISE EXCEPTION 'job % may not go from % to %', OLD.job_id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = 'running' AND NEW.fence <= OLD.fence THEN
        RAISE EXCEPTION 'a claim of job % must raise its fence', OLD.job_id USING ERRCODE = 'check_violation';
    END IF;
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
    INSERT INTO job_history (job_id, from_status, to_status, reason, fence, worker_id)
    VALUES (OLD.job_id, OLD.status, NEW.status, NEW.status_reason, NEW.fence, coalesce(NEW.worker_id, OLD.worker_id));
    IF OLD.status = 'running' AND OLD.lane IS NOT NULL THEN
        UPDATE agent_slots SET job_id = NULL WHERE job_id = OLD.job_id;
    END IF;
    IF NEW.finished_at IS NOT NULL THEN
        INSERT INTO task_history (job_id, agent_id, submitted_by, priority_rank, status, wait_seconds,
                                  duration_seconds, error_type, completed_at)
        VALUES (NEW.job_id, NEW.agent_id, NEW.submitted_by, NEW.priority_rank, NEW.status,
                extract(epoch FROM NEW.started_at - NEW.submitted_at),
                extract(epoch FROM NEW.finished_at - NEW.started_at),
                NEW.error ->> 'type', NEW.finished_at);
        IF NEW.workflow_id IS NOT NULL OR NEW.notify IS NOT NULL OR NEW.status = 'failed' THEN
            INSERT INTO followups (subject_type, subject_id) VALUES ('job', NEW.job_id) ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    RETURN NEW;
END
$$;

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
                agent_version = CASE WHEN j.pinned THEN j.agent_version ELSE a.version END, process_id = NULL, watchdog = NULL,
                budgeted = a.budgeted
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

-- A finished run does not change; every other change of it shows in its version, and its end wakes what waits for it.
CREATE FUNCTION workflows_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'workflow % is %; finished runs do not change', OLD.workflow_id, OLD.status
            USING ERRCODE = 'check_violation';
    END IF;
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
    IF NEW.finished_at IS NOT NULL THEN
        INSERT INTO followups (subject_type, subject_id) VALUES ('workflow', NEW.workflow_id) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER workflows_guard BEFORE UPDATE ON workflows FOR EACH ROW EXECUTE FUNCTION workflows_guard();
