-- Money that is owed: under the locks of the payment, the lines and the harm; and what a refund means for books and access.

-- Refunds under the harms' locks, at most what each award still lacks, over the payments in the order given.
-- Returns the number of harms with something left. Raises MG001 when the payments cannot bear it (decide again).
CREATE OR REPLACE FUNCTION refunds_award(p_platform uuid, p_case uuid, p_order uuid, p_decision uuid, p_refunds jsonb, p_payments uuid[], p_ids uuid[],
                              p_hold text[], p_approvals int, p_caps jsonb, p_limits jsonb, p_priority int, p_now timestamptz) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_unseen bigint;                     -- what goes back for this order in all without a person's yes, this decision's included
    r record;
    p record;
    h harm;
    v_need bigint;
    v_take bigint;
    v_op uuid;
    v_next int := 1;
    v_count int := 0;
    v_holds text[];
    v_cap text;
    v_held jsonb;
BEGIN
    PERFORM 1 FROM payment WHERE platform_id = p_platform AND order_id = p_order ORDER BY id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND order_id = p_order AND dispute = 'open') THEN
        RAISE EXCEPTION USING ERRCODE = 'MG001', MESSAGE = 'a dispute was opened';
    END IF;
    PERFORM 1 FROM line WHERE platform_id = p_platform AND order_id = p_order ORDER BY id FOR NO KEY UPDATE;
    FOR r IN SELECT * FROM jsonb_to_recordset(p_refunds) AS (harm uuid, line uuid, payment uuid, cause text, award bigint, seen bigint)
             ORDER BY line NULLS FIRST, payment, cause
    LOOP
        INSERT INTO harm (platform_id, id, order_id, line_id, payment_id, cause) VALUES (p_platform, r.harm, p_order, r.line, r.payment, r.cause)
        ON CONFLICT DO NOTHING RETURNING * INTO h;
        IF NOT FOUND THEN
            SELECT * INTO h FROM harm WHERE platform_id = p_platform AND order_id = p_order AND line_id IS NOT DISTINCT FROM r.line
                AND payment_id IS NOT DISTINCT FROM r.payment AND cause = r.cause FOR NO KEY UPDATE;
        END IF;
        v_need := r.award - h.awarded;
        IF r.line IS NOT NULL THEN
            v_need := least(v_need, (SELECT price - awarded FROM line WHERE platform_id = p_platform AND id = r.line));
        END IF;
        CONTINUE WHEN v_need <= 0;
        IF r.seen <> (SELECT awarded FROM line WHERE platform_id = p_platform AND id = r.line) THEN
            RAISE EXCEPTION USING ERRCODE = 'MG001', MESSAGE = 'something was awarded meanwhile';
        END IF;
        v_count := v_count + 1;
        UPDATE harm SET awarded = awarded + v_need WHERE platform_id = p_platform AND id = h.id;
        IF r.line IS NOT NULL THEN UPDATE line SET awarded = awarded + v_need WHERE platform_id = p_platform AND id = r.line; END IF;
        -- On a rail that is not this platform's, or for a charge of another one, nothing of ours pays: people do.
        FOR p IN SELECT id, CASE WHEN rail_allowed(p_platform, rail) AND NOT charge_of_other(p_platform, rail, provider_ref) THEN rail END AS rail,
                 currency,
                 captured - refunded - reserved - refunded_elsewhere AS room FROM payment
                 WHERE platform_id = p_platform AND order_id = p_order AND status = 'confirmed' AND (r.payment IS NULL OR id = r.payment)
                 ORDER BY array_position(p_payments, id), id
        LOOP
            v_take := least(v_need, p.room);
            CONTINUE WHEN v_take <= 0;
            UPDATE payment SET reserved = reserved + v_take WHERE platform_id = p_platform AND id = p.id
                AND captured - refunded - reserved - refunded_elsewhere >= v_take;
            -- Whatever was read before, what is not reserved is not promised.
            IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'MG001', MESSAGE = 'the payments cannot bear it'; END IF;
            v_op := NULL;
            IF v_next > 1 THEN
                SELECT id INTO v_op FROM operation
                WHERE platform_id = p_platform AND decision_id = p_decision AND payment_id = p.id AND case_id = p_case;
            END IF;
            IF v_op IS NULL THEN
                v_op := p_ids[v_next];
                v_next := v_next + 1;
                INSERT INTO operation (platform_id, id, case_id, order_id, decision_id, action, state, rail, payment_id, amount, currency, reason,
                                       approvals_needed, priority, due_at, created_at)
                VALUES (p_platform, v_op, p_case, p_order, p_decision, 'refund', 'HELD', p.rail, p.id, v_take, p.currency, split_part(r.cause, ':', 1),
                        p_approvals, p_priority, p_now, p_now);
            ELSE
                UPDATE operation SET amount = amount + v_take WHERE platform_id = p_platform AND id = v_op;
            END IF;
            INSERT INTO operation_part (platform_id, operation_id, harm_id, line_id, amount) VALUES (p_platform, v_op, h.id, r.line, v_take);
            v_need := v_need - v_take;
            EXIT WHEN v_need = 0;
        END LOOP;
        IF v_need > 0 THEN RAISE EXCEPTION USING ERRCODE = 'MG001', MESSAGE = 'the payments cannot bear it'; END IF;
    END LOOP;
    -- An order split over several cases is no smaller: what people agreed to is theirs, everything else counts together.
    SELECT sum(amount) INTO v_unseen FROM operation WHERE platform_id = p_platform AND order_id = p_order AND action = 'refund'
        AND state NOT IN ('REFUSED', 'FAILED') AND (decision_id = p_decision OR approvals_needed = 0);
    FOR p IN SELECT id, rail, amount, currency, payment_id FROM operation WHERE platform_id = p_platform AND decision_id = p_decision
             AND case_id = p_case AND action = 'refund' ORDER BY id
    LOOP
        v_holds := p_hold;
        v_held := '[]';
        INSERT INTO book (platform_id, at, debit, credit, amount, currency, payment_id, operation_id)
        VALUES (p_platform, p_now, 'sales', 'owed_to_customer', p.amount, p.currency, p.payment_id, p.id);
        IF v_unseen > (p_limits->>'auto')::bigint AND NOT 'amount' = ANY (v_holds) THEN v_holds := v_holds || 'amount'::text; END IF;
        IF p.rail IS NULL THEN v_holds := v_holds || 'outside'::text; END IF;
        IF order_has_recovered_refund(p_platform, p_order) THEN v_holds := v_holds || 'recovered'::text; END IF;
        IF cardinality(v_holds) = 0 THEN
            SELECT t.reached, t.held INTO v_cap, v_held FROM caps_take(p_platform, '[]', p_caps, p.rail, p.currency, p.amount, p_now) AS t;
            IF v_cap IS NOT NULL THEN v_holds := v_holds || ('cap_' || v_cap); END IF;
        END IF;
        UPDATE operation SET holds = v_holds, caps = v_held, state = CASE WHEN cardinality(v_holds) = 0 THEN 'READY' ELSE 'HELD' END,
            approvals_needed = CASE WHEN cardinality(v_holds) = 0 THEN 0 WHEN v_unseen > (p_limits->>'second')::bigint THEN greatest(approvals_needed, 2)
                               ELSE greatest(approvals_needed, 1) END,
            due_at = p_now + CASE WHEN cardinality(v_holds) = 0 THEN interval '0' ELSE interval '1 hour' END
        WHERE platform_id = p_platform AND id = p.id;
        PERFORM tell(p_platform, p_order, p_case, 'refund.created', refund_told(p_platform, p.id), p_now);
    END LOOP;
    -- A position that is promised back in full does not admit while the money is on its way.
    UPDATE access_token t SET state = 'suspended' FROM pass, line
    WHERE t.platform_id = p_platform AND t.state = 'active' AND pass.platform_id = p_platform AND pass.id = t.pass_id
      AND pass.order_id = p_order AND line.platform_id = p_platform AND line.id = pass.line_id AND line.price > 0 AND line.awarded = line.price;
    RETURN v_count;
