-- Telling customers by mail, and stopping what must not go out.
-- Jobs are rows of PgQueuer, whose tables are made after these files: hence plpgsql, which looks for a table when it runs.

-- ------------------------------------------------------------------------------------------- jobs

-- Enqueues one job in the caller's transaction, as PgQueuer's own enqueue does: its row, and the first line of its log.
CREATE FUNCTION job_add(p_entrypoint text, p_payload jsonb, p_priority int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH added AS (
        INSERT INTO pgqueuer (entrypoint, payload, priority, status)
        VALUES (p_entrypoint, convert_to(p_payload::text, 'UTF8'), p_priority, 'queued') RETURNING id, entrypoint, priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority) SELECT id, 'queued', entrypoint, priority FROM added;
END $$;

-- Cases whose customer has news to be told by mail: what the sweep reads each second.
CREATE INDEX cases_to_tell ON cases (platform_id, id) WHERE tell AND (state <> 'open' OR owner IN ('timer', 'queue'));

-- Takes up to p_most of them and enqueues a letter for each; returns how many. Two processes at once take different ones.
CREATE FUNCTION cases_tell(p_most int) RETURNS int
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

-- An agent's reply: the message, its place on the timeline, and its letter, together or not at all.
CREATE FUNCTION reply_add(p_platform uuid, p_case uuid, p_message uuid, p_actor text, p_body text, p_lease_seconds float) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM message_add(p_platform, p_case, p_message, 'reply', p_actor, p_body, p_lease_seconds);
    -- A person waits at both ends: before letters that nobody watches for.
    PERFORM job_add('send_reply', jsonb_build_object('platform', p_platform, 'message', p_message), 5);
END $$;

-- What became of a letter, once on the case's timeline however often its job runs.
CREATE FUNCTION mail_noted(p_platform uuid, p_case uuid, p_kind text, p_data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = p_case FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM timeline WHERE platform_id = p_platform AND case_id = p_case AND kind = p_kind AND data = p_data) THEN RETURN; END IF;
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', p_kind, 'source', 'mail', 'data', p_data)), app_now());
END $$;

-- ------------------------------------------------------------------------------------------- brakes

CREATE INDEX cases_of_operations ON cases (platform_id, id) WHERE state = 'open' AND skill = 'operations';

-- Pauses: nothing new is sent while the row is there. The same again changes the reason. Who and why is kept for good.
CREATE FUNCTION brake_put(p_platform uuid, p_scope text, p_ref text, p_reason text, p_actor text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO brake (platform_id, scope, ref, reason, actor, created_at) VALUES (p_platform, p_scope, p_ref, p_reason, p_actor, (SELECT app_now()))
    ON CONFLICT (platform_id, scope, ref) DO UPDATE SET reason = excluded.reason, actor = excluded.actor;
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    VALUES (p_platform, (SELECT app_now()), p_actor, 'paused', p_reason, jsonb_build_object('scope', p_scope, 'ref', p_ref));
$$;

-- Resumes: what was kept back goes at once. Of what has been sent nothing is touched; what another process is at is due by its lease.
-- Null: nothing was paused there; else how many operations go now.
CREATE FUNCTION brake_release(p_platform uuid, p_scope text, p_ref text, p_reason text, p_actor text) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_count int;
BEGIN
    DELETE FROM brake WHERE platform_id = p_platform AND scope = p_scope AND ref = p_ref;
    IF NOT FOUND THEN RETURN NULL; END IF;
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    VALUES (p_platform, v_now, p_actor, 'resumed', p_reason, jsonb_build_object('scope', p_scope, 'ref', p_ref));
    WITH kept AS MATERIALIZED (
        SELECT o.id FROM operation o
        WHERE o.platform_id = p_platform AND o.state IN ('READY', 'SENT') AND o.due_at > v_now AND o.lease_until IS NULL
          AND o.accepted_at IS NULL AND NOT EXISTS (
              SELECT FROM attempt a JOIN try t ON t.platform_id = p_platform AND t.attempt_id = a.id
              WHERE a.platform_id = p_platform AND a.operation_id = o.id AND t.result IS DISTINCT FROM 'NOT_SENT')
        FOR NO KEY UPDATE OF o SKIP LOCKED
    )
    UPDATE operation SET due_at = v_now FROM kept WHERE operation.platform_id = p_platform AND operation.id = kept.id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

-- Stops a rail that refuses our key, and calls people: one open case a rail, to which later reasons are added. Returns that case.
CREATE FUNCTION rail_stop(p_platform uuid, p_rail text, p_reason text, p_case uuid) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_case uuid;
BEGIN
    INSERT INTO brake (platform_id, scope, ref, reason, actor, created_at) VALUES (p_platform, 'rail', p_rail, p_reason, 'makegood', v_now)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO audit (platform_id, at, actor, what, why, data)
        VALUES (p_platform, v_now, 'makegood', 'paused', p_reason, jsonb_build_object('scope', 'rail', 'ref', p_rail));
    END IF;
    -- One at a time: whoever comes second sees the case that the first has made.
    PERFORM 1 FROM brake WHERE platform_id = p_platform AND scope = 'rail' AND ref = p_rail FOR UPDATE;
    SELECT c.id INTO v_case FROM cases c JOIN timeline t ON t.platform_id = p_platform AND t.case_id = c.id
    WHERE c.platform_id = p_platform AND c.state = 'open' AND c.skill = 'operations' AND t.kind = 'rail_stopped' AND t.data->>'rail' = p_rail
    ORDER BY c.id LIMIT 1;
    IF v_case IS NOT NULL THEN
        PERFORM mail_noted(p_platform, v_case, 'rail_stopped', jsonb_build_object('rail', p_rail, 'reason', p_reason));
        RETURN v_case;
    END IF;
    INSERT INTO cases (platform_id, id, state, problem, requester, identity, channel, locale, owner, due_at, created_at)
    VALUES (p_platform, p_case, 'open', 'other', 'nobody', 'anonymous', 'api', 'en', 'process', v_now, v_now);
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', 'rail_stopped', 'source', 'operation', 'actor', 'makegood',
        'data', jsonb_build_object('rail', p_rail, 'reason', p_reason))), v_now);
    PERFORM case_next(p_platform, p_case, '{"owner": "queue", "skill": "operations", "priority": 1, "due_seconds": 120, "outcome": "escalate"}', v_now);
    RETURN p_case;
END $$;
