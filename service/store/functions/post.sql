-- Telling customers by mail. PgQueuer's tables are made after these files: hence plpgsql, which looks for a table when it runs.

-- Enqueues one job in the caller's transaction, as PgQueuer's own enqueue does: its row, and the first line of its log.
CREATE OR REPLACE FUNCTION job_add(p_entrypoint text, p_payload jsonb, p_priority int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH added AS (
        INSERT INTO pgqueuer (entrypoint, payload, priority, status)
        VALUES (p_entrypoint, convert_to(p_payload::text, 'UTF8'), p_priority, 'queued') RETURNING id, entrypoint, priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority) SELECT id, 'queued', entrypoint, priority FROM added;
END $$;

-- Takes up to p_most of them and enqueues a letter for each; returns how many. Two processes at once take different ones.
CREATE OR REPLACE FUNCTION cases_tell(p_most int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    c record;
    n int := 0;
BEGIN
    -- every platform: the sweep is the installation's own
    FOR c IN
        UPDATE cases SET tell = false FROM (
            SELECT platform_id, id FROM cases WHERE tell AND (state <> 'open' OR owner IN ('timer', 'queue'))
            LIMIT p_most FOR NO KEY UPDATE SKIP LOCKED) AS due
        WHERE cases.platform_id = due.platform_id AND cases.id = due.id
        RETURNING cases.platform_id, cases.id, cases.version
    LOOP
        PERFORM job_add('tell_customer', jsonb_build_object('platform', c.platform_id, 'case', c.id, 'version', c.version), 0);
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;

-- What became of a letter, once on the case's timeline however often its job runs.
CREATE OR REPLACE FUNCTION mail_noted(p_platform uuid, p_case uuid, p_kind text, p_data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = p_case FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM timeline WHERE platform_id = p_platform AND case_id = p_case AND kind = p_kind AND data = p_data) THEN RETURN; END IF;
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', p_kind, 'source', 'mail', 'data', p_data)), app_now());
END $$;
