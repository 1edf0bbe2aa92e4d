-- Alerts: what the people who run the installation have to know, as cases with the skill `operations`.

-- One open case for each kind and data->>'ref' of a platform, to which later news of the same is added. Returns that case.
CREATE OR REPLACE FUNCTION alert_raise(p_platform uuid, p_kind text, p_data jsonb) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_case uuid;
BEGIN
    -- One at a time: whoever comes second sees the case that the first has made.
    PERFORM pg_advisory_xact_lock(hashtextextended('alert ' || p_platform || ' ' || p_kind || ' ' || coalesce(p_data->>'ref', ''), 0));
    SELECT c.id INTO v_case FROM cases c JOIN timeline t ON t.platform_id = p_platform AND t.case_id = c.id
    WHERE c.platform_id = p_platform AND c.state = 'open' AND c.opened_by IS NULL AND t.kind = p_kind
      AND t.data->>'ref' IS NOT DISTINCT FROM p_data->>'ref'
    ORDER BY c.id LIMIT 1;
    IF v_case IS NOT NULL THEN
        PERFORM mail_noted(p_platform, v_case, p_kind, p_data);
        RETURN v_case;
    END IF;
    INSERT INTO cases (platform_id, id, state, problem, requester, identity, channel, locale, owner, due_at, created_at)
    VALUES (p_platform, gen_random_uuid(), 'open', 'other', 'nobody', 'anonymous', 'api', 'en', 'process', v_now, v_now) RETURNING id INTO v_case;
    PERFORM timeline_add(p_platform, v_case, jsonb_build_array(jsonb_build_object('kind', p_kind, 'source', 'operation', 'actor', 'makegood',
        'data', p_data)), v_now);
    PERFORM case_next(p_platform, v_case, '{"owner": "queue", "skill": "operations", "priority": 1, "due_seconds": 120, "outcome": "escalate"}', v_now);
    RETURN v_case;
END $$;

-- The same on every platform that has payments on this rail.
CREATE OR REPLACE FUNCTION alert_raise_of_rail(p_rail text, p_kind text, p_data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- every platform: a rail is the installation's
    PERFORM alert_raise(platform.id, p_kind, p_data) FROM platform
    WHERE EXISTS (SELECT FROM payment WHERE payment.platform_id = platform.id AND payment.rail = p_rail) ORDER BY platform.id;
END $$;
