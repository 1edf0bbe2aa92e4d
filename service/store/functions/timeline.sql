-- What happened: entries of a case, facts of an order. Rows are locked in one order everywhere: order, case, payment (by id), line, harm, operation, attempt.

-- Writes entries behind p_seq, for whoever holds the case's row lock and counts them in its timeline_seq.
CREATE OR REPLACE FUNCTION timeline_write(p_platform uuid, p_case uuid, p_seq bigint, p_entries jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO timeline (platform_id, case_id, seq, happened_at, source, actor, kind, data)
    SELECT p_platform, p_case, p_seq + n, coalesce((e->>'at')::timestamptz, p_now), e->>'source',
           coalesce(e->>'actor', e->>'source'), e->>'kind', coalesce(e->'data', '{}')
    FROM jsonb_array_elements(p_entries) WITH ORDINALITY AS entry(e, n);
END $$;

-- Appends entries [{kind, source, actor, at?, data?}] to a case's timeline, in the order given. Takes the case's row lock.
CREATE OR REPLACE FUNCTION timeline_add(p_platform uuid, p_case uuid, p_entries jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_seq bigint;
BEGIN
    UPDATE cases SET timeline_seq = timeline_seq + jsonb_array_length(p_entries), version = version + 1
    WHERE platform_id = p_platform AND id = p_case
    RETURNING timeline_seq - jsonb_array_length(p_entries) INTO v_seq;
    PERFORM timeline_write(p_platform, p_case, v_seq, p_entries, p_now);
END $$;

-- What was known of an order before a case came, as entries of the case's timeline.
CREATE OR REPLACE FUNCTION order_entries(p_platform uuid, p_order uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'source', source, 'at', happened_at, 'data', data) ORDER BY seq), '[]')
    FROM order_fact WHERE platform_id = p_platform AND order_id = p_order
$$;

-- Records one fact of an order under its row lock, copies it to the timeline of every open case of the order (and to p_case, open or not),
-- and wakes the cases that waited for it.
CREATE OR REPLACE FUNCTION order_fact_add(p_platform uuid, p_order uuid, p_kind text, p_source text, p_happened_at timestamptz,
                               p_data jsonb, p_case uuid DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_seq bigint;
    v_ref text;
    v_owner text;
    v_case uuid;
BEGIN
    UPDATE orders SET seq = seq + 1 WHERE platform_id = p_platform AND id = p_order RETURNING seq, ref INTO v_seq, v_ref;
    INSERT INTO order_fact (platform_id, order_id, seq, happened_at, source, kind, data)
    VALUES (p_platform, p_order, v_seq, p_happened_at, p_source, p_kind, p_data);
    IF p_kind IN ('excess', 'books_disagree', 'pass_disagrees') THEN PERFORM order_to_people(p_platform, p_order, v_now); END IF;
    FOR v_case, v_owner IN
        SELECT id, owner FROM cases WHERE platform_id = p_platform AND order_id = p_order AND (state = 'open' OR id = p_case) ORDER BY id FOR UPDATE
    LOOP
        PERFORM timeline_add(p_platform, v_case, jsonb_build_array(jsonb_build_object(
            'kind', p_kind, 'source', p_source, 'at', p_happened_at, 'data', p_data)), v_now);
        CONTINUE WHEN v_owner IS DISTINCT FROM 'timer';
        UPDATE cases SET owner = 'process', due_at = v_now, tell = true
        WHERE platform_id = p_platform AND id = v_case AND state = 'open' AND owner = 'timer' AND (
            (wait_for = 'payment_settles' AND p_kind LIKE 'payment\_%') OR (wait_for = 'dispute_closed' AND p_kind = 'dispute_closed')
            OR (wait_for = 'order_arrives' AND p_kind LIKE 'order\_%') OR (wait_for = 'order_arrives' AND p_kind LIKE 'p%\_restored'));
    END LOOP;
    IF p_kind = 'order_received' THEN
        UPDATE cases SET owner = 'process', due_at = v_now, tell = true
        WHERE platform_id = p_platform AND claimed_order = v_ref AND order_id IS NULL AND state = 'open' AND owner = 'timer'
          AND wait_for = 'order_arrives';
    END IF;
    PERFORM fact_told(p_platform, p_order, p_case, p_kind, p_data, v_now);
END $$;

-- What disagrees with our books goes to people: as an entry on the order's queued case, else as a case of its own.
CREATE OR REPLACE FUNCTION order_to_people(p_platform uuid, p_order uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM cases WHERE platform_id = p_platform AND order_id = p_order AND state = 'open' AND owner IN ('queue', 'agent')) THEN
        RETURN;
    END IF;
    INSERT INTO cases (platform_id, id, state, problem, order_id, requester, identity, channel, locale, owner, due_at, skill, priority, queued_at,
                       outcome, created_at)
    VALUES (p_platform, gen_random_uuid(), 'open', 'other', p_order, 'platform', 'verified', 'api', 'en', 'queue', p_now + interval '15 minutes',
            'payments', 2, p_now, 'escalate', p_now);
END $$;
