-- The flow's units: each is one function, so that BEGIN and COMMIT do not travel.
-- Rows are locked in one order everywhere: order, case, payment (by id), line, harm, operation, attempt.

ALTER TABLE cases ADD COLUMN rest jsonb;               -- what becomes of the case when its operations have ended well
ALTER TABLE cases ADD COLUMN tell boolean NOT NULL DEFAULT false; -- the customer is not waiting on a request: tell by mail
ALTER TABLE cases ADD COLUMN opened_by text;          -- the caller who may look at it before anybody is verified
ALTER TABLE operation ADD COLUMN accepted_at timestamptz;         -- the processor took it: what the customer is told is "sent"

-- ------------------------------------------------------------------------------------------- small parts

CREATE FUNCTION braked(p_platform uuid, p_action text, p_rail text, p_show uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM brake WHERE platform_id = p_platform AND (
        scope = 'all' OR (scope = 'action' AND ref = p_action) OR (scope = 'rail' AND ref = p_rail)
        OR (scope = 'show' AND ref = p_show::text)))
$$;

-- Writes entries behind p_seq, for whoever holds the case's row lock and counts them in its timeline_seq.
CREATE FUNCTION timeline_write(p_platform uuid, p_case uuid, p_seq bigint, p_entries jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO timeline (platform_id, case_id, seq, happened_at, source, actor, kind, data)
    SELECT p_platform, p_case, p_seq + n, coalesce((e->>'at')::timestamptz, p_now), e->>'source',
           coalesce(e->>'actor', e->>'source'), e->>'kind', coalesce(e->'data', '{}')
    FROM jsonb_array_elements(p_entries) WITH ORDINALITY AS entry(e, n);
END $$;

-- Appends entries [{kind, source, actor, at?, data?}] to a case's timeline, in the order given. Takes the case's row lock.
CREATE FUNCTION timeline_add(p_platform uuid, p_case uuid, p_entries jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_seq bigint;
BEGIN
    UPDATE cases SET timeline_seq = timeline_seq + jsonb_array_length(p_entries), version = version + 1
    WHERE platform_id = p_platform AND id = p_case
    RETURNING timeline_seq - jsonb_array_length(p_entries) INTO v_seq;
    PERFORM timeline_write(p_platform, p_case, v_seq, p_entries, p_now);
END $$;

-- What disagrees with our books goes to people: as an entry on the order's queued case, else as a case of its own.
CREATE FUNCTION order_to_people(p_platform uuid, p_order uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_case uuid;
BEGIN
    IF EXISTS (SELECT FROM cases WHERE platform_id = p_platform AND order_id = p_order AND state = 'open' AND owner IN ('queue', 'agent')) THEN
        RETURN;
    END IF;
    INSERT INTO cases (platform_id, id, state, problem, order_id, requester, identity, channel, locale, owner, due_at, skill, priority, queued_at,
                       outcome, created_at)
    VALUES (p_platform, gen_random_uuid(), 'open', 'other', p_order, 'platform', 'verified', 'api', 'en', 'queue', p_now + interval '15 minutes',
            'payments', 2, p_now, 'escalate', p_now) RETURNING id INTO v_case;
    INSERT INTO outbox (platform_id, order_id, type, data, created_at)
    VALUES (p_platform, p_order, 'case.handed_over', jsonb_build_object('case', v_case, 'outcome', 'escalate'), p_now);
END $$;

-- Records one fact of an order under its row lock, copies it to the timeline of every open case of the order (and to p_case, open or not),
-- and wakes the cases that waited for it.
CREATE FUNCTION order_fact_add(p_platform uuid, p_order uuid, p_kind text, p_source text, p_happened_at timestamptz,
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
    INSERT INTO outbox (platform_id, order_id, order_seq, type, data, created_at)
    VALUES (p_platform, p_order, v_seq, 'order.' || p_kind, p_data, v_now);
END $$;
CREATE INDEX cases_claiming ON cases (platform_id, claimed_order) WHERE order_id IS NULL AND state = 'open';

-- Takes p_amount from a cap. Shared caps have 16 rows: the first with room from a random start; if none has room for all of it,
-- all are locked in order and the amount is taken from several. False: the cap is reached, and nothing was taken.
CREATE FUNCTION cap_take(p_platform uuid, p_kind text, p_ref text, p_currency text, p_window timestamptz, p_slots int,
                         p_most bigint, p_amount bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_start int := floor(random() * p_slots)::int;
    v_slot int;
    v_left bigint := p_amount;
    v_room record;
BEGIN
    FOR i IN 0 .. p_slots - 1 LOOP
        v_slot := (v_start + i) % p_slots;
        INSERT INTO cap_use (platform_id, kind, ref, currency, window_start, slot, used, most)
        VALUES (p_platform, p_kind, p_ref, p_currency, p_window, v_slot, 0, p_most / p_slots + CASE WHEN v_slot < p_most % p_slots THEN 1 ELSE 0 END)
        ON CONFLICT DO NOTHING;
        UPDATE cap_use SET used = used + p_amount
        WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency AND window_start = p_window
          AND slot = v_slot AND most - used >= p_amount;
        IF FOUND THEN RETURN true; END IF;
    END LOOP;
    PERFORM 1 FROM cap_use WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency
        AND window_start = p_window ORDER BY slot FOR UPDATE;
    IF (SELECT coalesce(sum(most - used), 0) FROM cap_use WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref
        AND currency = p_currency AND window_start = p_window) < p_amount THEN RETURN false; END IF;
    FOR v_room IN SELECT slot, most - used AS room FROM cap_use WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref
        AND currency = p_currency AND window_start = p_window AND most > used ORDER BY slot
    LOOP
        UPDATE cap_use SET used = used + least(v_left, v_room.room)
        WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency AND window_start = p_window
          AND slot = v_room.slot;
        v_left := v_left - least(v_left, v_room.room);
        EXIT WHEN v_left = 0;
    END LOOP;
    RETURN true;
END $$;

-- All caps that bind one refund, [{kind, ref, rail?, seconds, slots, most}]: one with a rail binds that rail alone.
-- What is taken stays taken only if all have room; else the kind that has none.
CREATE FUNCTION caps_take(p_platform uuid, p_caps jsonb, p_rail text, p_currency text, p_amount bigint, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT * FROM jsonb_to_recordset(p_caps) AS (kind text, ref text, rail text, seconds int, slots int, most bigint)
             WHERE rail IS NULL OR rail = p_rail ORDER BY kind LOOP
        IF NOT cap_take(p_platform, c.kind, c.ref, p_currency,
                        date_bin(make_interval(secs => c.seconds), p_now, timestamptz '2020-01-01 00:00:00+00'), c.slots, c.most, p_amount)
        THEN RAISE EXCEPTION USING ERRCODE = 'MG003', MESSAGE = c.kind; END IF;
    END LOOP;
    RETURN NULL;
EXCEPTION WHEN SQLSTATE 'MG003' THEN
    RETURN SQLERRM;
END $$;

-- Gives a case its next owner or its end: {state} or {owner, skill?, priority?, due_seconds?, wait_for?, wait_ref?, wait_seconds?}.
CREATE FUNCTION case_next(p_platform uuid, p_case uuid, p_next jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_state text := coalesce(p_next->>'state', 'open');
    v_owner text := p_next->>'owner';
    v_order uuid;
BEGIN
    UPDATE cases SET
        state = v_state,
        owner = CASE WHEN v_state = 'open' THEN v_owner END,
        agent_id = NULL,
        due_at = CASE WHEN v_state = 'open' THEN p_now + make_interval(secs => coalesce((p_next->>'due_seconds')::float, 0)) END,
        skill = coalesce(p_next->>'skill', skill),
        priority = coalesce((p_next->>'priority')::int, priority),
        queued_at = CASE WHEN v_owner = 'queue' THEN coalesce(queued_at, p_now) ELSE queued_at END,
        wait_for = CASE WHEN v_owner = 'timer' THEN p_next->>'wait_for' END,
        wait_ref = CASE WHEN v_owner = 'timer' THEN p_next->>'wait_ref' END,
        wait_until = CASE WHEN v_owner = 'timer'
            THEN CASE WHEN cases.wait_for = p_next->>'wait_for' AND cases.wait_ref IS NOT DISTINCT FROM p_next->>'wait_ref' THEN coalesce(cases.wait_until, p_now + make_interval(secs => (p_next->>'wait_seconds')::float))
                 ELSE p_now + make_interval(secs => (p_next->>'wait_seconds')::float) END END,
        outcome = coalesce(p_next->>'outcome', outcome),
        rest = CASE WHEN v_owner IN ('operation', 'queue') THEN p_next->'rest' END,
        ended_at = CASE WHEN v_state = 'open' THEN NULL ELSE p_now END,
        version = version + 1
    WHERE platform_id = p_platform AND id = p_case
    RETURNING order_id INTO v_order;
    IF v_state <> 'open' THEN
        UPDATE case_subject SET open = false WHERE platform_id = p_platform AND case_id = p_case AND open;
    END IF;
    IF v_state <> 'open' OR v_owner = 'queue' THEN
        INSERT INTO outbox (platform_id, order_id, type, data, created_at)
        VALUES (p_platform, v_order, 'case.' || CASE WHEN v_state = 'open' THEN 'handed_over' ELSE v_state END,
                jsonb_build_object('case', p_case, 'outcome', p_next->>'outcome'), p_now);
    END IF;
END $$;

-- ------------------------------------------------------------------------------------------- opening

-- Claims the case's subjects. True: at least one is the case's own. False: all are open elsewhere, and p_case has joined that case.
CREATE FUNCTION case_claim_subjects(p_platform uuid, p_case uuid, p_order uuid, p_problem text, p_passes uuid[], p_now timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_pass uuid;
    v_own int := 0;
    v_other uuid;
BEGIN
    FOREACH v_pass IN ARRAY p_passes LOOP
        INSERT INTO case_subject (platform_id, case_id, order_id, pass_id, problem) VALUES (p_platform, p_case, p_order, v_pass, p_problem)
        ON CONFLICT (platform_id, order_id, pass_id, problem) WHERE open DO NOTHING;
        IF FOUND THEN
            v_own := v_own + 1;
        ELSE
            SELECT case_id INTO v_other FROM case_subject WHERE platform_id = p_platform AND order_id = p_order
                AND pass_id IS NOT DISTINCT FROM v_pass AND problem = p_problem AND open;
            IF v_other = p_case THEN v_own := v_own + 1; END IF;
        END IF;
    END LOOP;
    IF v_own > 0 OR v_other IS NULL THEN RETURN true; END IF;
    UPDATE contact SET case_id = v_other WHERE platform_id = p_platform AND case_id = p_case;
    UPDATE message SET case_id = v_other WHERE platform_id = p_platform AND case_id = p_case;
    PERFORM timeline_add(p_platform, v_other, jsonb_build_array(jsonb_build_object(
        'kind', 'contact_joined', 'source', 'case', 'data', jsonb_build_object('from', p_case))), p_now);
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object(
        'kind', 'joined', 'source', 'case', 'data', jsonb_build_object('to', v_other))), p_now);
    UPDATE cases SET joined_to = v_other WHERE platform_id = p_platform AND id = p_case;
    PERFORM case_next(p_platform, p_case, '{"state": "joined"}', p_now);
    RETURN false;
END $$;

-- What was known of an order before a case came, as entries of the case's timeline.
CREATE FUNCTION order_entries(p_platform uuid, p_order uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'source', source, 'at', happened_at, 'data', data) ORDER BY seq), '[]')
    FROM order_fact WHERE platform_id = p_platform AND order_id = p_order
$$;

-- A case that has got its order: locks the order, copies what was known of it, claims the subjects. False: it joined another.
CREATE FUNCTION case_attach_order(p_platform uuid, p_case uuid, p_order uuid, p_problem text, p_passes uuid[], p_now timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM timeline_add(p_platform, p_case, order_entries(p_platform, p_order), p_now);
    RETURN case_claim_subjects(p_platform, p_case, p_order, p_problem, p_passes, p_now);
END $$;

-- Opens a case: idempotency row, case, contact, message, timeline, subjects. Returns {status: opened|joined|repeat|mismatch, case, epoch}.
CREATE FUNCTION case_open(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_case uuid := (doc->>'case')::uuid;
    v_order uuid := (doc->>'order')::uuid;
    v_old record;
    v_entries jsonb;
BEGIN
    INSERT INTO idempotency (platform_id, caller, method, path, key, body_hash, resource_id, created_at)
    VALUES (v_platform, doc->>'caller', 'POST', '/v1/cases', doc->>'key', decode(doc->>'body_hash', 'hex'), v_case, v_now)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT encode(body_hash, 'hex') AS body_hash, resource_id INTO v_old FROM idempotency
        WHERE platform_id = v_platform AND caller = doc->>'caller' AND method = 'POST' AND path = '/v1/cases' AND key = doc->>'key';
        RETURN jsonb_build_object('status', CASE WHEN v_old.body_hash = doc->>'body_hash' THEN 'repeat' ELSE 'mismatch' END,
                                  'case', v_old.resource_id);
    END IF;
    IF v_order IS NOT NULL THEN
        PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = v_order FOR NO KEY UPDATE;
    END IF;
    v_entries := jsonb_build_array(jsonb_build_object('kind', 'contact_received', 'source', doc->>'channel', 'actor', doc->>'caller_name',
        'data', jsonb_strip_nulls(jsonb_build_object('problem', doc->>'problem', 'contact', doc->>'contact', 'message', doc->'message'->>'id',
                                                     'identity', doc->>'identity', 'requester', doc->>'requester'))));
    IF v_order IS NOT NULL THEN v_entries := order_entries(v_platform, v_order) || v_entries; END IF;
    INSERT INTO cases (platform_id, id, state, problem, show_id, order_id, claimed_order, session_id, requester, identity, channel, locale,
                       incident_ref, opened_by, owner, due_at, lease_epoch, timeline_seq, created_at)
    VALUES (v_platform, v_case, 'open', doc->>'problem', (doc->>'show')::uuid, v_order, doc->>'claimed_order', (doc->>'session')::uuid,
            doc->>'requester', doc->>'identity', doc->>'channel', doc->>'locale', doc->>'incident_ref', doc->>'caller', 'process',
            v_now + make_interval(secs => (doc->>'lease_seconds')::float), 1, jsonb_array_length(v_entries), v_now);
    PERFORM timeline_write(v_platform, v_case, 0, v_entries, v_now);
    INSERT INTO contact (platform_id, id, case_id, channel, caller, created_at)
    VALUES (v_platform, (doc->>'contact')::uuid, v_case, doc->>'channel', doc->>'caller_name', v_now);
    IF doc->'message'->>'id' IS NOT NULL THEN
        INSERT INTO message (platform_id, id, case_id, kind, author, body, created_at)
        VALUES (v_platform, (doc->'message'->>'id')::uuid, v_case, 'customer', doc->>'caller_name', doc->'message'->>'body', v_now);
    END IF;
    RETURN jsonb_build_object('case', v_case, 'epoch', 1, 'status', CASE WHEN v_order IS NULL OR case_claim_subjects(
        v_platform, v_case, v_order, doc->>'problem', ARRAY(SELECT (jsonb_array_elements_text(doc->'passes'))::uuid), v_now)
        THEN 'opened' ELSE 'joined' END);
END $$;

-- ------------------------------------------------------------------------------------------- sending

-- Readies one sending of an operation under its lease: the attempt and the try are there before anything leaves.
-- Returns {status: send|paused|lost|follow_up|expired|not_now, attempt, try, key, request, rail, unknown_before}.
CREATE FUNCTION operation_begin(p_platform uuid, p_operation uuid, p_epoch bigint, p_attempt uuid, p_lease_seconds float,
                                p_key_seconds float) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
    a attempt;
    v_try int;
    v_unknown boolean;                   -- some try of this key may have happened
    v_show uuid;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    IF o.lease_epoch <> p_epoch THEN RETURN '{"status": "lost"}'; END IF;
    IF o.state NOT IN ('READY', 'SENT') THEN RETURN jsonb_build_object('status', 'not_now', 'state', o.state); END IF;
    SELECT * INTO a FROM attempt WHERE platform_id = p_platform AND operation_id = p_operation
        AND state NOT IN ('REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT') FOR NO KEY UPDATE;
    IF a.state IN ('ACCEPTED', 'SUCCEEDED', 'NEEDS_REVIEW') THEN
        RETURN jsonb_build_object('status', 'follow_up', 'attempt', a.id, 'attempt_state', a.state, 'request', a.request, 'rail', a.rail,
                                  'key', a.key, 'try', 0, 'unknown_before', false);
    END IF;
    -- A try without a result under an older lease may have happened.
    UPDATE try SET result = 'UNKNOWN', detail = 'lease ended without an answer', ended_at = v_now
    WHERE platform_id = p_platform AND attempt_id = a.id AND result IS NULL;
    SELECT coalesce(max(seq), 0) + 1, coalesce(bool_or(result = 'UNKNOWN'), false) INTO v_try, v_unknown FROM try WHERE platform_id = p_platform AND attempt_id = a.id;
    IF NOT v_unknown THEN
        SELECT show_id INTO v_show FROM cases WHERE platform_id = p_platform AND id = o.case_id;
        IF braked(p_platform, o.action, o.rail, v_show) THEN
            UPDATE operation SET due_at = v_now + interval '30 seconds', lease_until = NULL WHERE platform_id = p_platform AND id = p_operation;
            RETURN '{"status": "paused"}';
        END IF;
    ELSIF a.key_expires_at <= v_now THEN
        UPDATE attempt SET state = 'NEEDS_REVIEW' WHERE platform_id = p_platform AND id = a.id;
        UPDATE operation SET state = 'NEEDS_REVIEW', due_at = v_now WHERE platform_id = p_platform AND id = p_operation;
        RETURN '{"status": "expired"}';
    END IF;
    IF a.id IS NULL THEN
        INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, first_sent_at, key_expires_at)
        SELECT p_platform, p_attempt, p_operation, 1 + count(*), o.rail, 'mg-' || replace(p_attempt::text, '-', ''),
               CASE o.action WHEN 'refund' THEN jsonb_build_object(
                   'operation_id', o.id, 'attempt_id', p_attempt,
                   'payment_ref', (SELECT provider_ref FROM payment WHERE platform_id = p_platform AND id = o.payment_id),
                   'amount', jsonb_build_object('minor', o.amount, 'currency', o.currency),
                   'reason', CASE WHEN o.reason IN ('duplicate_charge', 'no_pass') THEN 'duplicate' ELSE 'requested_by_customer' END)
               ELSE jsonb_build_object('operation_id', o.id, 'attempt_id', p_attempt, 'pass_id', o.pass_id, 'action', o.action,
                   'issuer', (SELECT coalesce(settings->'issuer'->>'url', '') FROM platform WHERE id = p_platform),
                   'order_ref', (SELECT ref FROM orders WHERE platform_id = p_platform AND id = o.order_id),
                   'position_ref', (SELECT line.ref FROM line JOIN pass ON pass.platform_id = p_platform AND pass.line_id = line.id
                                    WHERE line.platform_id = p_platform AND pass.id = o.pass_id)) || o.result END,
               'PREPARED', v_now, v_now + make_interval(secs => p_key_seconds)
        FROM attempt WHERE platform_id = p_platform AND operation_id = p_operation
        RETURNING * INTO a;
    ELSIF v_unknown THEN
        UPDATE attempt SET state = 'UNKNOWN' WHERE platform_id = p_platform AND id = a.id;
    ELSE
        -- No try of this key can have arrived, so the processor's window for it starts with this one.
        UPDATE attempt SET first_sent_at = v_now, key_expires_at = v_now + make_interval(secs => p_key_seconds)
        WHERE platform_id = p_platform AND id = a.id;
    END IF;
    INSERT INTO try (platform_id, attempt_id, seq, lease_epoch, started_at) VALUES (p_platform, a.id, v_try, p_epoch, v_now);
    UPDATE operation SET state = 'SENT', lease_until = v_now + make_interval(secs => p_lease_seconds),
        due_at = v_now + make_interval(secs => p_lease_seconds)
    WHERE platform_id = p_platform AND id = p_operation;
    RETURN jsonb_build_object('status', 'send', 'attempt', a.id, 'try', v_try, 'key', a.key, 'request', a.request, 'rail', a.rail,
                              'unknown_before', v_unknown);
END $$;

-- A new access token in place of every older one of the pass. `result` of the operation says {jti, show, expires_at}.
CREATE FUNCTION operation_reissue(p_platform uuid, p_operation uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    UPDATE access_token SET state = 'revoked', revoked_at = p_now
    WHERE platform_id = p_platform AND pass_id = o.pass_id AND state <> 'revoked' AND show_id = (o.result->>'show')::uuid;
    INSERT INTO access_token (platform_id, jti, pass_id, show_id, state, issued_at, expires_at)
    VALUES (p_platform, (o.result->>'jti')::uuid, o.pass_id, (o.result->>'show')::uuid, 'active', p_now, (o.result->>'expires_at')::timestamptz);
    UPDATE operation SET state = 'DONE', due_at = NULL, ended_at = p_now WHERE platform_id = p_platform AND id = p_operation;
    INSERT INTO outbox (platform_id, order_id, type, data, created_at)
    VALUES (p_platform, o.order_id, 'access.reissued', jsonb_build_object('pass', o.pass_id, 'jti', o.result->>'jti'), p_now);
END $$;

-- The new pass is confirmed: from now on it admits, the old one and its tokens do not. Its holder is sent the new one by p_resend.
CREATE FUNCTION operation_replaced(p_platform uuid, p_operation uuid, p_barcode text, p_resend uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    o operation;
    v_new uuid;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    v_new := (o.result->>'new_pass')::uuid;
    UPDATE pass SET status = 'void' WHERE platform_id = p_platform AND status = 'valid'
        AND line_id = (SELECT line_id FROM pass WHERE platform_id = p_platform AND id = o.pass_id);
    -- The platform's feed may have brought the new barcode before we knew it ourselves: then that pass is the new one.
    INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, replaces, created_at)
    SELECT p_platform, v_new, order_id, line_id, issuer, 'valid', p_barcode, id, p_now FROM pass WHERE platform_id = p_platform AND id = o.pass_id
    ON CONFLICT (platform_id, barcode) DO UPDATE SET status = 'valid', replaces = o.pass_id RETURNING id INTO v_new;
    UPDATE access_token SET state = 'revoked', revoked_at = p_now
    WHERE platform_id = p_platform AND pass_id = o.pass_id AND state <> 'revoked';
    UPDATE operation SET state = 'DONE', due_at = NULL, ended_at = p_now WHERE platform_id = p_platform AND id = p_operation;
    INSERT INTO operation (platform_id, id, case_id, order_id, decision_id, action, state, rail, pass_id, result, priority, due_at, created_at)
    VALUES (p_platform, p_resend, o.case_id, o.order_id, o.decision_id, 'resend_pass', 'READY', 'mail', v_new, '{"letter": "pass_replaced"}',
            o.priority, p_now, p_now);
    INSERT INTO outbox (platform_id, order_id, type, data, created_at)
    VALUES (p_platform, o.order_id, 'pass.replaced', jsonb_build_object('old', o.pass_id, 'new', v_new), p_now);
END $$;

-- A pass of our own that admits nobody any more, nor do its tokens.
CREATE FUNCTION operation_voided(p_platform uuid, p_operation uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    UPDATE pass SET status = 'void' WHERE platform_id = p_platform AND id = o.pass_id;
    UPDATE access_token SET state = 'revoked', revoked_at = p_now
    WHERE platform_id = p_platform AND pass_id = o.pass_id AND state <> 'revoked';
    UPDATE operation SET state = 'DONE', due_at = NULL, ended_at = p_now WHERE platform_id = p_platform AND id = p_operation;
    INSERT INTO outbox (platform_id, order_id, type, data, created_at)
    VALUES (p_platform, o.order_id, 'pass.voided', jsonb_build_object('pass', o.pass_id), p_now);
END $$;

-- ------------------------------------------------------------------------------------------- deciding

-- Refunds under the harms' locks, at most what each award still lacks, over the payments in the order given.
-- Returns the number of harms with something left. Raises MG001 when the payments cannot bear it (decide again).
CREATE FUNCTION refunds_award(p_platform uuid, p_case uuid, p_order uuid, p_decision uuid, p_refunds jsonb, p_payments uuid[], p_ids uuid[],
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
        ON CONFLICT DO NOTHING;
        SELECT * INTO h FROM harm WHERE platform_id = p_platform AND order_id = p_order AND line_id IS NOT DISTINCT FROM r.line
            AND payment_id IS NOT DISTINCT FROM r.payment AND cause = r.cause FOR NO KEY UPDATE;
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
        FOR p IN SELECT id, rail, currency, captured - refunded - reserved - refunded_elsewhere AS room FROM payment
                 WHERE platform_id = p_platform AND order_id = p_order AND status = 'confirmed' AND (r.payment IS NULL OR id = r.payment)
                 ORDER BY array_position(p_payments, id), id
        LOOP
            v_take := least(v_need, p.room);
            CONTINUE WHEN v_take <= 0;
            UPDATE payment SET reserved = reserved + v_take WHERE platform_id = p_platform AND id = p.id
                AND captured - refunded - reserved - refunded_elsewhere >= v_take;
            SELECT id INTO v_op FROM operation WHERE platform_id = p_platform AND decision_id = p_decision AND payment_id = p.id AND case_id = p_case;
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
    FOR p IN SELECT id, rail, amount, currency FROM operation WHERE platform_id = p_platform AND decision_id = p_decision AND case_id = p_case
             AND action = 'refund' ORDER BY id
    LOOP
        v_holds := p_hold;
        IF v_unseen > (p_limits->>'auto')::bigint AND NOT 'amount' = ANY (v_holds) THEN v_holds := v_holds || 'amount'::text; END IF;
        IF p.rail IS NULL THEN v_holds := v_holds || 'outside'::text; END IF;
        IF cardinality(v_holds) = 0 THEN
            v_cap := caps_take(p_platform, p_caps, p.rail, p.currency, p.amount, p_now);
            IF v_cap IS NOT NULL THEN v_holds := v_holds || ('cap_' || v_cap); END IF;
        END IF;
        UPDATE operation SET holds = v_holds, state = CASE WHEN cardinality(v_holds) = 0 THEN 'READY' ELSE 'HELD' END,
            approvals_needed = CASE WHEN cardinality(v_holds) = 0 THEN 0 WHEN v_unseen > (p_limits->>'second')::bigint THEN greatest(approvals_needed, 2)
                               ELSE greatest(approvals_needed, 1) END,
            due_at = p_now + CASE WHEN cardinality(v_holds) = 0 THEN interval '0' ELSE interval '1 hour' END
        WHERE platform_id = p_platform AND id = p.id;
    END LOOP;
    -- A position that is promised back in full does not admit while the money is on its way.
    UPDATE access_token t SET state = 'suspended' FROM pass, line
    WHERE t.platform_id = p_platform AND t.state = 'active' AND pass.platform_id = p_platform AND pass.id = t.pass_id
      AND pass.order_id = p_order AND line.platform_id = p_platform AND line.id = pass.line_id AND line.price > 0 AND line.awarded = line.price;
    RETURN v_count;
END $$;

-- A pass that admits nobody any more, or whose position is promised back in full: nothing new is made for its holder.
CREATE FUNCTION pass_given_back(p_platform uuid, p_pass uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pass JOIN line ON line.platform_id = p_platform AND line.id = pass.line_id
        WHERE pass.platform_id = p_platform AND pass.id = p_pass AND (pass.status <> 'valid' OR (line.price > 0 AND line.awarded >= line.price)))
$$;

-- The operations on passes that a decision asks for, [{id, action, pass, rail, result}]. One open operation a pass and action.
CREATE FUNCTION passes_act(p_platform uuid, p_case uuid, p_order uuid, p_decision uuid, p_actions jsonb, p_hold text[], p_priority int,
                           p_now timestamptz) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    r record;
    v_show uuid;
    v_count int := 0;
BEGIN
    SELECT show_id INTO v_show FROM cases WHERE platform_id = p_platform AND id = p_case;
    FOR r IN SELECT * FROM jsonb_to_recordset(p_actions) AS (id uuid, action text, pass uuid, rail text, result jsonb, resend uuid, barcode text)
             ORDER BY pass, action
    LOOP
        IF r.action <> 'void_pass' AND pass_given_back(p_platform, r.pass) THEN
            RAISE EXCEPTION USING ERRCODE = 'MG001', MESSAGE = 'the pass was given back';
        END IF;
        INSERT INTO operation (platform_id, id, case_id, order_id, decision_id, action, state, rail, pass_id, result, holds, approvals_needed, priority,
                               due_at, created_at)
        VALUES (p_platform, r.id, p_case, p_order, p_decision, r.action, CASE WHEN cardinality(p_hold) = 0 THEN 'READY' ELSE 'HELD' END, r.rail,
                r.pass, coalesce(r.result, '{}'), p_hold, CASE WHEN cardinality(p_hold) = 0 THEN 0 ELSE 1 END, p_priority,
                p_now + CASE WHEN cardinality(p_hold) = 0 THEN interval '0' ELSE interval '1 hour' END, p_now)
        ON CONFLICT (platform_id, pass_id, action) WHERE pass_id IS NOT NULL AND state NOT IN ('DONE', 'REFUSED', 'FAILED') DO NOTHING;
        CONTINUE WHEN NOT FOUND;
        v_count := v_count + 1;
        IF cardinality(p_hold) = 0 AND r.rail = 'here' AND NOT braked(p_platform, r.action, 'here', v_show) THEN
            IF r.action = 'reissue_access' THEN PERFORM operation_reissue(p_platform, r.id, p_now);
            ELSIF r.action = 'replace_pass' THEN PERFORM operation_replaced(p_platform, r.id, r.barcode, r.resend, p_now);
            ELSE PERFORM operation_voided(p_platform, r.id, p_now);
            END IF;
        END IF;
    END LOOP;
    RETURN v_count;
END $$;

-- What an operation that ended, or was accepted, means for its case. Takes nothing that the caller has not locked.
CREATE FUNCTION case_after_operations(p_platform uuid, p_case uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    c cases;
BEGIN
    SELECT * INTO c FROM cases WHERE platform_id = p_platform AND id = p_case;
    IF c.state <> 'open' OR EXISTS (SELECT FROM operation WHERE platform_id = p_platform AND case_id = p_case
                                    AND ended_at IS NULL AND accepted_at IS NULL AND action <> 'void_pass') THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM operation WHERE platform_id = p_platform AND case_id = p_case AND decision_id = c.decision_id
               AND state IN ('REFUSED', 'FAILED')) THEN
        IF c.owner IN ('operation', 'process', 'timer') THEN
            UPDATE cases SET owner = 'process', due_at = p_now, tell = true WHERE platform_id = p_platform AND id = p_case;
        END IF;
    ELSIF c.rest IS NOT NULL THEN
        PERFORM case_next(p_platform, p_case, c.rest, p_now);
    END IF;
END $$;

-- Stores a decision and everything that follows from it, under the case's lease.
-- Returns {status: stored|lost|joined, operations: [...]}; each operation to be sent comes with what operation_begin said.
-- Raises MG001 when the money moved meanwhile: read the facts again and decide anew.
CREATE FUNCTION case_decide(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_case uuid := (doc->>'case')::uuid;
    v_order uuid := (doc->>'order')::uuid;
    v_decision uuid := (doc->'decision'->>'id')::uuid;
    v_hold text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(doc->'holds', '[]')));
    v_ids uuid[] := ARRAY(SELECT (jsonb_array_elements_text(coalesce(doc->'ids', '[]')))::uuid);
    v_next jsonb := doc->'next';
    v_wanted boolean := jsonb_array_length(coalesce(doc->'refunds', '[]')) + jsonb_array_length(coalesce(doc->'passes', '[]')) > 0;
    v_made int := 0;
    v_begun jsonb := '[]';
    v_epoch bigint;
    v_entries jsonb := doc->'entries';   -- written once, with the case's row
    v_seq bigint;
    v_problem text;
    o record;
    n int := 0;
BEGIN
    IF v_order IS NOT NULL THEN
        PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = v_order FOR NO KEY UPDATE;
    END IF;
    SELECT lease_epoch, problem INTO v_epoch, v_problem FROM cases WHERE platform_id = v_platform AND id = v_case AND state = 'open' FOR NO KEY UPDATE;
    IF v_epoch IS DISTINCT FROM (doc->>'epoch')::bigint THEN RETURN '{"status": "lost"}'; END IF;
    -- What the case is about to wait for must not have come meanwhile: who brings it locks the same row, then wakes.
    IF v_next->>'wait_for' = 'incident_end' AND v_next->>'wait_ref' IS NOT NULL THEN
        PERFORM 1 FROM incident i JOIN cases c ON c.platform_id = v_platform AND c.id = v_case
        WHERE i.platform_id = v_platform AND i.show_id = c.show_id AND i.ref = v_next->>'wait_ref' AND (i.ends_at IS NULL OR i.ends_at > v_now)
        FOR SHARE OF i;
        IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'MG001', MESSAGE = 'the incident ended'; END IF;
    END IF;
    IF doc ? 'attach' THEN
        UPDATE cases SET order_id = v_order, show_id = coalesce(show_id, (doc->'attach'->>'show')::uuid), identity = doc->'attach'->>'identity',
            requester = doc->'attach'->>'requester' WHERE platform_id = v_platform AND id = v_case;
        IF NOT case_attach_order(v_platform, v_case, v_order, v_problem,
                                 ARRAY(SELECT (jsonb_array_elements_text(doc->'attach'->'passes'))::uuid), v_now) THEN
            RETURN '{"status": "joined"}';
        END IF;
    END IF;
    INSERT INTO decision (platform_id, id, case_id, outcome, verdicts, guards, created_at)
    VALUES (v_platform, v_decision, v_case, doc->'decision'->>'outcome', doc->'decision'->'verdicts', doc->'decision'->'guards', v_now);
    IF jsonb_array_length(coalesce(doc->'refunds', '[]')) > 0 THEN
        v_made := refunds_award(v_platform, v_case, v_order, v_decision, doc->'refunds',
            ARRAY(SELECT (jsonb_array_elements_text(doc->'payments'))::uuid), v_ids, v_hold, coalesce((doc->>'approvals')::int, 1), doc->'caps',
            doc->'limits', (doc->>'priority')::int, v_now);
    END IF;
    IF jsonb_array_length(coalesce(doc->'passes', '[]')) > 0 THEN
        v_made := v_made + passes_act(v_platform, v_case, v_order, v_decision, doc->'passes', v_hold, (doc->>'priority')::int, v_now);
    END IF;
    IF v_wanted AND v_made = 0 THEN
        v_next := doc->'next_if_paid';
        v_entries := v_entries || '[{"kind": "already_done", "source": "policy"}]';
    END IF;
    FOR o IN SELECT id, rail, action, amount, currency, payment_id, pass_id, state, holds FROM operation
             WHERE platform_id = v_platform AND case_id = v_case AND decision_id = v_decision ORDER BY created_at, id
    LOOP
        IF o.state = 'HELD' THEN
            v_next := jsonb_build_object('owner', 'queue', 'skill', coalesce(doc->>'hold_skill', 'payments'), 'due_seconds', 900,
                                         'priority', coalesce(doc->'hold_priority', '1'), 'rest', coalesce(v_next->'rest', v_next));
        END IF;
        v_entries := v_entries || jsonb_build_array(jsonb_build_object('kind', CASE o.state WHEN 'HELD' THEN 'operation_held'
            WHEN 'DONE' THEN 'operation_done' ELSE 'operation_ready' END, 'source', 'operation', 'data', jsonb_strip_nulls(jsonb_build_object(
                'operation', o.id, 'action', o.action, 'amount', o.amount, 'currency', o.currency, 'rail', o.rail, 'holds', to_jsonb(o.holds)))));
        CONTINUE WHEN o.state <> 'READY' OR o.rail = 'here' OR (doc->>'begin')::boolean IS NOT TRUE;
        n := n + 1;
        UPDATE operation SET lease_epoch = 1 WHERE platform_id = v_platform AND id = o.id;
        v_begun := v_begun || jsonb_build_array(jsonb_build_object('id', o.id, 'epoch', 1, 'action', o.action) || operation_begin(
            v_platform, o.id, 1, v_ids[cardinality(v_ids) - n + 1], (doc->>'lease_seconds')::float,
            coalesce((doc->'key_seconds'->>o.rail)::float, (doc->'key_seconds'->>'*')::float)));
    END LOOP;
    UPDATE cases SET decision_id = v_decision, outcome = doc->'decision'->>'outcome', answers = coalesce(doc->'answers', answers),
        timeline_seq = timeline_seq + jsonb_array_length(v_entries), version = version + 1
    WHERE platform_id = v_platform AND id = v_case RETURNING timeline_seq - jsonb_array_length(v_entries) INTO v_seq;
    PERFORM timeline_write(v_platform, v_case, v_seq, v_entries, v_now);
    PERFORM case_next(v_platform, v_case, v_next, v_now);
    IF v_made > 0 THEN PERFORM case_after_operations(v_platform, v_case, v_now); END IF;
    RETURN jsonb_build_object('status', 'stored', 'operations', v_begun);
END $$;

-- The hot path's first commit: open and decide in one.
CREATE FUNCTION case_open_and_decide(p_open jsonb, p_decide jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_opened jsonb := case_open(p_open);
BEGIN
    IF v_opened->>'status' <> 'opened' THEN RETURN v_opened; END IF;
    RETURN v_opened || case_decide(p_decide) || '{"status": "opened"}';
END $$;

-- ------------------------------------------------------------------------------------------- outcomes

CREATE FUNCTION book_move(p_platform uuid, o operation, p_attempt uuid, p_debit text, p_credit text, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO book (platform_id, at, debit, credit, amount, currency, payment_id, operation_id, attempt_id)
    VALUES (p_platform, p_now, p_debit, p_credit, o.amount, o.currency, o.payment_id, o.id, p_attempt)
$$;

-- Refund and access are one: a position whose accepted or settled refunds reach what was paid for it admits nobody any more.
CREATE FUNCTION refund_ends_access(p_platform uuid, o operation, p_now timestamptz) RETURNS void
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
            INSERT INTO outbox (platform_id, order_id, type, data, created_at)
            VALUES (p_platform, o.order_id, 'pass.voided', jsonb_build_object('pass', r.id), p_now);
        ELSE
            INSERT INTO operation (platform_id, id, case_id, order_id, action, state, rail, pass_id, priority, due_at, created_at)
            VALUES (p_platform, gen_random_uuid(), o.case_id, o.order_id, 'void_pass', 'READY', 'issuer', r.id, 1, p_now, p_now)
            ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;
END $$;

-- A refund that ended REFUSED or FAILED gives its part back: to the payment, the harms, the lines, and lifts the suspension.
CREATE FUNCTION refund_gives_back(p_platform uuid, o operation, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE payment SET reserved = reserved - o.amount WHERE platform_id = p_platform AND id = o.payment_id;
    PERFORM payment_recount(p_platform, o.payment_id);
    UPDATE line SET awarded = line.awarded - part.amount FROM operation_part part
    WHERE part.platform_id = p_platform AND part.operation_id = o.id AND line.platform_id = p_platform AND line.id = part.line_id;
    UPDATE harm SET awarded = harm.awarded - part.amount FROM operation_part part
    WHERE part.platform_id = p_platform AND part.operation_id = o.id AND harm.platform_id = p_platform AND harm.id = part.harm_id;
    UPDATE access_token t SET state = 'active' FROM pass, line
    WHERE t.platform_id = p_platform AND t.state = 'suspended' AND pass.platform_id = p_platform AND pass.id = t.pass_id
      AND pass.order_id = o.order_id AND line.platform_id = p_platform AND line.id = pass.line_id AND line.awarded < line.price;
END $$;

-- Stores what one sending brought, under the operation's lease: try, attempt, operation, payment, books, access, timeline, case.
-- doc: {platform, operation, epoch, attempt, try, result, detail, attempt_state, provider_ref, failure, state, due_seconds, holds, barcode, resend}
-- `state` is the operation's next: SENT (look again after due_seconds), DONE, REFUSED, FAILED, HELD, NEEDS_REVIEW.
CREATE FUNCTION operation_record(doc jsonb) RETURNS jsonb
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

-- Carries out an operation that our own tables do alone, under its lease. False: a brake is on, or the lease is lost.
CREATE FUNCTION operation_here(p_platform uuid, p_operation uuid, p_epoch bigint, p_barcode text, p_resend uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
    v_show uuid;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    SELECT show_id INTO v_show FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    IF o.lease_epoch <> p_epoch OR o.state <> 'READY' THEN RETURN false; END IF;
    IF braked(p_platform, o.action, o.rail, v_show) THEN
        UPDATE operation SET due_at = v_now + interval '30 seconds', lease_until = NULL WHERE platform_id = p_platform AND id = p_operation;
        RETURN false;
    END IF;
    IF o.action <> 'void_pass' AND pass_given_back(p_platform, o.pass_id) THEN
        UPDATE operation SET state = 'REFUSED', due_at = NULL, ended_at = v_now WHERE platform_id = p_platform AND id = p_operation;
        PERFORM order_fact_add(p_platform, o.order_id, o.action || '_refused', 'operation', v_now,
                               jsonb_build_object('operation', o.id, 'pass', o.pass_id, 'failure', 'given_back'), o.case_id);
        PERFORM case_after_operations(p_platform, o.case_id, v_now);
        RETURN true;
    END IF;
    IF o.action = 'reissue_access' THEN PERFORM operation_reissue(p_platform, p_operation, v_now);
    ELSIF o.action = 'replace_pass' THEN PERFORM operation_replaced(p_platform, p_operation, p_barcode, p_resend, v_now);
    ELSE PERFORM operation_voided(p_platform, p_operation, v_now);
    END IF;
    PERFORM order_fact_add(p_platform, o.order_id, o.action || '_done', 'operation', v_now,
                           jsonb_build_object('operation', o.id, 'pass', o.pass_id), o.case_id);
    PERFORM case_after_operations(p_platform, o.case_id, v_now);
    RETURN true;
END $$;

-- The hourly look at what people have: it makes sure that a queued case exists.
CREATE FUNCTION operation_look(p_platform uuid, p_operation uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    UPDATE operation SET due_at = v_now + interval '1 hour', lease_until = NULL
    WHERE platform_id = p_platform AND id = p_operation AND state IN ('HELD', 'NEEDS_REVIEW', 'CHOICE_NEEDED');
    IF FOUND THEN PERFORM operation_to_people(p_platform, p_operation, v_now); END IF;
END $$;

-- An operation that people must look at has a queued case: its own, opened again if it had ended.
CREATE FUNCTION operation_to_people(p_platform uuid, p_operation uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    c cases;
BEGIN
    SELECT cases.* INTO c FROM cases JOIN operation o ON o.platform_id = p_platform AND o.case_id = cases.id
    WHERE cases.platform_id = p_platform AND o.id = p_operation FOR NO KEY UPDATE OF cases;
    IF c.state = 'open' AND c.owner IN ('queue', 'agent') THEN RETURN; END IF;
    PERFORM case_reopen(p_platform, c.id, p_now);
    PERFORM case_next(p_platform, c.id, jsonb_build_object('owner', 'queue', 'skill', 'payments', 'priority', 1, 'due_seconds', 900,
        'outcome', 'escalate', 'rest', CASE WHEN c.state = 'open' THEN coalesce(c.rest, '{"state": "resolved"}') ELSE '{"state": "resolved"}' END), p_now);
END $$;

-- Opens an ended case again, with the subjects that nobody else has taken since.
CREATE FUNCTION case_reopen(p_platform uuid, p_case uuid, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cases SET state = 'open', owner = 'process', due_at = p_now, ended_at = NULL, joined_to = NULL, version = version + 1
    WHERE platform_id = p_platform AND id = p_case AND state <> 'open';
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE case_subject s SET open = true WHERE s.platform_id = p_platform AND s.case_id = p_case AND NOT s.open AND NOT EXISTS (
        SELECT FROM case_subject other WHERE other.platform_id = p_platform AND other.order_id = s.order_id
        AND other.pass_id IS NOT DISTINCT FROM s.pass_id AND other.problem = s.problem AND other.open);
    RETURN true;
END $$;

-- =========================================================================================== people

-- What people do with a case and with what is held for them, and what the claim loop takes up.

-- ------------------------------------------------------------------------------------------- claiming

-- Operations that are due, by priority and due time, each under a new lease. One query is retry, bulk, resume after a crash and sweep.
CREATE FUNCTION operations_claim(p_most int, p_lease_seconds float)
RETURNS TABLE (platform_id uuid, id uuid, epoch bigint, action text, state text, rail text, case_id uuid)
LANGUAGE sql AS $$
    WITH due AS MATERIALIZED (
        SELECT o.platform_id, o.id FROM (VALUES (0), (1), (2)) AS p(priority) CROSS JOIN LATERAL (
            SELECT operation.platform_id, operation.id FROM operation
            WHERE operation.priority = p.priority AND operation.due_at <= (SELECT app_now())
            ORDER BY operation.due_at LIMIT p_most FOR UPDATE SKIP LOCKED
        ) o LIMIT p_most
    )
    UPDATE operation SET lease_epoch = operation.lease_epoch + 1,
        lease_until = (SELECT app_now()) + make_interval(secs => p_lease_seconds),
        due_at = (SELECT app_now()) + make_interval(secs => p_lease_seconds)
    FROM due WHERE operation.platform_id = due.platform_id AND operation.id = due.id
    RETURNING operation.platform_id, operation.id, operation.lease_epoch, operation.action, operation.state, operation.rail, operation.case_id
$$;

-- Leases one operation for the request that is about to advance it; null when somebody else holds it or it is not to be sent.
CREATE FUNCTION operation_lease(p_platform uuid, p_operation uuid, p_lease_seconds float) RETURNS bigint
LANGUAGE sql AS $$
    UPDATE operation SET lease_epoch = lease_epoch + 1, lease_until = (SELECT app_now()) + make_interval(secs => p_lease_seconds),
        due_at = (SELECT app_now()) + make_interval(secs => p_lease_seconds)
    WHERE platform_id = p_platform AND id = p_operation AND state IN ('READY', 'SENT')
      AND (lease_until IS NULL OR lease_until <= (SELECT app_now()))
    RETURNING lease_epoch
$$;

-- Cases whose time has come: those to resolve come back under a new lease; an agent who vanished gives the case back to its queue;
-- a queued case is looked at again and rises; one whose operations are all settled goes to process.
CREATE FUNCTION cases_claim(p_most int, p_lease_seconds float) RETURNS TABLE (platform_id uuid, id uuid, epoch bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := app_now();
    c record;
BEGIN
    FOR c IN SELECT cases.platform_id, cases.id, owner, rest FROM cases WHERE state = 'open' AND due_at <= v_now
             ORDER BY due_at LIMIT p_most FOR UPDATE SKIP LOCKED
    LOOP
        IF c.owner = 'agent' THEN
            UPDATE cases SET owner = 'queue', agent_id = NULL, due_at = v_now + interval '15 minutes'
            WHERE cases.platform_id = c.platform_id AND cases.id = c.id;
            PERFORM timeline_add(c.platform_id, c.id, '[{"kind": "claim_ended", "source": "queue"}]', v_now);
        ELSIF c.owner = 'queue' THEN
            UPDATE cases SET priority = greatest(priority - 1, 1), due_at = v_now + interval '15 minutes'
            WHERE cases.platform_id = c.platform_id AND cases.id = c.id;
        ELSIF c.owner = 'operation' AND EXISTS (SELECT FROM operation o WHERE o.platform_id = c.platform_id AND o.case_id = c.id
                                                AND o.ended_at IS NULL AND o.accepted_at IS NULL AND o.action <> 'void_pass') THEN
            UPDATE cases SET due_at = v_now + interval '60 seconds' WHERE cases.platform_id = c.platform_id AND cases.id = c.id;
        ELSE
            -- Nobody watches what is taken up here: tell the customer by mail.
            RETURN QUERY UPDATE cases SET owner = 'process', lease_epoch = cases.lease_epoch + 1, tell = true,
                due_at = v_now + make_interval(secs => p_lease_seconds), version = version + 1
            WHERE cases.platform_id = c.platform_id AND cases.id = c.id RETURNING cases.platform_id, cases.id, cases.lease_epoch;
        END IF;
    END LOOP;
END $$;

-- Leases one case for the request that is about to resolve it; null when it is not open or somebody is at it.
CREATE FUNCTION case_lease(p_platform uuid, p_case uuid, p_lease_seconds float) RETURNS bigint
LANGUAGE sql AS $$
    UPDATE cases SET owner = 'process', lease_epoch = lease_epoch + 1, agent_id = NULL,
        due_at = (SELECT app_now()) + make_interval(secs => p_lease_seconds), version = version + 1
    WHERE platform_id = p_platform AND id = p_case AND state = 'open'
      AND (owner IN ('timer', 'operation') OR (owner = 'process' AND due_at <= (SELECT app_now())))
    RETURNING lease_epoch
$$;

-- ------------------------------------------------------------------------------------------- the customer speaks again

-- A further contact of the customer, or the wish for a person. Opens an ended case; p_person hands it to people.
-- p_answers are merged, and the case goes to process when it was asked or waiting.
CREATE FUNCTION case_contact(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_case uuid := (doc->>'case')::uuid;
    v_reopened boolean;
    c cases;
BEGIN
    SELECT coalesce(joined_to, id) INTO v_case FROM cases WHERE platform_id = v_platform AND id = v_case;
    IF doc ? 'once' THEN
        INSERT INTO idempotency (platform_id, caller, method, path, key, body_hash, resource_id, created_at)
        VALUES (v_platform, doc->'once'->>'caller', doc->'once'->>'method', doc->'once'->>'path', doc->'once'->>'key',
                decode(doc->'once'->>'body_hash', 'hex'), (doc->>'contact')::uuid, v_now)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RETURN jsonb_build_object('status', CASE WHEN EXISTS (SELECT FROM idempotency WHERE platform_id = v_platform
                AND caller = doc->'once'->>'caller' AND method = doc->'once'->>'method' AND path = doc->'once'->>'path'
                AND key = doc->'once'->>'key' AND body_hash = decode(doc->'once'->>'body_hash', 'hex')) THEN 'repeat' ELSE 'mismatch' END,
                'case', v_case);
        END IF;
    END IF;
    PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = (SELECT order_id FROM cases WHERE platform_id = v_platform AND id = v_case)
        FOR NO KEY UPDATE;
    SELECT * INTO c FROM cases WHERE platform_id = v_platform AND id = v_case FOR NO KEY UPDATE;
    INSERT INTO contact (platform_id, id, case_id, channel, caller, created_at)
    VALUES (v_platform, (doc->>'contact')::uuid, v_case, doc->>'channel', doc->>'caller_name', v_now);
    IF doc->'message'->>'id' IS NOT NULL THEN
        INSERT INTO message (platform_id, id, case_id, kind, author, body, created_at)
        VALUES (v_platform, (doc->'message'->>'id')::uuid, v_case, 'customer', doc->>'caller_name', doc->'message'->>'body', v_now);
    END IF;
    PERFORM timeline_add(v_platform, v_case, jsonb_build_array(jsonb_build_object('kind', doc->>'kind', 'source', doc->>'channel',
        'actor', doc->>'caller_name', 'data', jsonb_strip_nulls(jsonb_build_object('message', doc->'message'->>'id', 'contact', doc->>'contact',
        'answers', doc->'answers')))), v_now);
    v_reopened := case_reopen(v_platform, v_case, v_now);
    IF doc ? 'answers' THEN
        UPDATE cases SET answers = answers || (doc->'answers') WHERE platform_id = v_platform AND id = v_case;
    END IF;
    -- Words on a case that asks something else say that the question does not help.
    IF ((doc->>'person')::boolean AND (v_reopened OR c.owner NOT IN ('queue', 'agent')))
        OR (doc->>'kind' = 'said_more' AND c.state = 'open' AND c.owner = 'timer' AND c.wait_for LIKE 'answer:%') THEN
        PERFORM case_next(v_platform, v_case, jsonb_build_object('owner', 'queue', 'skill', coalesce(doc->>'skill', c.skill, 'support'), 'priority', 1,
            'due_seconds', 900, 'outcome', 'escalate'), v_now);
    ELSIF doc ? 'answers' AND c.owner = 'timer' THEN
        UPDATE cases SET owner = 'process', due_at = v_now, tell = false WHERE platform_id = v_platform AND id = v_case;
    ELSIF v_reopened THEN
        PERFORM case_next(v_platform, v_case, jsonb_build_object('owner', 'queue', 'skill', coalesce(c.skill, 'support'), 'priority', 1,
            'due_seconds', 900), v_now);
    END IF;
    RETURN jsonb_build_object('status', 'said', 'case', v_case, 'reopened', v_reopened);
END $$;

-- ------------------------------------------------------------------------------------------- agents

-- Takes a case for an agent: the best of the queue for the agent's skills, or p_case. Null when there is none or it is held by another.
CREATE FUNCTION case_take(p_platform uuid, p_agent uuid, p_actor text, p_case uuid, p_skills text[], p_lease_seconds float) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_case uuid;
BEGIN
    IF p_case IS NULL THEN
        SELECT id INTO v_case FROM cases WHERE platform_id = p_platform AND owner = 'queue' AND skill = ANY (p_skills)
        ORDER BY priority, queued_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    ELSE
        SELECT id INTO v_case FROM cases WHERE platform_id = p_platform AND id = p_case
            AND (owner = 'queue' OR (owner = 'agent' AND agent_id = p_agent)) FOR NO KEY UPDATE;
    END IF;
    IF v_case IS NULL THEN RETURN NULL; END IF;
    UPDATE cases SET owner = 'agent', agent_id = p_agent, due_at = v_now + make_interval(secs => p_lease_seconds),
        acknowledged_at = coalesce(acknowledged_at, v_now) WHERE platform_id = p_platform AND id = v_case;
    PERFORM timeline_add(p_platform, v_case, jsonb_build_array(jsonb_build_object('kind', 'taken', 'source', 'agent', 'actor', p_actor)), v_now);
    RETURN v_case;
END $$;

-- Ends or passes on a case that this agent holds: {state} or {owner: queue, skill?}. False: the agent does not hold it.
CREATE FUNCTION case_leave(p_platform uuid, p_case uuid, p_agent uuid, p_actor text, p_kind text, p_next jsonb, p_data jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_rest jsonb;
BEGIN
    SELECT rest INTO v_rest FROM cases WHERE platform_id = p_platform AND id = p_case AND owner = 'agent' AND agent_id = p_agent FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', p_kind, 'source', 'agent', 'actor', p_actor,
                                                                                  'data', p_data)), v_now);
    UPDATE cases SET tell = true WHERE platform_id = p_platform AND id = p_case AND p_next ? 'state';
    PERFORM case_next(p_platform, p_case, CASE WHEN p_next ? 'state' OR v_rest IS NULL THEN p_next
                                          ELSE p_next || jsonb_build_object('rest', v_rest) END, v_now);
    RETURN true;
END $$;

-- A note or a reply. A reply is for the customer and acknowledges; a note never leaves.
CREATE FUNCTION message_add(p_platform uuid, p_case uuid, p_message uuid, p_kind text, p_actor text, p_body text, p_lease_seconds float) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    INSERT INTO message (platform_id, id, case_id, kind, author, body, created_at) VALUES (p_platform, p_message, p_case, p_kind, p_actor, p_body, v_now);
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', CASE p_kind WHEN 'note' THEN 'noted' ELSE 'replied' END,
        'source', 'agent', 'actor', p_actor, 'data', jsonb_build_object('message', p_message))), v_now);
    UPDATE cases SET acknowledged_at = CASE WHEN p_kind = 'reply' THEN coalesce(acknowledged_at, v_now) ELSE acknowledged_at END,
        due_at = CASE WHEN owner = 'agent' THEN v_now + make_interval(secs => p_lease_seconds) ELSE due_at END
    WHERE platform_id = p_platform AND id = p_case;
END $$;

-- One person's yes to a held operation. {status: approved|released|same_person|not_held|cap_reached, needed}.
CREATE FUNCTION operation_approve(p_platform uuid, p_operation uuid, p_agent uuid, p_actor text, p_reason text, p_needed int, p_caps jsonb)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
    v_given int;
    v_cap text;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    IF o.payment_id IS NOT NULL THEN
        PERFORM 1 FROM payment WHERE platform_id = p_platform AND order_id = o.order_id ORDER BY id FOR NO KEY UPDATE;
        IF EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND order_id = o.order_id AND dispute = 'open') THEN
            RETURN '{"status": "disputed"}';
        END IF;
    END IF;
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    IF o.state IS DISTINCT FROM 'HELD' THEN RETURN jsonb_build_object('status', 'not_held', 'state', o.state); END IF;
    o.approvals_needed := greatest(o.approvals_needed, p_needed);
    UPDATE operation SET approvals_needed = o.approvals_needed WHERE platform_id = p_platform AND id = p_operation;
    INSERT INTO approval (platform_id, operation_id, agent_id, reason, created_at) VALUES (p_platform, p_operation, p_agent, p_reason, v_now)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN jsonb_build_object('status', 'same_person', 'needed', o.approvals_needed); END IF;
    SELECT count(*) INTO v_given FROM approval WHERE platform_id = p_platform AND operation_id = p_operation;
    PERFORM timeline_add(p_platform, o.case_id, jsonb_build_array(jsonb_build_object('kind', 'operation_approved', 'source', 'agent', 'actor', p_actor,
        'data', jsonb_build_object('operation', o.id, 'given', v_given, 'needed', o.approvals_needed, 'reason', p_reason))), v_now);
    IF v_given < o.approvals_needed OR 'outside' = ANY (o.holds) THEN
        RETURN jsonb_build_object('status', 'approved', 'given', v_given, 'needed', o.approvals_needed);
    END IF;
    IF o.amount IS NOT NULL THEN
        v_cap := caps_take(p_platform, p_caps, o.rail, o.currency, o.amount, v_now);
        IF v_cap IS NOT NULL THEN
            DELETE FROM approval WHERE platform_id = p_platform AND operation_id = p_operation AND agent_id = p_agent;
            RETURN jsonb_build_object('status', 'cap_reached', 'cap', v_cap);
        END IF;
    END IF;
    UPDATE operation SET state = 'READY', holds = '{}', due_at = v_now WHERE platform_id = p_platform AND id = p_operation;
    UPDATE cases SET tell = true WHERE platform_id = p_platform AND id = o.case_id;
    RETURN jsonb_build_object('status', 'released', 'given', v_given, 'needed', o.approvals_needed);
END $$;

-- An agent's own action on a case that the agent holds, under the same locks and caps as the policy's.
-- {status: stored|already_paid|not_yours, operations}. Raises MG001 while a dispute is open.
CREATE FUNCTION case_act(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_case uuid := (doc->>'case')::uuid;
    v_order uuid := (doc->>'order')::uuid;
    v_decision uuid := (doc->>'decision')::uuid;
    v_needed int := (doc->>'needed')::int;
    v_ids uuid[] := ARRAY(SELECT (jsonb_array_elements_text(doc->'ids'))::uuid);
    v_hold text[] := CASE WHEN (doc->>'needed')::int > 1 THEN ARRAY['second_person'] ELSE '{}' END;
    v_begun jsonb := '[]';
    v_made int;
    o record;
    n int := 0;
BEGIN
    PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = v_order FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = v_platform AND id = v_case AND owner = 'agent' AND agent_id = (doc->>'agent')::uuid FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN '{"status": "not_yours"}'; END IF;
    INSERT INTO decision (platform_id, id, case_id, outcome, verdicts, guards, created_at)
    VALUES (v_platform, v_decision, v_case, 'act', '[]', '[]', v_now);
    PERFORM timeline_add(v_platform, v_case, jsonb_build_array(jsonb_build_object('kind', 'acted', 'source', 'agent', 'actor', doc->>'actor',
        'data', jsonb_build_object('action', doc->>'action', 'reason', doc->>'reason', 'decision', v_decision))), v_now);
    v_made := CASE WHEN jsonb_array_length(doc->'refunds') > 0 THEN refunds_award(v_platform, v_case, v_order, v_decision, doc->'refunds',
        ARRAY(SELECT (jsonb_array_elements_text(doc->'payments'))::uuid), v_ids, v_hold, v_needed, doc->'caps', '{}', 0, v_now)
        ELSE passes_act(v_platform, v_case, v_order, v_decision, doc->'passes', v_hold, 0, v_now) END;
    IF v_made = 0 THEN RETURN '{"status": "already_paid"}'; END IF;
    FOR o IN SELECT id, state, rail, action, amount, currency FROM operation
             WHERE platform_id = v_platform AND case_id = v_case AND decision_id = v_decision ORDER BY created_at, id
    LOOP
        PERFORM timeline_add(v_platform, v_case, jsonb_build_array(jsonb_build_object('kind', CASE o.state WHEN 'HELD' THEN 'operation_held'
            WHEN 'DONE' THEN 'operation_done' ELSE 'operation_ready' END, 'source', 'operation', 'data', jsonb_strip_nulls(jsonb_build_object(
            'operation', o.id, 'action', o.action, 'amount', o.amount, 'currency', o.currency, 'rail', o.rail)))), v_now);
        IF o.state = 'HELD' THEN
            INSERT INTO approval (platform_id, operation_id, agent_id, reason, created_at)
            VALUES (v_platform, o.id, (doc->>'agent')::uuid, doc->>'reason', v_now);
        END IF;
        CONTINUE WHEN o.state <> 'READY' OR o.rail = 'here';
        n := n + 1;
        UPDATE operation SET lease_epoch = 1 WHERE platform_id = v_platform AND id = o.id;
        v_begun := v_begun || jsonb_build_array(jsonb_build_object('id', o.id, 'epoch', 1) || operation_begin(
            v_platform, o.id, 1, v_ids[cardinality(v_ids) - n + 1], (doc->>'lease_seconds')::float,
            coalesce((doc->'key_seconds'->>o.rail)::float, (doc->'key_seconds'->>'*')::float)));
    END LOOP;
    RETURN jsonb_build_object('status', 'stored', 'operations', v_begun);
END $$;

-- What a lead found out about an operation that nobody could be sure of. p_moved: it did happen, under this reference.
-- A replaced pass that did come about is named by its barcode. {status: settled|not_in_review|reference_needed}
CREATE FUNCTION operation_judge(p_platform uuid, p_operation uuid, p_actor text, p_moved boolean, p_reference text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
    a attempt;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    IF p_moved AND p_reference IS NULL AND o.action IN ('refund', 'replace_pass') THEN RETURN '{"status": "reference_needed"}'; END IF;
    UPDATE operation SET lease_epoch = lease_epoch + 1 WHERE platform_id = p_platform AND id = p_operation AND state = 'NEEDS_REVIEW' RETURNING * INTO o;
    IF NOT FOUND THEN RETURN '{"status": "not_in_review"}'; END IF;
    SELECT * INTO a FROM attempt WHERE platform_id = p_platform AND operation_id = p_operation ORDER BY seq DESC LIMIT 1;
    PERFORM timeline_add(p_platform, o.case_id, jsonb_build_array(jsonb_build_object('kind', 'operation_judged', 'source', 'agent', 'actor', p_actor,
        'data', jsonb_build_object('operation', o.id, 'moved', p_moved, 'reference', p_reference))), v_now);
    PERFORM operation_record(jsonb_build_object('platform', p_platform, 'operation', p_operation, 'epoch', o.lease_epoch, 'attempt', a.id, 'try', 0,
        'result', 'ANSWERED', 'attempt_state', CASE WHEN p_moved THEN 'SUCCEEDED' ELSE 'FAILED' END,
        'state', CASE WHEN p_moved THEN 'DONE' ELSE 'FAILED' END, 'provider_ref', p_reference, 'barcode', p_reference,
        'resend', gen_random_uuid()));
    RETURN '{"status": "settled"}';
END $$;

-- A person's no to a held operation: it ends REFUSED and gives back what it had reserved. False: it was not held.
CREATE FUNCTION operation_refuse(p_platform uuid, p_operation uuid, p_actor text, p_reason text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    PERFORM 1 FROM payment WHERE platform_id = p_platform AND id = o.payment_id FOR NO KEY UPDATE;
    UPDATE operation SET state = 'REFUSED', due_at = NULL, ended_at = v_now WHERE platform_id = p_platform AND id = p_operation AND state = 'HELD'
    RETURNING * INTO o;
    IF NOT FOUND THEN RETURN false; END IF;
    IF o.action = 'refund' THEN PERFORM refund_gives_back(p_platform, o, v_now); END IF;
    PERFORM order_fact_add(p_platform, o.order_id, o.action || '_refused', 'agent', v_now, jsonb_build_object(
        'operation', o.id, 'amount', o.amount, 'currency', o.currency, 'by', p_actor, 'reason', p_reason), o.case_id);
    PERFORM case_after_operations(p_platform, o.case_id, v_now);
    RETURN true;
END $$;

-- A refund that people sent outside every rail, with its reference. {status: settled|not_held|needs_approval}.
CREATE FUNCTION operation_settle(p_platform uuid, p_operation uuid, p_attempt uuid, p_actor text, p_reference text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    IF o.state <> 'HELD' OR NOT 'outside' = ANY (o.holds) THEN RETURN '{"status": "not_held"}'; END IF;
    IF (SELECT count(*) FROM approval WHERE platform_id = p_platform AND operation_id = p_operation) < o.approvals_needed THEN
        RETURN '{"status": "needs_approval"}';
    END IF;
    UPDATE operation SET rail = 'manual', state = 'SENT', lease_epoch = lease_epoch + 1, due_at = v_now WHERE platform_id = p_platform AND id = p_operation;
    INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, first_sent_at)
    VALUES (p_platform, p_attempt, p_operation, 1, 'manual', 'manual-' || p_operation, jsonb_build_object('reference', p_reference, 'by', p_actor),
            'PREPARED', v_now);
    INSERT INTO try (platform_id, attempt_id, seq, lease_epoch, started_at) VALUES (p_platform, p_attempt, 1, o.lease_epoch + 1, v_now);
    PERFORM operation_record(jsonb_build_object('platform', p_platform, 'operation', p_operation, 'epoch', o.lease_epoch + 1, 'attempt', p_attempt,
        'try', 1, 'result', 'ANSWERED', 'attempt_state', 'SUCCEEDED', 'state', 'DONE', 'provider_ref', p_reference));
    RETURN '{"status": "settled"}';
END $$;

-- =========================================================================================== access

-- The active token of a valid pass for a show it admits to, made if there is none. Null: no such pass, or one that is being given back.
CREATE FUNCTION access_issue(p_platform uuid, p_pass uuid, p_show text, p_jti uuid) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_show show;
    v_jti uuid;
BEGIN
    SELECT s.* INTO v_show FROM pass p JOIN line_show l ON l.platform_id = p_platform AND l.line_id = p.line_id
        JOIN show s ON s.platform_id = p_platform AND s.id = l.show_id
    WHERE p.platform_id = p_platform AND p.id = p_pass AND p.status = 'valid' AND s.ref = p_show FOR NO KEY UPDATE OF p;
    IF NOT FOUND OR pass_given_back(p_platform, p_pass) THEN RETURN NULL; END IF;
    SELECT jti INTO v_jti FROM access_token WHERE platform_id = p_platform AND pass_id = p_pass AND show_id = v_show.id AND state = 'active'
        AND expires_at > v_now;
    IF FOUND THEN RETURN v_jti; END IF;
    IF EXISTS (SELECT FROM access_token WHERE platform_id = p_platform AND pass_id = p_pass AND state = 'suspended') THEN RETURN NULL; END IF;
    INSERT INTO access_token (platform_id, jti, pass_id, show_id, state, issued_at, expires_at)
    VALUES (p_platform, p_jti, p_pass, v_show.id, 'active', v_now, greatest(v_show.ends_at, v_now) + interval '48 hours');
    RETURN p_jti;
END $$;
