-- After a sending: what came of it.

-- Stores what one sending brought, under the operation's lease: try, attempt, operation, payment, books, access, timeline, case.
-- doc: {platform, operation, epoch, attempt, try, result, detail, attempt_state, provider_ref, failure, state, due_seconds, holds, barcode, resend}
-- `state` is the operation's next: SENT (look again after due_seconds), DONE, REFUSED, FAILED, HELD, NEEDS_REVIEW.
CREATE OR REPLACE FUNCTION operation_record(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_id uuid := (doc->>'operation')::uuid;
    v_attempt uuid := (doc->>'attempt')::uuid;
    v_state text := doc->>'state';
    v_accepted boolean := doc->>'attempt_state' IN ('ACCEPTED', 'SUCCEEDED');
    v_news boolean;
    v_kind text;
    o operation;
    v_case uuid;
BEGIN
    SELECT order_id, case_id INTO o.order_id, o.case_id FROM operation WHERE platform_id = v_platform AND id = v_id;
    v_case := o.case_id;
    PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = v_platform AND id = v_case FOR NO KEY UPDATE;
    PERFORM 1 FROM payment WHERE platform_id = v_platform AND id = (SELECT payment_id FROM operation WHERE platform_id = v_platform AND id = v_id)
        FOR NO KEY UPDATE;
    SELECT * INTO o FROM operation WHERE platform_id = v_platform AND id = v_id FOR NO KEY UPDATE;
    IF o.lease_epoch <> (doc->>'epoch')::bigint OR o.ended_at IS NOT NULL THEN RETURN '{"status": "lost"}'; END IF;
    -- A processor that is away for hours, or takes days to settle, is no news at each look.
    v_news := v_state <> 'SENT' OR CASE WHEN v_accepted THEN o.accepted_at IS NULL ELSE NOT EXISTS (SELECT FROM try
        WHERE platform_id = v_platform AND attempt_id = v_attempt AND seq = (doc->>'try')::int - 1 AND result = doc->>'result') END;
    UPDATE try SET result = doc->>'result', detail = coalesce(doc->>'detail', ''), ended_at = v_now
    WHERE platform_id = v_platform AND attempt_id = v_attempt AND seq = (doc->>'try')::int AND result IS NULL;
    UPDATE attempt SET state = coalesce(doc->>'attempt_state', state), provider_ref = coalesce(doc->>'provider_ref', provider_ref),
        failure = coalesce(doc->>'failure', failure) WHERE platform_id = v_platform AND id = v_attempt;
    UPDATE operation SET state = v_state,
        due_at = CASE WHEN v_state IN ('DONE', 'REFUSED', 'FAILED') THEN NULL
                 ELSE v_now + make_interval(secs => coalesce((doc->>'due_seconds')::float, 0)) END,
        ended_at = CASE WHEN v_state IN ('DONE', 'REFUSED', 'FAILED') THEN v_now END,
        accepted_at = CASE WHEN v_accepted THEN coalesce(accepted_at, v_now) ELSE accepted_at END,
        holds = coalesce((SELECT array_agg(h) FROM jsonb_array_elements_text(doc->'holds') AS h), holds),
        lease_until = NULL
    WHERE platform_id = v_platform AND id = v_id;
    IF o.action = 'refund' THEN
        IF v_accepted AND o.accepted_at IS NULL THEN PERFORM book_move(v_platform, o, v_attempt, 'owed_to_customer', 'in_transit:' || o.rail, v_now); END IF;
        IF v_state = 'DONE' THEN
            UPDATE payment SET reserved = reserved - o.amount, refunded = refunded + o.amount WHERE platform_id = v_platform AND id = o.payment_id;
            PERFORM book_move(v_platform, o, v_attempt, 'in_transit:' || o.rail, 'paid_out:' || o.rail, v_now);
        ELSIF v_state IN ('REFUSED', 'FAILED') THEN
            IF o.accepted_at IS NOT NULL THEN PERFORM book_move(v_platform, o, v_attempt, 'in_transit:' || o.rail, 'owed_to_customer', v_now); END IF;
            PERFORM refund_gives_back(v_platform, o, v_now);
        END IF;
        IF v_accepted THEN PERFORM refund_ends_access(v_platform, o, v_now); END IF;
    ELSIF o.action = 'replace_pass' AND v_state = 'DONE' THEN
        PERFORM operation_replaced(v_platform, v_id, doc->>'barcode', (doc->>'resend')::uuid, v_now);
    ELSIF o.action = 'void_pass' AND v_state = 'DONE' THEN
        UPDATE pass SET status = 'void' WHERE platform_id = v_platform AND id = o.pass_id;
    END IF;
    v_kind := o.action || CASE WHEN v_state = 'DONE' THEN '_done' WHEN v_accepted THEN '_accepted' WHEN v_state = 'REFUSED' THEN '_refused'
        WHEN v_state = 'FAILED' THEN '_failed' WHEN v_state = 'NEEDS_REVIEW' THEN '_needs_review' WHEN v_state = 'HELD' THEN '_held'
        WHEN doc->>'result' = 'UNKNOWN' THEN '_unknown' ELSE '_not_sent' END;
    IF NOT v_news THEN RETURN jsonb_build_object('status', 'stored', 'case', v_case); END IF;
    PERFORM order_fact_add(v_platform, o.order_id, v_kind, coalesce(o.rail, 'people'), v_now, jsonb_strip_nulls(jsonb_build_object(
        'operation', v_id, 'amount', o.amount, 'currency', o.currency, 'payment', o.payment_id, 'pass', o.pass_id,
        'provider_ref', doc->>'provider_ref', 'failure', doc->>'failure')), v_case);
    -- A first sending answers the request that waits for it; of any later one the customer hears by mail.
    IF o.lease_epoch > 1 THEN UPDATE cases SET tell = true WHERE platform_id = v_platform AND id = v_case AND state = 'open'; END IF;
    IF v_state IN ('DONE', 'REFUSED', 'FAILED') OR v_accepted THEN
        PERFORM case_after_operations(v_platform, v_case, v_now);
        IF v_state IN ('REFUSED', 'FAILED') AND (SELECT state <> 'open' FROM cases WHERE platform_id = v_platform AND id = v_case) THEN
            PERFORM operation_to_people(v_platform, v_id, v_now);  -- it had been told as sent, or its case had ended without it
        END IF;
    ELSIF v_state IN ('HELD', 'NEEDS_REVIEW') THEN
        PERFORM operation_to_people(v_platform, v_id, v_now);
    END IF;
    RETURN jsonb_build_object('status', 'stored', 'case', v_case, 'follow', (SELECT jsonb_agg(f.id) FROM operation f
        WHERE f.platform_id = v_platform AND f.case_id = v_case AND f.state = 'READY' AND f.lease_epoch = 0));
END $$;