END $$;

-- A refund that ended REFUSED or FAILED gives its part back: to the payment, the harms, the lines, the caps, and lifts the suspension.
CREATE OR REPLACE FUNCTION refund_gives_back(p_platform uuid, o operation, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_held jsonb;
BEGIN
    UPDATE payment SET reserved = reserved - o.amount WHERE platform_id = p_platform AND id = o.payment_id;
    PERFORM book_move(o, NULL, 'owed_to_customer', 'sales', p_now);
    PERFORM payment_recount(p_platform, o.payment_id);
    UPDATE line SET awarded = line.awarded - part.amount FROM operation_part part
    WHERE part.platform_id = p_platform AND part.operation_id = o.id AND line.platform_id = p_platform AND line.id = part.line_id;
    UPDATE harm SET awarded = harm.awarded - part.amount FROM operation_part part
    WHERE part.platform_id = p_platform AND part.operation_id = o.id AND harm.platform_id = p_platform AND harm.id = part.harm_id;
    SELECT caps INTO v_held FROM operation WHERE platform_id = p_platform AND id = o.id;
    IF v_held <> '[]' THEN
        UPDATE operation SET caps = '[]' WHERE platform_id = p_platform AND id = o.id;
        PERFORM caps_give_back(p_platform, v_held, o.currency, p_now);
    END IF;
    UPDATE access_token t SET state = 'active' FROM pass, line
    WHERE t.platform_id = p_platform AND t.state = 'suspended' AND pass.platform_id = p_platform AND pass.id = t.pass_id
      AND pass.order_id = o.order_id AND line.platform_id = p_platform AND line.id = pass.line_id AND line.awarded < line.price;
END $$;

-- Refund and access are one: a position whose accepted or settled refunds reach what was paid for it admits nobody any more.
CREATE OR REPLACE FUNCTION refund_ends_access(p_platform uuid, o operation, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT pass.id, pass.issuer FROM pass JOIN line ON line.platform_id = p_platform AND line.id = pass.line_id
        WHERE pass.platform_id = p_platform AND pass.status = 'valid' AND line.price > 0
          AND line.id IN (SELECT line_id FROM operation_part WHERE platform_id = p_platform AND operation_id = o.id AND line_id IS NOT NULL)
          AND line.price <= (SELECT sum(part.amount) FROM operation_part part JOIN operation other
                             ON other.platform_id = p_platform AND other.id = part.operation_id
                             WHERE part.platform_id = p_platform AND part.line_id = line.id
                               AND (other.state = 'DONE' OR other.accepted_at IS NOT NULL) AND other.state NOT IN ('FAILED', 'REFUSED'))
        ORDER BY pass.id
    LOOP
        UPDATE access_token SET state = 'revoked', revoked_at = p_now WHERE platform_id = p_platform AND pass_id = r.id AND state <> 'revoked';
        IF r.issuer = 'makegood' THEN
            UPDATE pass SET status = 'void' WHERE platform_id = p_platform AND id = r.id;
            PERFORM tell(p_platform, o.order_id, o.case_id, 'pass.voided', pass_told(p_platform, r.id), p_now);
        ELSE
            INSERT INTO operation (platform_id, id, case_id, order_id, action, state, rail, pass_id, priority, due_at, created_at)
            VALUES (p_platform, gen_random_uuid(), o.case_id, o.order_id, 'void_pass', 'READY', 'issuer', r.id, 1, p_now, p_now)
            ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;
    -- A whole payment that a bank warned of is no line's refund: nobody gets in with an order that nobody has paid any more.
    IF o.reason = 'fraud_warning' AND order_money_is_gone(p_platform, o.order_id) THEN PERFORM order_ends_access(p_platform, o.order_id, p_now); END IF;
END $$;

-- One movement of one refund. Accounts: sales, owed_to_customer, in_transit:<rail>, paid_out:<rail>, paid_elsewhere.
CREATE OR REPLACE FUNCTION book_move(o operation, p_attempt uuid, p_debit text, p_credit text, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO book (platform_id, at, debit, credit, amount, currency, payment_id, operation_id, attempt_id)
    VALUES (o.platform_id, p_now, p_debit, p_credit, o.amount, o.currency, o.payment_id, o.id, p_attempt)
$$;

-- What an attempt's outcome moves. `o` is the operation as it was, p_state what it becomes; p_accepted: the processor took it.
CREATE OR REPLACE FUNCTION refund_becomes(o operation, a attempt, p_state text, p_accepted boolean, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF p_accepted AND o.accepted_at IS NULL THEN PERFORM book_move(o, a.id, 'owed_to_customer', 'in_transit:' || a.rail, p_now); END IF;
    IF p_state = 'DONE' AND o.state <> 'DONE' THEN
        UPDATE payment SET reserved = reserved - o.amount, refunded = refunded + o.amount WHERE platform_id = o.platform_id AND id = o.payment_id;
        PERFORM book_move(o, a.id, 'in_transit:' || a.rail, 'paid_out:' || a.rail, p_now);
    ELSIF p_state <> 'DONE' AND o.state = 'DONE' THEN
        UPDATE payment SET reserved = reserved + o.amount, refunded = refunded - o.amount WHERE platform_id = o.platform_id AND id = o.payment_id;
        PERFORM book_move(o, a.id, 'paid_out:' || a.rail, 'in_transit:' || a.rail, p_now);
    END IF;
    IF NOT p_accepted AND o.accepted_at IS NOT NULL THEN
        PERFORM book_move(o, a.id, 'in_transit:' || a.rail, 'owed_to_customer', p_now);
    END IF;
    IF p_state IN ('REFUSED', 'FAILED') THEN PERFORM refund_gives_back(o.platform_id, o, p_now); END IF;
    IF p_accepted AND o.accepted_at IS NULL THEN PERFORM refund_ends_access(o.platform_id, o, p_now); END IF;
END $$;
