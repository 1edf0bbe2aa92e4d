-- Where the money should go when it cannot go back where it came from: offered, chosen by the customer, carried out by another rail.

-- The first rail has not got a single request for doc.offer_after_seconds, or as long as the platform says: the customer may choose another way, while it is still tried.
CREATE OR REPLACE FUNCTION choice_offer_if_away_long(o operation, a attempt, doc jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_since timestamptz;
BEGIN
    IF o.action <> 'refund' OR o.choice_offered_at IS NOT NULL OR doc->>'offer_after_seconds' IS NULL
       OR attempt_may_have_arrived(o.platform_id, a.id) THEN RETURN; END IF;
    SELECT min(started_at) INTO v_since FROM try WHERE platform_id = o.platform_id AND attempt_id = a.id;
    IF v_since IS NULL OR v_since > p_now - make_interval(secs => coalesce(
            (SELECT (settings->'payouts'->>'failover_after_seconds')::float FROM platform WHERE id = o.platform_id),
            (doc->>'offer_after_seconds')::float))
       OR EXISTS (SELECT FROM payment WHERE platform_id = o.platform_id AND id = o.payment_id AND dispute = 'open') THEN RETURN; END IF;
    UPDATE operation SET choice_offered_at = p_now WHERE platform_id = o.platform_id AND id = o.id;
    PERFORM order_fact_add(o.platform_id, o.order_id, 'refund_choice_offered', 'operation', p_now, jsonb_build_object('operation', o.id,
        'amount', o.amount, 'currency', o.currency, 'rail', a.rail), o.case_id);
    PERFORM case_to_process(o.platform_id, o.case_id, p_now);
END $$;

-- Asks the customer of a leased case where the money should go, and waits for the answer. False: the lease is lost, or there is nothing to ask.
CREATE OR REPLACE FUNCTION case_ask_destination(p_platform uuid, p_case uuid, p_epoch bigint, p_offers jsonb, p_wait_seconds float) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    c cases;
BEGIN
    SELECT * INTO c FROM cases WHERE platform_id = p_platform AND id = p_case AND state = 'open' AND lease_epoch = p_epoch AND owner = 'process'
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE operation SET result = result || jsonb_build_object('offers', p_offers)
    WHERE platform_id = p_platform AND case_id = p_case AND (state = 'CHOICE_NEEDED' OR (state = 'SENT' AND choice_offered_at IS NOT NULL));
    IF NOT FOUND THEN
        UPDATE cases SET owner = 'operation', due_at = v_now WHERE platform_id = p_platform AND id = p_case;
        RETURN false;
    END IF;
    PERFORM timeline_add(p_platform, p_case, '[{"kind": "asked_where", "source": "operation"}]', v_now);
    PERFORM case_next(p_platform, p_case, jsonb_build_object('owner', 'timer', 'wait_for', 'answer:destination', 'wait_seconds', p_wait_seconds,
        'due_seconds', p_wait_seconds, 'outcome', 'ask', 'rest', coalesce(c.rest, '{"state": "resolved"}')), v_now);
    RETURN true;
END $$;

-- Nobody can be asked, or nobody answered: people take a refund whose first rail is dead; one that is still tried goes on without a choice.
CREATE OR REPLACE FUNCTION case_choice_to_people(p_platform uuid, p_case uuid, p_epoch bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_operation uuid;
BEGIN
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = p_case AND state = 'open' AND lease_epoch = p_epoch AND owner = 'process'
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    SELECT id INTO v_operation FROM operation WHERE platform_id = p_platform AND case_id = p_case AND state = 'CHOICE_NEEDED' ORDER BY id LIMIT 1;
    IF v_operation IS NOT NULL THEN
        PERFORM operation_to_people(p_platform, v_operation, v_now);
    ELSE
        UPDATE cases SET owner = 'operation', wait_for = NULL, wait_until = NULL, due_at = v_now + interval '60 seconds',
            rest = coalesce(rest, '{"state": "resolved"}') WHERE platform_id = p_platform AND id = p_case;
    END IF;
END $$;

-- What was read at the processor about a payment: whether anything there is not ours. Kept for takeover_needs.
CREATE OR REPLACE FUNCTION payment_was_read(p_platform uuid, p_payment uuid, p_refunded bigint, p_disputed boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_clean boolean;
BEGIN
    UPDATE payment SET read_at = (SELECT app_now()),
        read_clean = NOT p_disputed AND dispute <> 'open' AND p_refunded <= refunded_elsewhere + (
            SELECT coalesce(sum(o.amount), 0) FROM operation o JOIN attempt a ON a.platform_id = p_platform AND a.operation_id = o.id
                AND a.rail = payment.rail AND a.state IN ('ACCEPTED', 'SUCCEEDED', 'UNKNOWN', 'NEEDS_REVIEW')
            WHERE o.platform_id = p_platform AND o.payment_id = payment.id)
    WHERE platform_id = p_platform AND id = p_payment RETURNING read_clean INTO v_clean;
    RETURN v_clean;
END $$;

-- The dead first attempt was read again and is as dead as we believed.
CREATE OR REPLACE FUNCTION operation_proved(p_platform uuid, p_operation uuid, p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE operation SET proved_at = (SELECT app_now()) WHERE platform_id = p_platform AND id = p_operation AND lease_epoch = p_epoch;
    RETURN FOUND;
END $$;

-- The way that was chosen: {platform, operation, rail (null: people send it), person?, address?, actor, agent?, reason?, holds, holds_while_tried,
-- approvals}. An agent who passes a choice on counts as the first of the people who have to agree.
-- {status: chosen|held|not_offered|disputed|excess|under_way, case}. Whoever was at the operation finds its lease gone.
CREATE OR REPLACE FUNCTION operation_choose(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_holds text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(doc->'holds', '[]')));
    v_cap text;
    o operation;
    a attempt;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = v_platform AND id = (doc->>'operation')::uuid;
    PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = v_platform AND id = o.case_id FOR NO KEY UPDATE;
    PERFORM 1 FROM payment WHERE platform_id = v_platform AND id = o.payment_id FOR NO KEY UPDATE;
    SELECT * INTO o FROM operation WHERE platform_id = v_platform AND id = (doc->>'operation')::uuid FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM payment WHERE platform_id = v_platform AND id = o.payment_id AND dispute = 'open') THEN RETURN '{"status": "disputed"}'; END IF;
    IF payment_has_excess(v_platform, o.payment_id) THEN
        IF o.state = 'CHOICE_NEEDED' THEN PERFORM operation_to_people(v_platform, o.id, v_now); END IF;
        RETURN '{"status": "excess"}';
    END IF;
    IF o.state = 'SENT' AND o.choice_offered_at IS NOT NULL THEN
        -- The first is still being tried. It may be given up only while nothing of it can have arrived, a try that runs now included.
        SELECT * INTO a FROM attempt WHERE platform_id = v_platform AND operation_id = o.id ORDER BY seq DESC LIMIT 1;
        IF a.state <> 'PREPARED' OR attempt_may_have_arrived(v_platform, a.id) THEN RETURN '{"status": "under_way"}'; END IF;
        v_holds := v_holds || ARRAY(SELECT jsonb_array_elements_text(coalesce(doc->'holds_while_tried', '[]')));
    ELSIF o.state IS DISTINCT FROM 'CHOICE_NEEDED' THEN
        RETURN '{"status": "not_offered"}';
    END IF;
    IF doc->>'rail' IS NULL THEN v_holds := v_holds || 'outside'::text; END IF;
    -- It goes out on the first rail no more, and leaves its day; the customer's and the show's part is the same refund's.
    PERFORM caps_give_back(v_platform, (SELECT jsonb_agg(h) FROM jsonb_array_elements(o.caps) AS h WHERE h->>'kind' = 'rail_day'), o.currency, v_now);
    o.caps := coalesce((SELECT jsonb_agg(h) FROM jsonb_array_elements(o.caps) AS h WHERE h->>'kind' <> 'rail_day'), '[]');
    IF cardinality(v_holds) = 0 THEN
        SELECT t.reached, t.held INTO v_cap, o.caps FROM caps_take(v_platform, o.caps, doc->'caps', doc->>'rail', o.currency, o.amount, v_now) AS t;
        IF v_cap IS NOT NULL THEN v_holds := v_holds || ('cap_' || v_cap); END IF;
    END IF;
    IF doc->>'address' IS NOT NULL THEN
        INSERT INTO person (platform_id, id, email) VALUES (v_platform, (doc->>'person')::uuid, doc->>'address');
    END IF;
    UPDATE operation SET rail = doc->>'rail', fell_over_from = coalesce(fell_over_from, o.rail), proved_at = NULL,
        destination_id = CASE WHEN doc->>'address' IS NOT NULL THEN (doc->>'person')::uuid END,
        lease_epoch = lease_epoch + 1, lease_until = NULL, holds = v_holds, caps = o.caps,
        state = CASE WHEN cardinality(v_holds) = 0 THEN 'READY' ELSE 'HELD' END,
        approvals_needed = CASE WHEN cardinality(v_holds) = 0 THEN 0 ELSE greatest((doc->>'approvals')::int, 1) END,
        due_at = v_now + CASE WHEN cardinality(v_holds) = 0 THEN interval '0' ELSE interval '1 hour' END
    WHERE platform_id = v_platform AND id = o.id;
    DELETE FROM approval WHERE platform_id = v_platform AND operation_id = o.id;
    PERFORM order_fact_add(v_platform, o.order_id, 'refund_choice_made', 'operation', v_now, jsonb_strip_nulls(jsonb_build_object('operation', o.id,
        'amount', o.amount, 'currency', o.currency, 'rail', doc->>'rail', 'from', o.rail, 'by', doc->>'actor')), o.case_id);
    IF doc->>'agent' IS NOT NULL AND cardinality(v_holds) > 0 THEN
        INSERT INTO approval (platform_id, operation_id, agent_id, reason, created_at)
        VALUES (v_platform, o.id, (doc->>'agent')::uuid, doc->>'reason', v_now);
    END IF;
    IF cardinality(v_holds) > 0 THEN
        PERFORM operation_to_people(v_platform, o.id, v_now);
    ELSE
        UPDATE cases SET owner = 'operation', wait_for = NULL, wait_until = NULL, due_at = v_now + interval '60 seconds',
            rest = coalesce(rest, '{"state": "resolved"}'), version = version + 1
        WHERE platform_id = v_platform AND id = o.case_id AND state = 'open' AND owner IN ('timer', 'process', 'operation');
    END IF;
    RETURN jsonb_build_object('status', CASE WHEN cardinality(v_holds) = 0 THEN 'chosen' ELSE 'held' END, 'case', o.case_id);
END $$;

-- ------------------------------------------------------------------------------------------- slow looks

-- Attempts whose slow look is due: settled ones for 35 days (a bank may return the money late), first rails that were given up until they answer.
CREATE OR REPLACE FUNCTION attempts_to_read(p_most int)
RETURNS TABLE (platform_id uuid, id uuid, rail text, state text, request jsonb, provider_ref text)
LANGUAGE sql AS $$
    WITH due AS MATERIALIZED (
        -- every platform: the pass is the installation's own
        SELECT a.platform_id, a.id FROM attempt a WHERE a.read_again_at <= (SELECT app_now()) ORDER BY a.read_again_at LIMIT p_most
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE attempt SET read_again_at = CASE WHEN attempt.succeeded_at < (SELECT app_now()) - interval '35 days' THEN NULL
        ELSE (SELECT app_now()) + CASE attempt.state WHEN 'CLOSED_NOT_SENT' THEN interval '1 hour' ELSE interval '1 day' END END
    FROM due WHERE attempt.platform_id = due.platform_id AND attempt.id = due.id
    RETURNING attempt.platform_id, attempt.id, attempt.rail, attempt.state, attempt.request,
        coalesce(attempt.provider_ref, '')
$$;

-- A first rail that had been given up has answered: its look is over.
CREATE OR REPLACE FUNCTION attempt_was_read(p_platform uuid, p_attempt uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE attempt SET read_again_at = NULL WHERE platform_id = p_platform AND id = p_attempt AND state = 'CLOSED_NOT_SENT'
$$;

-- Calls people to an operation that is still followed up: its key runs out, or an acceptance has no end. Once an attempt.
CREATE OR REPLACE FUNCTION operation_calls_people(p_platform uuid, p_operation uuid, p_attempt uuid, p_kind text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    UPDATE attempt SET people_told_at = v_now WHERE platform_id = p_platform AND id = p_attempt AND people_told_at IS NULL;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM order_fact_add(p_platform, o.order_id, 'refund_' || p_kind, 'operation', v_now, jsonb_build_object('operation', o.id,
        'amount', o.amount, 'currency', o.currency, 'rail', o.rail), o.case_id);
    PERFORM operation_to_people(p_platform, p_operation, v_now);
END $$;
