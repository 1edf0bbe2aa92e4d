-- Putting our books right by a processor's list: after an audit, and after a restored backup.

-- Whether this order has a refund that nobody knows the reason of any more: then a person looks before more money goes.
CREATE OR REPLACE FUNCTION order_has_recovered_refund(p_platform uuid, p_order uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM recovered_refund WHERE platform_id = p_platform AND order_id = p_order)
$$;

-- An operation that nobody can be sure of goes to people, and nothing of it is sent. One that they have already stays as it is.
CREATE OR REPLACE FUNCTION operation_unsure(o operation, p_kind text, p_data jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF o.state = 'NEEDS_REVIEW' THEN RETURN; END IF;
    UPDATE operation SET state = 'NEEDS_REVIEW', due_at = p_now + interval '1 hour', lease_epoch = lease_epoch + 1, lease_until = NULL
    WHERE platform_id = o.platform_id AND id = o.id;
    PERFORM order_fact_add(o.platform_id, o.order_id, p_kind, 'operation', p_now, p_data || jsonb_build_object('operation', o.id), o.case_id);
    PERFORM operation_to_people(o.platform_id, o.id, p_now);
END $$;

-- A movement of an operation that we know, under an attempt that we do not: the attempt is made, and what became of it is applied as any news.
-- doc: as refund_news takes it, with `operation` and `attempt`. {status: as refund_news, or unknown_operation|mismatch|people|noted}.
-- people: another attempt of the operation lives here, so that two may have paid. noted: one that is dead, beside one that lives.
CREATE OR REPLACE FUNCTION attempt_found(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_attempt uuid := (doc->>'attempt')::uuid;
    v_at timestamptz := coalesce((doc->>'at')::timestamptz, v_now);
    v_dead boolean := doc->>'state' IN ('FAILED', 'CANCELED');
    v_seq int;
    o operation;
    live attempt;
BEGIN
    -- every platform: a rail is the installation's; one by one, since that is how operations are found quickly
    SELECT x.* INTO o FROM platform f JOIN operation x ON x.platform_id = f.id AND x.id = (doc->>'operation')::uuid AND x.action = 'refund';
    IF o.id IS NULL THEN RETURN '{"status": "unknown_operation"}'; END IF;
    PERFORM 1 FROM orders WHERE platform_id = o.platform_id AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = o.platform_id AND id = o.case_id FOR NO KEY UPDATE;
    PERFORM 1 FROM payment WHERE platform_id = o.platform_id AND id = o.payment_id FOR NO KEY UPDATE;
    SELECT * INTO o FROM operation WHERE platform_id = o.platform_id AND id = o.id FOR NO KEY UPDATE;
    -- The n-th attempt has always the same id; one of an older release is put behind those that are there.
    v_seq := (SELECT n FROM generate_series(1, 20) AS n WHERE attempt_id(o.id, n) = v_attempt);
    IF v_seq IS NULL OR EXISTS (SELECT FROM attempt WHERE platform_id = o.platform_id AND operation_id = o.id AND seq = v_seq) THEN
        v_seq := (SELECT coalesce(max(seq), 0) + 1 FROM attempt WHERE platform_id = o.platform_id AND operation_id = o.id);
    END IF;
    SELECT * INTO live FROM attempt WHERE platform_id = o.platform_id AND operation_id = o.id
        AND state NOT IN ('REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT') FOR NO KEY UPDATE;
    IF NOT v_dead AND live.state = 'PREPARED' AND live.seq < v_seq AND NOT attempt_may_have_arrived(o.platform_id, live.id) THEN
        -- It was given up before this one was opened, which the backup is too old to know.
        UPDATE attempt SET state = 'CLOSED_NOT_SENT', read_again_at = v_now + interval '1 hour' WHERE platform_id = o.platform_id AND id = live.id;
        live := NULL;
    END IF;
    IF v_dead AND (live.id IS NOT NULL OR o.ended_at IS NOT NULL) THEN
        INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, provider_ref, failure, first_sent_at, key_expires_at)
        VALUES (o.platform_id, v_attempt, o.id, v_seq, doc->>'rail', 'mg-' || replace(v_attempt::text, '-', ''), attempt_request(o, v_attempt),
                doc->>'state', doc->>'provider_ref', coalesce(nullif(doc->>'failure', ''), 'unknown'), v_at, v_at)
        ON CONFLICT DO NOTHING;
        RETURN jsonb_build_object('status', 'noted', 'platform', o.platform_id, 'case', o.case_id);
    END IF;
    IF o.ended_at IS NOT NULL THEN
        -- Its part was given back, or another attempt has paid it: what moved is beside it, and people hear of it.
        RETURN refund_of_others(doc || jsonb_build_object('payment', o.payment_id, 'platform', o.platform_id, 'twice', true), v_now);
    END IF;
    IF (o.amount, o.currency) IS DISTINCT FROM ((doc->>'amount')::bigint, doc->>'currency') THEN
        PERFORM operation_unsure(o, 'books_disagree', jsonb_build_object('field', 'amount', 'said', (doc->>'amount')::bigint, 'kept', o.amount,
            'provider_ref', doc->>'provider_ref'), v_now);
        RETURN jsonb_build_object('status', 'mismatch', 'platform', o.platform_id, 'case', o.case_id);
    END IF;
    IF live.id IS NOT NULL OR EXISTS (SELECT FROM attempt WHERE platform_id = o.platform_id AND id = v_attempt) THEN
        UPDATE attempt SET state = 'NEEDS_REVIEW' WHERE platform_id = o.platform_id AND id = live.id AND state NOT IN ('ACCEPTED', 'SUCCEEDED');
        PERFORM operation_unsure(o, 'books_disagree', jsonb_build_object('field', 'attempt', 'said', doc->>'provider_ref', 'kept', live.id,
            'rail', doc->>'rail', 'amount', o.amount), v_now);
        RETURN jsonb_build_object('status', 'people', 'platform', o.platform_id, 'case', o.case_id);
    END IF;
    -- Its key is over: what is in a processor's list is never sent again.
    INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, first_sent_at, key_expires_at)
    VALUES (o.platform_id, v_attempt, o.id, v_seq, doc->>'rail', 'mg-' || replace(v_attempt::text, '-', ''), attempt_request(o, v_attempt),
            'UNKNOWN', v_at, v_at);
    INSERT INTO try (platform_id, attempt_id, seq, lease_epoch, started_at, result, detail, ended_at)
    VALUES (o.platform_id, v_attempt, 1, o.lease_epoch, v_at, 'UNKNOWN', 'found at the processor', v_at);
    UPDATE operation SET state = 'SENT', rail = doc->>'rail', holds = '{}', lease_epoch = lease_epoch + 1, lease_until = NULL,
        fell_over_from = CASE WHEN o.rail IS DISTINCT FROM doc->>'rail' THEN o.rail ELSE fell_over_from END, due_at = coalesce(due_at, v_now)
    WHERE platform_id = o.platform_id AND id = o.id;
    RETURN refund_news(doc);
