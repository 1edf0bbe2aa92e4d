-- Pausing, resuming, and a rail that refuses our key.

-- Pauses: nothing new is sent while the row is there. The same again changes the reason. Who and why is kept for good.
CREATE OR REPLACE FUNCTION brake_put(p_platform uuid, p_scope text, p_ref text, p_reason text, p_actor text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO brake (platform_id, scope, ref, reason, actor, created_at) VALUES (p_platform, p_scope, p_ref, p_reason, p_actor, (SELECT app_now()))
    ON CONFLICT (platform_id, scope, ref) DO UPDATE SET reason = excluded.reason, actor = excluded.actor;
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    VALUES (p_platform, (SELECT app_now()), p_actor, 'paused', p_reason, jsonb_build_object('scope', p_scope, 'ref', p_ref));
$$;

-- Resumes: what this brake kept back, and no other keeps, goes at once. Of what has been sent nothing is touched; what another process is at is due by its lease.
-- Null: nothing was paused there; else how many operations go now.
CREATE OR REPLACE FUNCTION brake_release(p_platform uuid, p_scope text, p_ref text, p_reason text, p_actor text) RETURNS int
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
          AND (p_scope IN ('all', 'show') OR (p_scope = 'action' AND o.action = p_ref) OR (p_scope = 'rail' AND o.rail = p_ref))
          AND NOT EXISTS (
              SELECT FROM cases c WHERE c.platform_id = p_platform AND c.id = o.case_id
                AND ((p_scope = 'show' AND c.show_id::text IS DISTINCT FROM p_ref) OR braked(p_platform, o.action, o.rail, c.show_id)))
          AND o.accepted_at IS NULL
        FOR NO KEY UPDATE OF o SKIP LOCKED
    )
    UPDATE operation SET due_at = v_now FROM kept WHERE operation.platform_id = p_platform AND operation.id = kept.id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

-- Stops a rail that refuses our key, and calls people: one open case a rail, to which later reasons are added. Returns that case.
CREATE OR REPLACE FUNCTION rail_stop(p_platform uuid, p_rail text, p_reason text, p_case uuid) RETURNS uuid
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
    WHERE c.platform_id = p_platform AND c.state = 'open' AND c.opened_by IS NULL AND t.kind = 'rail_stopped' AND t.data->>'rail' = p_rail
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
