-- What came of a sending, told by the rail itself or by a notification: the operation, the money, the books, access, timeline and case.

-- What a refund becomes when its attempt is dead. Null: the attempt is not dead.
-- HELD: the bank has the money under dispute. READY: our account lacks the money, the same rail tries again. CHOICE_NEEDED: the money cannot go
-- back where it came from. FAILED: people took it back. REFUSED: the request was wrong, people look.
CREATE OR REPLACE FUNCTION refund_state_after(p_attempt_state text, p_failure text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_attempt_state NOT IN ('REJECTED', 'FAILED', 'CANCELED') THEN NULL
        WHEN p_failure IN ('disputed', 'charge_for_pending_refund_disputed') THEN 'HELD'
        WHEN p_failure = 'insufficient_funds' THEN 'READY'
        WHEN p_attempt_state = 'CANCELED' OR p_failure = 'merchant_request' THEN 'FAILED'
        WHEN p_failure IN ('expired_or_canceled_card', 'lost_or_stolen_card', 'declined', 'unclaimed', 'unknown') THEN 'CHOICE_NEEDED'
        ELSE 'REFUSED' END
$$;

-- The case of an operation that needs a decision of the flow: given to the process now, opened again if it had ended. One that people have
-- stays with them.
CREATE OR REPLACE FUNCTION case_to_process(p_platform uuid, p_case uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF case_reopen(p_platform, p_case, p_now) THEN
        UPDATE cases SET rest = '{"state": "resolved"}' WHERE platform_id = p_platform AND id = p_case;
    END IF;
    UPDATE cases SET owner = 'process', due_at = p_now, tell = true
    WHERE platform_id = p_platform AND id = p_case AND owner IN ('operation', 'timer', 'process');
END $$;

-- Everything that follows from what an attempt came to. The caller holds the rows of order, case, payment, operation and attempt; `o` and `a` are
-- as they were. doc: {attempt_state, state, provider_ref, failure, waiting, due_seconds, holds, barcode, resend, read_again_seconds,
-- offer_after_seconds}. `state` is the operation's next: SENT (look again after due_seconds), DONE, REFUSED, FAILED, HELD, NEEDS_REVIEW; of a
-- refund whose attempt is dead it follows from the failure. p_news: whether it is worth an entry.
CREATE OR REPLACE FUNCTION operation_outcome(o operation, a attempt, doc jsonb, p_source text, p_news boolean, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_attempt_state text := coalesce(doc->>'attempt_state', a.state);
    v_accepted boolean := v_attempt_state IN ('ACCEPTED', 'SUCCEEDED');
    v_failed_late boolean := o.action = 'refund' AND o.accepted_at IS NOT NULL AND NOT v_accepted;
    v_state text := coalesce(CASE WHEN o.action = 'refund' THEN refund_state_after(v_attempt_state, doc->>'failure') END, doc->>'state');
    v_kind text;
BEGIN
    UPDATE attempt SET state = v_attempt_state, provider_ref = coalesce(doc->>'provider_ref', provider_ref),
        failure = coalesce(doc->>'failure', failure),
        succeeded_at = CASE WHEN v_attempt_state = 'SUCCEEDED' THEN coalesce(succeeded_at, p_now) ELSE succeeded_at END,
        read_again_at = CASE WHEN v_attempt_state = 'SUCCEEDED' THEN coalesce(p_now + make_interval(secs => (doc->>'read_again_seconds')::float),
                                                                            read_again_at) END
    WHERE platform_id = o.platform_id AND id = a.id;
    UPDATE operation SET state = v_state,
        due_at = CASE WHEN v_state IN ('DONE', 'REFUSED', 'FAILED') THEN NULL
                 ELSE p_now + make_interval(secs => coalesce((doc->>'due_seconds')::float, CASE WHEN v_state = 'SENT' THEN 0 ELSE 3600 END)) END,
        ended_at = CASE WHEN v_state IN ('DONE', 'REFUSED', 'FAILED') THEN p_now END,
        accepted_at = CASE WHEN v_accepted THEN coalesce(accepted_at, p_now) WHEN v_failed_late THEN NULL ELSE accepted_at END,
        holds = CASE WHEN v_state = 'HELD' AND o.action = 'refund' THEN '{dispute}'
                ELSE coalesce((SELECT array_agg(h) FROM jsonb_array_elements_text(doc->'holds') AS h), holds) END,
        choice_offered_at = CASE WHEN v_accepted THEN NULL ELSE choice_offered_at END,
        lease_until = NULL
    WHERE platform_id = o.platform_id AND id = o.id;
    IF o.action = 'refund' THEN
        PERFORM refund_becomes(o, a, v_state, v_accepted, p_now);
    ELSIF o.action = 'replace_pass' AND v_state = 'DONE' THEN
        PERFORM operation_replaced(o.platform_id, o.id, doc->>'barcode', (doc->>'resend')::uuid, p_now);
    ELSIF o.action = 'void_pass' AND v_state = 'DONE' THEN
        UPDATE pass SET status = 'void' WHERE platform_id = o.platform_id AND id = o.pass_id;
        PERFORM tell(o.platform_id, o.order_id, o.case_id, 'pass.voided', pass_told(o.platform_id, o.pass_id), p_now);
    END IF;
    IF v_state = 'SENT' AND NOT v_accepted THEN
        PERFORM choice_offer_if_away_long(o, a, doc, p_now);
    END IF;
    IF NOT p_news AND v_state = 'SENT' THEN RETURN jsonb_build_object('status', 'stored', 'case', o.case_id); END IF;
    v_kind := o.action || CASE WHEN v_failed_late THEN '_returned' WHEN v_state = 'DONE' THEN '_done' WHEN v_accepted THEN '_accepted'
        WHEN v_state = 'REFUSED' THEN '_refused' WHEN v_state = 'FAILED' THEN '_failed' WHEN v_state = 'NEEDS_REVIEW' THEN '_needs_review'
        WHEN v_state = 'HELD' THEN '_held' WHEN v_state = 'CHOICE_NEEDED' THEN '_choice_needed' WHEN v_state = 'READY' THEN '_waits_for_funds'
        WHEN doc->>'result' = 'UNKNOWN' THEN '_unknown' ELSE '_not_sent' END;
    PERFORM order_fact_add(o.platform_id, o.order_id, v_kind, p_source, p_now, jsonb_strip_nulls(jsonb_build_object(
        'operation', o.id, 'amount', o.amount, 'currency', o.currency, 'payment', o.payment_id, 'pass', o.pass_id, 'rail', a.rail,
        'provider_ref', doc->>'provider_ref', 'failure', doc->>'failure')), o.case_id);
    -- A first sending answers the request that waits for it; of any later one the customer hears by mail.
    IF o.lease_epoch > 1 THEN UPDATE cases SET tell = true WHERE platform_id = o.platform_id AND id = o.case_id AND state = 'open'; END IF;
    IF v_state = 'CHOICE_NEEDED' THEN
        PERFORM case_to_process(o.platform_id, o.case_id, p_now);
    ELSIF v_state IN ('DONE', 'REFUSED', 'FAILED') OR v_accepted THEN
        PERFORM case_after_operations(o.platform_id, o.case_id, p_now);
        IF v_state IN ('REFUSED', 'FAILED') AND (SELECT state <> 'open' FROM cases WHERE platform_id = o.platform_id AND id = o.case_id) THEN
            PERFORM operation_to_people(o.platform_id, o.id, p_now);  -- it had been told as sent, or its case had ended without it
        END IF;
    ELSIF v_state IN ('HELD', 'NEEDS_REVIEW') THEN
        PERFORM operation_to_people(o.platform_id, o.id, p_now);
    ELSIF v_state = 'READY' AND v_failed_late THEN
        PERFORM case_reopen(o.platform_id, o.case_id, p_now);
        UPDATE cases SET owner = 'operation', due_at = p_now + interval '60 seconds', tell = true, rest = '{"state": "resolved"}'
        WHERE platform_id = o.platform_id AND id = o.case_id AND owner = 'process';
    END IF;
    RETURN jsonb_build_object('status', 'stored', 'case', o.case_id, 'state', v_state, 'follow', (SELECT jsonb_agg(f.id) FROM operation f
        WHERE f.platform_id = o.platform_id AND f.case_id = o.case_id AND f.state = 'READY' AND f.lease_epoch = 0));
END $$;

-- Stores what one sending brought, under the operation's lease. doc: {platform, operation, epoch, attempt, try, result, detail, ...} and what
-- operation_outcome takes.
CREATE OR REPLACE FUNCTION operation_record(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_id uuid := (doc->>'operation')::uuid;
    o operation;
    a attempt;
    v_news boolean;
BEGIN
    SELECT order_id, case_id, payment_id INTO o.order_id, o.case_id, o.payment_id FROM operation WHERE platform_id = v_platform AND id = v_id;
    PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = v_platform AND id = o.case_id FOR NO KEY UPDATE;
    PERFORM 1 FROM payment WHERE platform_id = v_platform AND id = o.payment_id FOR NO KEY UPDATE;
    SELECT * INTO o FROM operation WHERE platform_id = v_platform AND id = v_id FOR NO KEY UPDATE;
    IF o.lease_epoch <> (doc->>'epoch')::bigint OR o.ended_at IS NOT NULL THEN RETURN '{"status": "lost"}'; END IF;
    SELECT * INTO a FROM attempt WHERE platform_id = v_platform AND id = (doc->>'attempt')::uuid FOR NO KEY UPDATE;
    -- A processor that is away for hours, or takes days to settle, is no news at each look.
    v_news := CASE WHEN coalesce(doc->>'attempt_state', a.state) IN ('ACCEPTED', 'SUCCEEDED') THEN o.accepted_at IS NULL
        ELSE NOT EXISTS (SELECT FROM try WHERE platform_id = v_platform AND attempt_id = a.id AND seq = (doc->>'try')::int - 1
                         AND result = doc->>'result') END;
    UPDATE try SET result = doc->>'result', detail = coalesce(doc->>'detail', ''), ended_at = v_now
    WHERE platform_id = v_platform AND attempt_id = a.id AND seq = (doc->>'try')::int AND result IS NULL;
    RETURN operation_outcome(o, a, doc, coalesce(o.rail, 'people'), v_news, v_now);
END $$;

-- How far an attempt has come. Only a higher rank is applied: notifications come twice and in any order, and a late failure beats success.
CREATE OR REPLACE FUNCTION attempt_rank(p_state text) RETURNS int
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_state WHEN 'ACCEPTED' THEN 2 WHEN 'SUCCEEDED' THEN 3 WHEN 'FAILED' THEN 4 WHEN 'CANCELED' THEN 4 ELSE 1 END
$$;

-- A refund as its processor tells it now, ours or somebody else's: {rail, payment_ref, provider_ref, attempt?, state, failure, amount, currency,
-- at, source, read_again_seconds?}. {status: applied|known|elsewhere|mismatch|unknown_payment, platform, case}.
CREATE OR REPLACE FUNCTION refund_news(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_state text := doc->>'state';
    a attempt;
    o operation;
    v_believed_dead boolean;             -- by us or by a person, on no word of the processor's
BEGIN
    -- every platform: a rail is the installation's
    SELECT * INTO a FROM attempt WHERE key = 'mg-' || replace(doc->>'attempt', '-', '') AND rail = doc->>'rail';
    IF a.id IS NULL THEN
        -- every platform: likewise
        SELECT * INTO a FROM attempt WHERE rail = doc->>'rail' AND provider_ref = doc->>'provider_ref' ORDER BY seq DESC LIMIT 1;
    END IF;
    IF a.id IS NULL THEN RETURN refund_of_others(doc, v_now); END IF;
    SELECT order_id, case_id, payment_id INTO o.order_id, o.case_id, o.payment_id FROM operation
    WHERE platform_id = a.platform_id AND id = a.operation_id;
    PERFORM 1 FROM orders WHERE platform_id = a.platform_id AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = a.platform_id AND id = o.case_id FOR NO KEY UPDATE;
    PERFORM 1 FROM payment WHERE platform_id = a.platform_id AND id = o.payment_id FOR NO KEY UPDATE;
    SELECT * INTO o FROM operation WHERE platform_id = a.platform_id AND id = a.operation_id FOR NO KEY UPDATE;
    SELECT * INTO a FROM attempt WHERE platform_id = a.platform_id AND id = a.id FOR NO KEY UPDATE;
    IF (o.amount, o.currency) IS DISTINCT FROM ((doc->>'amount')::bigint, doc->>'currency') THEN
        PERFORM order_fact_add(o.platform_id, o.order_id, 'books_disagree', doc->>'source', v_now, jsonb_build_object('operation', o.id,
            'field', 'amount', 'said', (doc->>'amount')::bigint, 'kept', o.amount, 'provider_ref', doc->>'provider_ref'), o.case_id);
        RETURN jsonb_build_object('status', 'mismatch', 'platform', o.platform_id, 'case', o.case_id);
    END IF;
    v_believed_dead := a.state IN ('REJECTED', 'CLOSED_NOT_SENT') OR (a.state IN ('FAILED', 'CANCELED') AND a.provider_ref IS NULL);
    -- A second refund under one attempt, or money from a rail that had been given up: it is paid, and our operation is paid by another.
    IF (a.provider_ref <> doc->>'provider_ref' OR v_believed_dead) AND v_state IN ('ACCEPTED', 'SUCCEEDED')
       AND (a.provider_ref <> doc->>'provider_ref' OR o.ended_at IS NOT NULL OR EXISTS (SELECT FROM attempt other
            WHERE other.platform_id = o.platform_id AND other.operation_id = o.id AND other.id <> a.id
            AND other.state NOT IN ('REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT'))) THEN
        RETURN refund_of_others(doc || jsonb_build_object('payment', o.payment_id, 'platform', o.platform_id, 'twice', true), v_now);
    END IF;
    IF (a.state IN ('FAILED', 'CANCELED') AND NOT v_believed_dead)
       OR (attempt_rank(v_state) < attempt_rank(a.state) AND NOT v_believed_dead)
       OR (attempt_rank(v_state) = attempt_rank(a.state) AND a.provider_ref IS NOT NULL)
       OR (v_believed_dead AND v_state IN ('FAILED', 'CANCELED')) THEN
        -- Dead by its own word, and paid by its own word: an old notification, or two that people have to tell apart before anything is paid.
        IF v_state = 'SUCCEEDED' AND a.state IN ('FAILED', 'CANCELED') AND a.succeeded_at IS NULL AND o.ended_at IS NULL
           AND NOT EXISTS (SELECT FROM order_fact WHERE platform_id = o.platform_id AND order_id = o.order_id AND kind = 'books_disagree'
                           AND data->>'provider_ref' = doc->>'provider_ref') THEN
            PERFORM order_fact_add(o.platform_id, o.order_id, 'books_disagree', doc->>'source', v_now, jsonb_build_object('operation', o.id,
                'field', 'state', 'said', v_state, 'kept', a.state, 'provider_ref', doc->>'provider_ref'), o.case_id);
        END IF;
        RETURN jsonb_build_object('status', 'known', 'platform', o.platform_id, 'case', o.case_id);
    END IF;
    -- Whoever is at it now finds its lease gone: this is newer.
    UPDATE operation SET lease_epoch = lease_epoch + 1, destination_id = CASE WHEN o.rail = a.rail THEN destination_id END, rail = a.rail
    WHERE platform_id = o.platform_id AND id = o.id;
    UPDATE try SET result = 'ANSWERED', detail = 'told by ' || coalesce(doc->>'source', 'a notification'), ended_at = v_now
    WHERE platform_id = o.platform_id AND attempt_id = a.id AND result IS NULL;
    o.lease_epoch := greatest(o.lease_epoch, 2);
    RETURN operation_outcome(o, a, jsonb_strip_nulls(jsonb_build_object('attempt_state', v_state, 'provider_ref', doc->>'provider_ref',
            'failure', CASE WHEN v_state IN ('FAILED', 'CANCELED') THEN coalesce(nullif(doc->>'failure', ''), 'unknown') END,
            'state', CASE v_state WHEN 'SUCCEEDED' THEN 'DONE' ELSE 'SENT' END, 'due_seconds', CASE v_state WHEN 'ACCEPTED' THEN 600 END,
            'read_again_seconds', doc->'read_again_seconds')), doc->>'source', true, v_now)
        || jsonb_build_object('status', 'applied', 'platform', o.platform_id);
END $$;

-- A refund that others made, or that was made twice: counted once against what was captured; an excess goes to people.
CREATE OR REPLACE FUNCTION refund_of_others(doc jsonb, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    was payment;
    became payment;
    v_facts jsonb;
    v_fact jsonb;
BEGIN
    -- every platform: a rail is the installation's. Several payments under one reference cannot be told apart, so none is touched
    IF NOT doc ? 'payment' AND (SELECT count(*) FROM payment WHERE rail = doc->>'rail' AND provider_ref = doc->>'payment_ref') > 1 THEN
        PERFORM alert_raise_of_rail(doc->>'rail', 'payment_ambiguous', jsonb_build_object('ref', doc->>'payment_ref'));
        RETURN '{"status": "unknown_payment"}';
    END IF;
    -- every platform: likewise
    SELECT * INTO was FROM payment WHERE CASE WHEN doc ? 'payment' THEN platform_id = (doc->>'platform')::uuid AND id = (doc->>'payment')::uuid
        ELSE rail = doc->>'rail' AND provider_ref = doc->>'payment_ref' END LIMIT 1;
    IF was.id IS NULL THEN RETURN '{"status": "unknown_payment"}'; END IF;
    PERFORM 1 FROM orders WHERE platform_id = was.platform_id AND id = was.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = was.platform_id AND order_id = was.order_id AND state = 'open' ORDER BY id FOR NO KEY UPDATE;
    SELECT * INTO was FROM payment WHERE platform_id = was.platform_id AND id = was.id FOR NO KEY UPDATE;
    v_facts := refund_elsewhere_put(was.platform_id, was.id, jsonb_build_object('ref', (doc->>'rail') || ':' || (doc->>'provider_ref'),
        'amount', (doc->>'amount')::bigint, 'provider_ref', doc->>'provider_ref', 'created_at', doc->>'at',
        'state', CASE doc->>'state' WHEN 'ACCEPTED' THEN 'transit' WHEN 'SUCCEEDED' THEN 'done' ELSE 'failed' END), p_now);
    PERFORM payment_recount(was.platform_id, was.id);
    SELECT * INTO became FROM payment WHERE platform_id = was.platform_id AND id = was.id;
    v_facts := v_facts || payment_facts(was, became, was.captured, p_now);
    IF (doc->>'twice')::boolean AND v_facts <> '[]' THEN
        v_facts := v_facts || fact_of('excess', p_now, jsonb_build_object('payment_id', was.id, 'amount', (doc->>'amount')::bigint, 'paid', 'twice'));
    END IF;
    FOR v_fact IN SELECT * FROM jsonb_array_elements(v_facts) LOOP
        PERFORM order_fact_add(was.platform_id, was.order_id, v_fact->>'kind', coalesce(doc->>'source', doc->>'rail'), (v_fact->>'at')::timestamptz,
                               v_fact->'data');
    END LOOP;
    RETURN jsonb_build_object('status', CASE WHEN v_facts = '[]' THEN 'known' ELSE 'elsewhere' END, 'platform', was.platform_id);
END $$;