END $$;

-- One line of a processor's list, put into our books. doc: as refund_news takes it, with `operation` and `attempt` where the processor kept them.
-- {status: applied|known|noted|people|mismatch|elsewhere|lost|unknown_payment, platform}. Again with the same line: known, noted or lost, and
-- nothing changes. lost: ours, and its operation is not here; it is counted, and more money of its order waits for a person.
CREATE OR REPLACE FUNCTION refund_recovered(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_found jsonb;
    y payment;
BEGIN
    -- every platform: a rail is the installation's
    IF doc->>'attempt' IS NOT NULL AND doc->>'operation' IS NOT NULL AND NOT EXISTS (
        SELECT FROM attempt WHERE rail = doc->>'rail' AND (key = 'mg-' || replace(doc->>'attempt', '-', '') OR provider_ref = doc->>'provider_ref'))
    THEN
        v_found := attempt_found(doc);
        IF v_found->>'status' <> 'unknown_operation' THEN RETURN v_found; END IF;
        IF doc->>'state' IN ('FAILED', 'CANCELED') THEN RETURN '{"status": "noted"}'; END IF;  -- it moved nothing
        v_found := refund_news(doc);
        IF v_found->>'status' NOT IN ('elsewhere', 'known') THEN RETURN v_found; END IF;
        -- every platform: likewise
        SELECT * INTO y FROM payment WHERE rail = doc->>'rail' AND provider_ref = doc->>'payment_ref' AND platform_id = (v_found->>'platform')::uuid LIMIT 1;
        INSERT INTO recovered_refund (platform_id, order_id, payment_id, rail, provider_ref, lost_operation_id, amount, currency, found_at)
        VALUES (y.platform_id, y.order_id, y.id, doc->>'rail', doc->>'provider_ref', (doc->>'operation')::uuid, (doc->>'amount')::bigint,
                doc->>'currency', v_now)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            PERFORM order_to_people(y.platform_id, y.order_id, v_now);
            PERFORM order_fact_add(y.platform_id, y.order_id, 'refund_recovered', doc->>'rail', v_now, jsonb_build_object('payment', y.id,
                'amount', (doc->>'amount')::bigint, 'currency', doc->>'currency', 'provider_ref', doc->>'provider_ref', 'operation', doc->>'operation'));
        END IF;
        RETURN jsonb_build_object('status', 'lost', 'platform', y.platform_id);
    END IF;
    IF doc->>'state' IN ('FAILED', 'CANCELED') AND NOT EXISTS (
        -- every platform: likewise
        SELECT FROM attempt WHERE rail = doc->>'rail' AND (key = 'mg-' || replace(doc->>'attempt', '-', '') OR provider_ref = doc->>'provider_ref'))
       AND NOT EXISTS (SELECT FROM refund_elsewhere WHERE provider_ref = doc->>'provider_ref') -- every platform: likewise
    THEN RETURN '{"status": "noted"}'; END IF;
    RETURN refund_news(doc);
END $$;

-- Of a rail that keeps no list: what was to be sent, or was being sent, when the backup was taken goes to people. At most p_most; how many did.
-- What was accepted was answered, and what a person still has to agree to says so.
CREATE OR REPLACE FUNCTION rail_unsure(p_rail text, p_most int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_count int := 0;
    r record;
    o operation;
BEGIN
    -- every platform: a rail is the installation's
    FOR r IN SELECT platform_id, id, order_id, case_id, payment_id FROM operation
             WHERE rail = p_rail AND action = 'refund' AND state IN ('READY', 'SENT') AND accepted_at IS NULL
             ORDER BY platform_id, order_id, id LIMIT p_most
    LOOP
        PERFORM 1 FROM orders WHERE platform_id = r.platform_id AND id = r.order_id FOR NO KEY UPDATE;
        PERFORM 1 FROM cases WHERE platform_id = r.platform_id AND id = r.case_id FOR NO KEY UPDATE;
        PERFORM 1 FROM payment WHERE platform_id = r.platform_id AND id = r.payment_id FOR NO KEY UPDATE;
        SELECT * INTO o FROM operation WHERE platform_id = r.platform_id AND id = r.id FOR NO KEY UPDATE;
        CONTINUE WHEN o.state NOT IN ('READY', 'SENT') OR o.accepted_at IS NOT NULL;
        UPDATE attempt SET state = 'NEEDS_REVIEW' WHERE platform_id = o.platform_id AND operation_id = o.id
            AND state NOT IN ('REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT');
        IF NOT FOUND THEN
            -- What may have been sent has an attempt, so that a person can say what became of it.
            INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, first_sent_at, key_expires_at)
            SELECT o.platform_id, attempt_id(o.id, n.seq), o.id, n.seq, p_rail, 'mg-' || replace(attempt_id(o.id, n.seq)::text, '-', ''),
                   attempt_request(o, attempt_id(o.id, n.seq)), 'NEEDS_REVIEW', v_now, v_now
            FROM (SELECT coalesce(max(seq), 0) + 1 AS seq FROM attempt WHERE platform_id = o.platform_id AND operation_id = o.id) n;
        END IF;
        PERFORM operation_unsure(o, 'refund_unsure', jsonb_build_object('rail', p_rail, 'amount', o.amount, 'currency', o.currency), v_now);
        v_count := v_count + 1;
    END LOOP;
    RETURN v_count;
END $$;

-- Nothing new is sent anywhere until everything is matched. What people stopped before stays theirs. How many platforms are stopped.
CREATE OR REPLACE FUNCTION recovery_stops(p_actor text) RETURNS int
LANGUAGE plpgsql AS $$
BEGIN
    -- every platform: a restored backup concerns all
    WITH stopped AS (
        INSERT INTO brake (platform_id, scope, ref, reason, actor, created_at) SELECT id, 'all', '', 'recovering', p_actor, app_now() FROM platform
        ON CONFLICT DO NOTHING RETURNING platform_id)
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    SELECT platform_id, app_now(), p_actor, 'paused', 'recovering', '{"scope": "all", "ref": ""}' FROM stopped;
    -- every platform: likewise
    RETURN (SELECT count(*) FROM platform WHERE EXISTS (SELECT FROM brake WHERE brake.platform_id = platform.id AND scope = 'all'));
END $$;

-- Everything is matched: takes off what recovery_stops put on. How many operations go now.
CREATE OR REPLACE FUNCTION recovery_goes(p_actor text) RETURNS int
LANGUAGE sql AS $$
    -- every platform: a restored backup concerns all
    SELECT coalesce(sum(brake_release(platform_id, 'all', '', 'recovered', p_actor)), 0)::int FROM brake WHERE scope = 'all' AND reason = 'recovering'
$$;
