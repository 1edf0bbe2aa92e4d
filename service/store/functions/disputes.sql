-- What a bank's dispute, or its warning of fraud, means for money and access. The platform's feed and the processors' notifications both end here.

-- What banks have taken for good counts as refunded by others, once a payment; null: all that is left; 0: they gave it back. Returns
-- refunded_elsewhere.
CREATE OR REPLACE FUNCTION payment_dispute_count(p_platform uuid, p_payment uuid, p_lost bigint, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    IF p_lost = 0 THEN
        UPDATE refund_elsewhere SET state = 'failed' WHERE platform_id = p_platform AND payment_id = p_payment AND ref = 'dispute';
    ELSE
        INSERT INTO refund_elsewhere (platform_id, payment_id, ref, amount, state, happened_at)
        SELECT p_platform, p_payment, 'dispute', lost, 'done', p_at
        FROM (SELECT coalesce(p_lost, captured - refunded - refunded_elsewhere) AS lost FROM payment
              WHERE platform_id = p_platform AND id = p_payment) dispute WHERE lost > 0
        ON CONFLICT (platform_id, payment_id, ref) DO UPDATE SET amount = excluded.amount, state = 'done';
    END IF;
    RETURN payment_recount(p_platform, p_payment);
END $$;

-- Carries out what the state of a payment's dispute means for its refunds: open holds what has surely not left, won lets it go on where it was
-- interrupted, lost ends it, since the bank has paid. The caller holds the rows of order, open cases and payment.
CREATE OR REPLACE FUNCTION payment_dispute_settle(p_platform uuid, p_payment uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_dispute text;
    v_order uuid;
    o operation;
BEGIN
    SELECT dispute, order_id INTO v_dispute, v_order FROM payment WHERE platform_id = p_platform AND id = p_payment;
    FOR o IN SELECT * FROM operation WHERE platform_id = p_platform AND payment_id = p_payment AND action = 'refund'
             AND state IN ('READY', 'SENT', 'HELD', 'CHOICE_NEEDED') ORDER BY id FOR NO KEY UPDATE
    LOOP
        IF v_dispute = 'open' THEN
            PERFORM refund_hold(o, p_now);
        ELSIF v_dispute = 'lost' THEN
            -- Told as lost without ever having been open: whatever finds no room any more, and has surely not left, ends as well.
            IF 'dispute' = ANY (o.holds) OR (payment_has_excess(p_platform, p_payment) AND NOT refund_may_have_left(o)) THEN
                PERFORM refund_lost(o, p_now);
            END IF;
        ELSIF o.state = 'HELD' AND 'dispute' = ANY (o.holds) THEN
            PERFORM refund_release(o, p_now);
        END IF;
    END LOOP;
    IF v_dispute = 'lost' AND order_money_is_gone(p_platform, v_order) THEN PERFORM order_ends_access(p_platform, v_order, p_now); END IF;
END $$;

-- Whether a request of this refund may have reached a processor that has not said no for good.
CREATE OR REPLACE FUNCTION refund_may_have_left(o operation) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM attempt a WHERE a.platform_id = o.platform_id AND a.operation_id = o.id
        AND a.state NOT IN ('REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT')
        AND (a.state <> 'PREPARED' OR EXISTS (SELECT FROM try WHERE try.platform_id = a.platform_id AND try.attempt_id = a.id
                                              AND coalesce(try.result, 'UNKNOWN') = 'UNKNOWN')))
$$;

-- Holds one refund while a dispute is open. One that may have left is followed up instead; it never takes another rail meanwhile.
CREATE OR REPLACE FUNCTION refund_hold(o operation, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF 'dispute' = ANY (o.holds) AND o.state = 'HELD' THEN RETURN; END IF;
    IF refund_may_have_left(o) THEN RETURN; END IF;
    -- Whoever has just claimed it finds its lease gone.
    UPDATE operation SET state = 'HELD', holds = holds || '{dispute}', paused_state = CASE WHEN state = 'HELD' THEN paused_state ELSE state END,
        lease_epoch = lease_epoch + 1, lease_until = NULL, due_at = p_now + interval '1 hour'
    WHERE platform_id = o.platform_id AND id = o.id;
    PERFORM order_fact_add(o.platform_id, o.order_id, 'refund_held', 'bank', p_now, jsonb_build_object(
        'operation', o.id, 'amount', o.amount, 'currency', o.currency, 'payment', o.payment_id, 'reason', 'dispute'), o.case_id);
    PERFORM operation_to_people(o.platform_id, o.id, p_now);
END $$;

-- The bank has given up: the refund goes on where it was interrupted, unless something else holds it, and its case goes on with it.
CREATE OR REPLACE FUNCTION refund_release(o operation, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_state text := operation_unhold(o, 'dispute', p_now);
BEGIN
    PERFORM order_fact_add(o.platform_id, o.order_id, 'refund_released', 'bank', p_now, jsonb_build_object(
        'operation', o.id, 'amount', o.amount, 'currency', o.currency, 'payment', o.payment_id), o.case_id);
    PERFORM case_goes_on_with(o, v_state, p_now);
END $$;

-- The bank has taken the money, so nothing is owed any more for what this refund was to pay: it gives its part back, and its case decides again.
CREATE OR REPLACE FUNCTION refund_lost(o operation, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE operation SET state = 'REFUSED', due_at = NULL, ended_at = p_now, lease_until = NULL, lease_epoch = lease_epoch + 1
    WHERE platform_id = o.platform_id AND id = o.id;
    UPDATE attempt SET state = 'CLOSED_NOT_SENT' WHERE platform_id = o.platform_id AND operation_id = o.id AND state = 'PREPARED';
    PERFORM refund_gives_back(o.platform_id, o, p_now);
    PERFORM order_fact_add(o.platform_id, o.order_id, 'refund_refused', 'bank', p_now, jsonb_build_object(
        'operation', o.id, 'amount', o.amount, 'currency', o.currency, 'payment', o.payment_id, 'failure', 'disputed'), o.case_id);
    PERFORM case_after_operations(o.platform_id, o.case_id, p_now);
END $$;

-- Whether all that an order's customer paid is back with them, or on its way.
CREATE OR REPLACE FUNCTION order_money_is_gone(p_platform uuid, p_order uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT coalesce(bool_and(p.refunded + p.refunded_elsewhere + coalesce((
        SELECT sum(o.amount) FROM operation o WHERE o.platform_id = p_platform AND o.payment_id = p.id AND o.action = 'refund'
            AND o.accepted_at IS NOT NULL AND o.ended_at IS NULL), 0) >= p.captured), false)
    FROM payment p WHERE p.platform_id = p_platform AND p.order_id = p_order AND p.status = 'confirmed' AND p.captured > 0
$$;

-- Nobody gets in with an order that nobody has paid any more. The platform's own issuer is told by an operation, which belongs to a case: the
-- newest of the order, else one that is made for it and is closed already.
CREATE OR REPLACE FUNCTION order_ends_access(p_platform uuid, p_order uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_case uuid;
    r record;
BEGIN
    FOR r IN SELECT id, issuer FROM pass WHERE platform_id = p_platform AND order_id = p_order AND status = 'valid' ORDER BY id LOOP
        UPDATE access_token SET state = 'revoked', revoked_at = p_now WHERE platform_id = p_platform AND pass_id = r.id AND state <> 'revoked';
        IF r.issuer = 'makegood' THEN
            UPDATE pass SET status = 'void' WHERE platform_id = p_platform AND id = r.id;
            PERFORM tell(p_platform, p_order, NULL, 'pass.voided', pass_told(p_platform, r.id), p_now);
            CONTINUE;
        END IF;
        IF v_case IS NULL THEN
            SELECT id INTO v_case FROM cases WHERE platform_id = p_platform AND order_id = p_order ORDER BY state = 'open' DESC, created_at DESC, id
            LIMIT 1;
        END IF;
        IF v_case IS NULL THEN
            INSERT INTO cases (platform_id, id, state, problem, order_id, requester, identity, channel, locale, ended_at, created_at)
            SELECT p_platform, gen_random_uuid(), 'closed', 'other', id, 'platform', 'verified', 'api', locale, p_now, p_now
            FROM orders WHERE platform_id = p_platform AND id = p_order RETURNING id INTO v_case;
        END IF;
        INSERT INTO operation (platform_id, id, case_id, order_id, action, state, rail, pass_id, priority, due_at, created_at)
        VALUES (p_platform, gen_random_uuid(), v_case, p_order, 'void_pass', 'READY', 'issuer', r.id, 1, p_now, p_now)
        ON CONFLICT DO NOTHING;
    END LOOP;
END $$;

-- What a processor tells of a dispute: {rail, payment_ref, ref, state, amount, currency, at}. {status: applied|known|unknown_payment}.
CREATE OR REPLACE FUNCTION dispute_news(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_status text := 'unknown_payment';
    v_new boolean;
    p record;
BEGIN
    -- every platform: a rail is the installation's
    FOR p IN SELECT payment.platform_id, payment.order_id, payment.id FROM payment
             WHERE payment.rail = doc->>'rail' AND payment.provider_ref = doc->>'payment_ref' ORDER BY payment.platform_id, payment.order_id, payment.id
    LOOP
        v_new := dispute_take(p.platform_id, p.order_id, p.id, doc);
        v_status := CASE WHEN v_new OR v_status = 'applied' THEN 'applied' ELSE 'known' END;
    END LOOP;
    RETURN jsonb_build_object('status', v_status);
END $$;

-- The same for one payment; false: it was known. Told twice and in any order: an end beats an opening that comes late, and of two ends the newer
-- one counts.
CREATE OR REPLACE FUNCTION dispute_take(p_platform uuid, p_order uuid, p_payment uuid, doc jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_at timestamptz := (doc->>'at')::timestamptz;
    v_amount bigint;
    v_newer boolean;
    was payment;
    became payment;
    d dispute;
    v_fact jsonb;
BEGIN
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = p_order FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND order_id = p_order AND (state = 'open' OR id IN (
        SELECT case_id FROM operation WHERE platform_id = p_platform AND payment_id = p_payment)) ORDER BY id FOR NO KEY UPDATE;
    SELECT * INTO was FROM payment WHERE platform_id = p_platform AND id = p_payment FOR NO KEY UPDATE;
    SELECT * INTO d FROM dispute WHERE platform_id = p_platform AND payment_id = p_payment AND ref = doc->>'ref';
    -- In another currency, or without an amount, it is all of the payment.
    v_amount := CASE WHEN doc->>'currency' = was.currency AND (doc->>'amount')::bigint > 0 THEN (doc->>'amount')::bigint ELSE was.captured END;
    v_newer := CASE
        WHEN d.ref IS NULL OR (d.state = 'open' AND doc->>'state' <> 'open') THEN true
        WHEN d.state = doc->>'state' THEN d.amount <> v_amount AND v_at > d.told_at
        ELSE doc->>'state' <> 'open' AND v_at > d.told_at END;
    IF NOT v_newer THEN RETURN false; END IF;
    INSERT INTO dispute (platform_id, payment_id, ref, state, amount, told_at) VALUES (p_platform, p_payment, doc->>'ref', doc->>'state', v_amount, v_at)
    ON CONFLICT (platform_id, payment_id, ref) DO UPDATE SET state = excluded.state, amount = excluded.amount,
        told_at = greatest(excluded.told_at, dispute.told_at);
    UPDATE payment SET dispute = said.state, disputed = coalesce(said.disputed, payment.disputed)
    FROM (SELECT CASE WHEN bool_or(state = 'open') THEN 'open' WHEN bool_or(state = 'lost') THEN 'lost' ELSE 'won' END AS state,
                 sum(amount) FILTER (WHERE state <> 'won') AS disputed
          FROM dispute WHERE platform_id = p_platform AND payment_id = p_payment) said
    WHERE platform_id = p_platform AND id = p_payment;
    PERFORM payment_dispute_count(p_platform, p_payment, (SELECT coalesce(sum(amount) FILTER (WHERE state = 'lost'), 0)::bigint FROM dispute
        WHERE platform_id = p_platform AND payment_id = p_payment), v_at);
    PERFORM payment_dispute_settle(p_platform, p_payment, v_now);
    IF d.state = 'lost' AND doc->>'state' = 'won' THEN PERFORM order_to_people(p_platform, p_order, v_now); END IF;  -- its passes are void by now
    SELECT * INTO became FROM payment WHERE platform_id = p_platform AND id = p_payment;
    FOR v_fact IN SELECT * FROM jsonb_array_elements(payment_facts(was, became, became.captured, v_at)) LOOP
        PERFORM order_fact_add(p_platform, p_order, v_fact->>'kind', 'bank', (v_fact->>'at')::timestamptz, v_fact->'data'
            || jsonb_build_object('dispute', doc->>'ref'));
    END LOOP;
    RETURN true;
END $$;

-- A bank believes that a payment is fraud: {rail, payment_ref, ref, at}. Once for each warning, people get a case with a refund of all that is
-- left of the payment, which goes when one of them says yes. {status: applied|known|unknown_payment}.
CREATE OR REPLACE FUNCTION warning_news(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_status text := 'unknown_payment';
    v_new boolean;
    p record;
BEGIN
    -- every platform: a rail is the installation's
    FOR p IN SELECT payment.platform_id, payment.order_id, payment.id FROM payment
             WHERE payment.rail = doc->>'rail' AND payment.provider_ref = doc->>'payment_ref' ORDER BY payment.platform_id, payment.order_id, payment.id
    LOOP
        v_new := warning_take(p.platform_id, p.order_id, p.id, doc);
        v_status := CASE WHEN v_new OR v_status = 'applied' THEN 'applied' ELSE 'known' END;
    END LOOP;
    RETURN jsonb_build_object('status', v_status);
END $$;

CREATE OR REPLACE FUNCTION warning_take(p_platform uuid, p_order uuid, p_payment uuid, doc jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_case uuid;
    p payment;
    v_left bigint;
BEGIN
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = p_order FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM order_fact WHERE platform_id = p_platform AND order_id = p_order AND kind = 'fraud_warning'
               AND data->>'warning' = doc->>'ref' AND data->>'payment_id' = p_payment::text) THEN
        RETURN false;
    END IF;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND order_id = p_order AND state = 'open' ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM payment WHERE platform_id = p_platform AND order_id = p_order ORDER BY id FOR NO KEY UPDATE;
    UPDATE payment SET warning = doc->>'ref' WHERE platform_id = p_platform AND id = p_payment RETURNING * INTO p;
    v_left := CASE WHEN p.status = 'confirmed' THEN p.captured - p.refunded - p.reserved - p.refunded_elsewhere ELSE 0 END;
    -- Where the money is on its way back already, or the bank has asked for it, there is nothing to propose.
    IF v_left > 0 AND NOT EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND order_id = p_order AND dispute = 'open') THEN
        v_case := warning_propose(p, v_left, v_now);
    END IF;
    PERFORM order_fact_add(p_platform, p_order, 'fraud_warning', 'bank', (doc->>'at')::timestamptz, jsonb_build_object(
        'payment_id', p_payment, 'ref', p.ref, 'warning', doc->>'ref'), v_case);
    RETURN true;
END $$;

-- The case for people, with the refund that they may say yes to: under the same locks and sums as any other. Returns the case.
CREATE OR REPLACE FUNCTION warning_propose(p payment, p_left bigint, p_now timestamptz) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_case uuid := gen_random_uuid();
    v_decision uuid := gen_random_uuid();
    v_operation uuid := gen_random_uuid();
    v_awarded bigint;
BEGIN
    SELECT awarded INTO v_awarded FROM harm WHERE platform_id = p.platform_id AND order_id = p.order_id AND line_id IS NULL AND payment_id = p.id
        AND cause = 'fraud_warning';
    INSERT INTO cases (platform_id, id, state, problem, order_id, show_id, requester, identity, channel, locale, owner, due_at, created_at)
    SELECT p.platform_id, v_case, 'open', 'fraud', o.id, (SELECT s.show_id FROM line JOIN line_show s ON s.platform_id = p.platform_id
            AND s.line_id = line.id WHERE line.platform_id = p.platform_id AND line.order_id = o.id ORDER BY line.ref, s.show_id LIMIT 1),
        'platform', 'verified', 'api', o.locale, 'process', p_now, p_now
    FROM orders o WHERE o.platform_id = p.platform_id AND o.id = p.order_id;
    INSERT INTO decision (platform_id, id, case_id, outcome, verdicts, guards, created_at)
    VALUES (p.platform_id, v_decision, v_case, 'escalate', '[]', '["fraud_warning"]', p_now);
    UPDATE cases SET decision_id = v_decision WHERE platform_id = p.platform_id AND id = v_case;
    PERFORM timeline_add(p.platform_id, v_case, order_entries(p.platform_id, p.order_id) || jsonb_build_array(jsonb_build_object(
        'kind', 'operation_held', 'source', 'operation', 'data', jsonb_build_object('operation', v_operation, 'action', 'refund', 'amount', p_left,
        'currency', p.currency, 'rail', p.rail, 'holds', '["fraud_warning"]'::jsonb))), p_now);
    PERFORM refunds_award(p.platform_id, v_case, p.order_id, v_decision, jsonb_build_array(jsonb_build_object('harm', gen_random_uuid(),
        'payment', p.id, 'cause', 'fraud_warning', 'award', coalesce(v_awarded, 0) + p_left, 'seen', 0)),
        ARRAY[p.id], ARRAY[v_operation], ARRAY['fraud_warning'], 1, '[]', '{}', 1, p_now);
    PERFORM case_next(p.platform_id, v_case, '{"owner": "queue", "skill": "trust", "priority": 1, "due_seconds": 900, "outcome": "escalate",
        "rest": {"state": "resolved"}}', p_now);
    RETURN v_case;
END $$;
