-- What is finished does not change, but that what is sealed in it is sealed with another key (app/secrets/rotation.py):
-- whoever says so for the transaction may write the columns that hold such values, and nothing else.

CREATE OR REPLACE FUNCTION jobs_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('callboard.resealing', true) = 'on'
       AND to_jsonb(NEW) - ARRAY['parameters', 'result'] = to_jsonb(OLD) - ARRAY['parameters', 'result'] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'job % is %; finished jobs do not change', OLD.job_id, OLD.status
        USING ERRCODE = 'check_violation';
END
$$;

CREATE OR REPLACE FUNCTION workflows_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('callboard.resealing', true) = 'on'
       AND to_jsonb(NEW) - ARRAY['inputs', 'output'] = to_jsonb(OLD) - ARRAY['inputs', 'output'] THEN
        RETURN NEW;
    END IF;
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
