-- What would happen, by doing it and taking it back: a preview is never another truth than the act.

-- Everything of an order that an action stands on, as one word: it changes whenever a row does, told or not. Compared under the order's lock.
CREATE OR REPLACE FUNCTION order_mark(p_platform uuid, p_order uuid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT o.seq || ':' || md5(concat_ws('|', o.version, o.status, o.total,
        (SELECT string_agg(concat_ws(',', id, status, captured, reserved, refunded, refunded_elsewhere, dispute, rail, provider_ref), ';' ORDER BY id)
         FROM payment WHERE platform_id = p_platform AND order_id = p_order),
        (SELECT string_agg(concat_ws(',', id, price, awarded, canceled), ';' ORDER BY id) FROM line WHERE platform_id = p_platform AND order_id = p_order),
        (SELECT string_agg(concat_ws(',', id, status, extract(epoch FROM checked_in_at)), ';' ORDER BY id)
         FROM pass WHERE platform_id = p_platform AND order_id = p_order),
        (SELECT string_agg(concat_ws(',', show.id, version, status, extract(epoch FROM starts_at), extract(epoch FROM ends_at), (
                SELECT string_agg(concat_ws(',', i.ref, extract(epoch FROM i.starts_at), coalesce(extract(epoch FROM i.ends_at), 0)), ':' ORDER BY i.ref)
                FROM incident i WHERE i.platform_id = p_platform AND i.show_id = show.id)), ';' ORDER BY show.id)
         FROM show WHERE platform_id = p_platform AND id IN (SELECT l.show_id FROM line_show l JOIN line ON line.platform_id = p_platform
            AND line.id = l.line_id WHERE l.platform_id = p_platform AND line.order_id = p_order)),
        (SELECT string_agg(concat_ws(',', id, awarded), ';' ORDER BY id) FROM harm WHERE platform_id = p_platform AND order_id = p_order)))
    FROM orders o WHERE o.platform_id = p_platform AND o.id = p_order
$$;

-- What one decision made, without the ids that are new each time: the same action on the same facts gives the same.
CREATE OR REPLACE FUNCTION act_outcome(p_platform uuid, p_case uuid, p_decision uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(one ORDER BY one->>'action', one->>'payment', one->>'position'), '[]') FROM (
        SELECT jsonb_strip_nulls(jsonb_build_object('action', o.action, 'amount', o.amount, 'currency', o.currency, 'rail', o.rail,
            'payment', payment.ref, 'method', payment.method, 'position', line.ref, 'held', o.state = 'HELD', 'holds', to_jsonb(o.holds),
            'needed', o.approvals_needed, 'braked', braked(p_platform, o.action, o.rail, c.show_id))) AS one
        FROM operation o JOIN cases c ON c.platform_id = p_platform AND c.id = p_case
        LEFT JOIN payment ON payment.platform_id = p_platform AND payment.id = o.payment_id
        LEFT JOIN pass ON pass.platform_id = p_platform AND pass.id = o.pass_id
        LEFT JOIN line ON line.platform_id = p_platform AND line.id = pass.line_id
        WHERE o.platform_id = p_platform AND o.case_id = p_case AND o.decision_id = p_decision) found
$$;

-- References of the positions whose tickets admit nobody any more once every refund of the order that is under way has been sent. It sends them
-- in our tables: for functions that take everything back.
CREATE OR REPLACE FUNCTION access_if_sent(p_platform uuid, p_order uuid, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_valid uuid[] := ARRAY(SELECT id FROM pass WHERE platform_id = p_platform AND order_id = p_order AND status = 'valid' AND NOT EXISTS (
        SELECT FROM operation x WHERE x.platform_id = p_platform AND x.pass_id = pass.id AND x.action = 'void_pass' AND x.ended_at IS NULL));
    o operation;
BEGIN
    UPDATE operation SET accepted_at = p_now WHERE platform_id = p_platform AND order_id = p_order AND action = 'refund' AND ended_at IS NULL;
    FOR o IN SELECT * FROM operation WHERE platform_id = p_platform AND order_id = p_order AND action = 'refund' AND accepted_at IS NOT NULL
             AND ended_at IS NULL ORDER BY id LOOP
        PERFORM refund_ends_access(p_platform, o, p_now);
    END LOOP;
    RETURN (SELECT coalesce(jsonb_agg(line.ref ORDER BY line.ref), '[]') FROM pass JOIN line ON line.platform_id = p_platform AND line.id = pass.line_id
        WHERE pass.platform_id = p_platform AND pass.id = ANY (v_valid) AND (pass.status <> 'valid' OR EXISTS (SELECT FROM operation x
            WHERE x.platform_id = p_platform AND x.pass_id = pass.id AND x.action = 'void_pass' AND x.ended_at IS NULL)));
END $$;

-- What case_act() would do with this document, with nothing done: {status, would, ends, why}. Who has not taken the case is told so, and what it
-- would do all the same.
CREATE OR REPLACE FUNCTION case_would(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_platform uuid := (doc->>'platform')::uuid;
    v_case uuid := (doc->>'case')::uuid;
    v_answer jsonb;
    v_yours boolean := true;
BEGIN
    BEGIN
        v_answer := case_act(doc);
        IF v_answer->>'status' = 'not_yours' THEN
            v_yours := false;
            v_answer := case_act(doc || '{"only_look": true}');
            IF v_answer->>'status' = 'not_yours' THEN v_answer := '{"status": "ended"}'; END IF;
        END IF;
        IF v_answer->>'status' = 'stored' THEN
            v_answer := jsonb_build_object('status', 'stored', 'would', act_outcome(v_platform, v_case, (doc->>'decision')::uuid),
                                           'ends', access_if_sent(v_platform, (doc->>'order')::uuid, app_now()));
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'MG006', MESSAGE = 'only looked';
    EXCEPTION
        WHEN SQLSTATE 'MG006' THEN NULL;
        WHEN SQLSTATE 'MG001' THEN v_answer := jsonb_build_object('status', 'disputed', 'why', SQLERRM);
    END;
    RETURN v_answer || jsonb_build_object('yours', v_yours);
END $$;

-- The same for one person's yes to a held operation: {status, given, needed, cap, ends, braked}.
CREATE OR REPLACE FUNCTION operation_would(p_platform uuid, p_operation uuid, p_agent uuid, p_actor text, p_needed int, p_caps jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_answer jsonb;
    o record;
BEGIN
    SELECT x.order_id, braked(p_platform, x.action, x.rail, c.show_id) AS braked INTO o FROM operation x
        JOIN cases c ON c.platform_id = p_platform AND c.id = x.case_id WHERE x.platform_id = p_platform AND x.id = p_operation;
    BEGIN
        v_answer := operation_approve(p_platform, p_operation, p_agent, p_actor, 'only looked', p_needed, p_caps);
        v_answer := v_answer || jsonb_build_object('braked', o.braked, 'ends', access_if_sent(p_platform, o.order_id, app_now()));
        RAISE EXCEPTION USING ERRCODE = 'MG006', MESSAGE = 'only looked';
    EXCEPTION WHEN SQLSTATE 'MG006' THEN NULL;
    END;
    RETURN v_answer;
END $$;
