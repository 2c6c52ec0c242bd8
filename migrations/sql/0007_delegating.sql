-- Sessions and parents hear of the jobs that they handed out.

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
    IF NEW.status = 'awaiting_input' THEN
        NEW.asked_at := clock_timestamp();
    ELSIF OLD.status = 'awaiting_input' THEN
        NEW.asked_seconds := OLD.asked_seconds + greatest(0, extract(epoch FROM clock_timestamp() - OLD.asked_at));
        NEW.asked_at := NULL;
        -- Whoever answered has closed the question before; what is still open has nobody left to hear it.
        UPDATE approvals SET status = 'cancelled', answered_at = clock_timestamp()
        WHERE job_id = OLD.job_id AND status = 'open';
    END IF;
    IF OLD.status = 'running' AND OLD.lane IS NOT NULL THEN
        UPDATE agent_slots SET job_id = NULL WHERE job_id = OLD.job_id;
    END IF;
    IF NEW.finished_at IS NOT NULL THEN
        INSERT INTO task_history (job_id, agent_id, submitted_by, priority_rank, status, wait_seconds,
                                  duration_seconds, error_type, completed_at)
        VALUES (NEW.job_id, NEW.agent_id, NEW.submitted_by, NEW.priority_rank, NEW.status,
                extract(epoch FROM NEW.started_at - NEW.submitted_at),
                greatest(0, extract(epoch FROM NEW.finished_at - NEW.started_at) - NEW.asked_seconds),
                NEW.error ->> 'type', NEW.finished_at);
        IF NEW.workflow_id IS NOT NULL OR NEW.notify IS NOT NULL OR NEW.status = 'failed'
           OR NEW.session_id IS NOT NULL OR NEW.parent_job_id IS NOT NULL THEN
            INSERT INTO followups (subject_type, subject_id) VALUES ('job', NEW.job_id) ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    RETURN NEW;
END
$$;
