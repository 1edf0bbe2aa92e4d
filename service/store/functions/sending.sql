-- Before anything leaves: what is due, under a lease, with its attempt and its try.

CREATE OR REPLACE FUNCTION braked(p_platform uuid, p_action text, p_rail text, p_show uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM brake WHERE platform_id = p_platform AND (
        scope = 'all' OR (scope = 'action' AND ref = p_action) OR (scope = 'rail' AND ref = p_rail)
        OR (scope = 'show' AND ref = p_show::text)))
$$;

-- The id of an operation's n-th attempt is always the same, and so is its key: a database that was put back to an earlier state sends the
-- same request again, and the processor knows it.
CREATE OR REPLACE FUNCTION attempt_id(p_operation uuid, p_seq int) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$ SELECT md5(p_operation::text || ':' || p_seq)::uuid $$;

-- Whether any try of an attempt may have arrived: one without a result runs, or ran until its process died.
CREATE OR REPLACE FUNCTION attempt_may_have_arrived(p_platform uuid, p_attempt uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM try WHERE platform_id = p_platform AND attempt_id = p_attempt AND result IS DISTINCT FROM 'NOT_SENT')
$$;

-- What an attempt asks of its rail, stored before it is sent and sent again byte for byte. A pay-out names its destination by id alone.
CREATE OR REPLACE FUNCTION attempt_request(o operation, p_attempt uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN o.action = 'refund' THEN jsonb_strip_nulls(jsonb_build_object(
        'operation_id', o.id, 'attempt_id', p_attempt, 'destination_id', o.destination_id,
        'payment_ref', coalesce((SELECT provider_ref FROM payment WHERE platform_id = o.platform_id AND id = o.payment_id), ''),
        'amount', jsonb_build_object('minor', o.amount, 'currency', o.currency),
        'reason', CASE WHEN o.reason IN ('duplicate_charge', 'no_pass') THEN 'duplicate' ELSE 'requested_by_customer' END))
    ELSE jsonb_build_object('operation_id', o.id, 'attempt_id', p_attempt, 'pass_id', o.pass_id, 'action', o.action,
        'issuer', (SELECT coalesce(settings->'issuer'->>'url', '') FROM platform WHERE id = o.platform_id),
        'order_ref', (SELECT ref FROM orders WHERE platform_id = o.platform_id AND id = o.order_id),
        'position_ref', (SELECT line.ref FROM line JOIN pass ON pass.platform_id = o.platform_id AND pass.line_id = line.id
                         WHERE line.platform_id = o.platform_id AND pass.id = o.pass_id)) || o.result END
$$;

-- What others refunded meanwhile leaves no room for what is reserved: money that goes out now would go out on top.
CREATE OR REPLACE FUNCTION payment_has_excess(p_platform uuid, p_payment uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND id = p_payment
        AND refunded + reserved + refunded_elsewhere > captured)
$$;

-- A refund stops for people, who have to look at the order first.
CREATE OR REPLACE FUNCTION operation_stands(o operation, p_hold text, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE operation SET state = 'HELD', holds = ARRAY[p_hold], approvals_needed = greatest(approvals_needed, 1),
        paused_state = 'READY', due_at = p_now, lease_until = NULL
    WHERE platform_id = o.platform_id AND id = o.id
$$;

-- Whether a further attempt may take over now. Null: yes. Else what has to be read first, or `stay`: the first may have paid.
-- (a) The first is dead: it was read again within the last minute. (b) It never got the request: the payment was read within the hour, and
-- nobody else had touched it.
CREATE OR REPLACE FUNCTION takeover_needs(o operation, a attempt, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    p payment;
BEGIN
    SELECT * INTO p FROM payment WHERE platform_id = o.platform_id AND id = o.payment_id;
    IF p.dispute = 'open' THEN RETURN 'stay'; END IF;
    IF a.state IN ('REJECTED', 'FAILED', 'CANCELED') THEN
        RETURN CASE WHEN coalesce(o.proved_at > p_now - interval '1 minute', false) THEN NULL ELSE 'refund' END;
    ELSIF a.state = 'CLOSED_NOT_SENT' THEN
        RETURN NULL;
    ELSIF a.state <> 'PREPARED' OR attempt_may_have_arrived(o.platform_id, a.id) THEN
        RETURN 'stay';
    END IF;
    RETURN CASE WHEN coalesce(p.read_clean AND p.read_at > p_now - interval '1 hour', false) THEN NULL ELSE 'payment' END;
END $$;

-- The order that has to be read at its platform's own system before money leaves; null: it was read lately, or nobody can be asked.
CREATE OR REPLACE FUNCTION order_to_read(p_platform uuid, p_order uuid, p_now timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT o.ref FROM orders o JOIN platform p ON p.id = p_platform
    WHERE o.platform_id = p_platform AND o.id = p_order AND jsonb_typeof(p.settings->'source') = 'object'
      AND coalesce(o.read_at < p_now - interval '10 minutes', true)
$$;

-- The platform knows no such order any more, or nobody can read what it says: people look before anything goes out.
CREATE OR REPLACE FUNCTION operation_order_unclear(p_platform uuid, p_operation uuid, p_epoch bigint, p_hold text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    IF o.lease_epoch = p_epoch AND o.state IN ('READY', 'SENT') THEN PERFORM operation_stands(o, p_hold, app_now()); END IF;
END $$;

-- Readies one sending of an operation under its lease: the attempt and the try are there before anything leaves.
-- Returns {status: send|paused|lost|follow_up|expired|not_now|read_first, attempt, try, key, request, rail, unknown_before, ends_soon}.
-- p_key_seconds: how long each rail's keys hold, by name, `*` for all others.
CREATE OR REPLACE FUNCTION operation_begin(p_platform uuid, p_operation uuid, p_epoch bigint, p_lease_seconds float, p_key_seconds jsonb)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
    a attempt;                           -- the newest
    v_try int;
    v_unknown boolean;                   -- some try of this key may have happened
    v_show uuid;
    v_before attempt;                    -- the one that a further attempt follows
    v_needs text;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    IF o.lease_epoch <> p_epoch THEN RETURN '{"status": "lost"}'; END IF;
    IF o.state NOT IN ('READY', 'SENT') THEN RETURN jsonb_build_object('status', 'not_now', 'state', o.state); END IF;
    SELECT * INTO a FROM attempt WHERE platform_id = p_platform AND operation_id = p_operation ORDER BY seq DESC LIMIT 1 FOR NO KEY UPDATE;
    IF a.state IN ('ACCEPTED', 'SUCCEEDED', 'NEEDS_REVIEW') THEN
        RETURN jsonb_build_object('status', 'follow_up', 'attempt', a.id, 'attempt_state', a.state, 'request', a.request, 'rail', a.rail,
                                  'key', a.key, 'try', 0, 'unknown_before', false, 'accepted_at', o.accepted_at, 'provider_ref', coalesce(a.provider_ref, ''),
                                  'people_told', a.people_told_at IS NOT NULL);
    END IF;
    -- A try without a result under an older lease may have happened.
    UPDATE try SET result = 'UNKNOWN', detail = 'lease ended without an answer', ended_at = v_now
    WHERE platform_id = p_platform AND attempt_id = a.id AND result IS NULL;
    v_unknown := EXISTS (SELECT FROM try WHERE platform_id = p_platform AND attempt_id = a.id AND result = 'UNKNOWN');
    IF o.action = 'refund' AND (NOT v_unknown OR a.state IN ('REJECTED', 'FAILED', 'CANCELED')) THEN
        -- What was on its way to the rail when another team was asked, and never got there, waits as everything else does.
        IF referral_holds(p_platform, o.order_id, o.case_id) AND referral_stops(o, v_now) THEN
            RETURN '{"status": "not_now", "state": "HELD"}';
        END IF;
        -- Promised before it was known whose the charge is: another platform's money goes nowhere.
        IF payment_of_other(p_platform, o.payment_id) THEN
            PERFORM operation_stands(o, 'outside', v_now);
            RETURN '{"status": "not_now", "state": "HELD"}';
        END IF;
        -- What others refunded meanwhile, or the bank took, leaves no room: people look before anything goes out.
        IF payment_has_excess(p_platform, o.payment_id) THEN
            PERFORM operation_stands(o, 'excess', v_now);
            RETURN '{"status": "not_now", "state": "HELD"}';
        END IF;
        -- A shop may have refunded it another way while it waited.
        v_needs := order_to_read(p_platform, o.order_id, v_now);
        IF v_needs IS NOT NULL THEN RETURN jsonb_build_object('status', 'read_first', 'what', 'order', 'order', v_needs); END IF;
        -- A further attempt, on another rail or on the same one, needs the proof that the one before did not and never will pay, however
        -- long it has been waiting to be sent.
        SELECT * INTO v_before FROM attempt WHERE platform_id = p_platform AND operation_id = p_operation
            AND (a.rail <> o.rail OR a.state IN ('REJECTED', 'FAILED', 'CANCELED') OR seq < a.seq) ORDER BY seq DESC LIMIT 1;
        v_needs := CASE WHEN v_before.id IS NOT NULL THEN takeover_needs(o, v_before, v_now) END;
        IF v_needs = 'stay' AND a.rail <> o.rail AND a.state IN ('PREPARED', 'UNKNOWN') THEN
            -- The first must not be given up: the choice is void, and the same key goes on.
            UPDATE operation SET rail = a.rail, fell_over_from = NULL, choice_offered_at = NULL, destination_id = NULL
            WHERE platform_id = p_platform AND id = p_operation RETURNING * INTO o;
        ELSIF v_needs = 'stay' THEN
            PERFORM operation_stands(o, 'dispute', v_now);
            RETURN '{"status": "not_now", "state": "HELD"}';
        ELSIF v_needs IS NOT NULL THEN
            RETURN jsonb_build_object('status', 'read_first', 'what', v_needs, 'attempt', v_before.id, 'attempt_state', v_before.state,
                                      'rail', v_before.rail, 'request', v_before.request, 'try', 0, 'key', v_before.key,
                                      'provider_ref', coalesce(v_before.provider_ref, ''), 'payment_rail', coalesce((SELECT rail FROM payment
                                          WHERE platform_id = p_platform AND id = o.payment_id), ''));
        ELSIF a.rail <> o.rail AND a.state = 'PREPARED' THEN
            -- Closed in the transaction that opens the next, under this lease: who wakes up late finds it closed. It is read again later.
            UPDATE attempt SET state = 'CLOSED_NOT_SENT', read_again_at = v_now + interval '1 hour' WHERE platform_id = p_platform AND id = a.id
            RETURNING * INTO a;
        END IF;
    ELSIF a.rail <> o.rail THEN
        -- The first may have paid: the choice is void, and the same key goes on.
        UPDATE operation SET rail = a.rail, fell_over_from = NULL, choice_offered_at = NULL, destination_id = NULL
        WHERE platform_id = p_platform AND id = p_operation RETURNING * INTO o;
    END IF;
    IF a.state IN ('REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT') THEN
        v_try := a.seq;                  -- kept for the next attempt's number
        a := NULL;
        a.seq := v_try;
    END IF;
    SELECT coalesce(max(seq), 0) + 1, coalesce(bool_or(result = 'UNKNOWN'), false) INTO v_try, v_unknown FROM try
    WHERE platform_id = p_platform AND attempt_id = a.id;
    SELECT show_id INTO v_show FROM cases WHERE platform_id = p_platform AND id = o.case_id;
    IF braked(p_platform, o.action, o.rail, v_show) AND NOT coalesce(v_unknown AND a.key_expires_at <= v_now, false) THEN
        UPDATE operation SET due_at = v_now + interval '30 seconds', lease_until = NULL WHERE platform_id = p_platform AND id = p_operation;
        -- What may have happened is looked for; nothing is sent, not even the same again.
        IF NOT v_unknown OR o.action <> 'refund' THEN RETURN '{"status": "paused"}'; END IF;
        UPDATE attempt SET state = 'UNKNOWN' WHERE platform_id = p_platform AND id = a.id;
        RETURN jsonb_build_object('status', 'follow_up', 'attempt', a.id, 'attempt_state', 'UNKNOWN', 'request', a.request, 'rail', a.rail,
                                  'key', a.key, 'try', 0, 'unknown_before', true, 'provider_ref', coalesce(a.provider_ref, ''),
                                  'people_told', a.people_told_at IS NOT NULL);
    ELSIF v_unknown AND a.key_expires_at <= v_now THEN
        UPDATE attempt SET state = 'NEEDS_REVIEW' WHERE platform_id = p_platform AND id = a.id;
        UPDATE operation SET state = 'NEEDS_REVIEW', due_at = v_now WHERE platform_id = p_platform AND id = p_operation;
        RETURN '{"status": "expired"}';
    END IF;
    IF a.id IS NULL THEN
        a.seq := coalesce(a.seq, 0) + 1;
        a.id := attempt_id(p_operation, a.seq);
        INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, first_sent_at, key_expires_at)
        VALUES (p_platform, a.id, p_operation, a.seq, o.rail, 'mg-' || replace(a.id::text, '-', ''), attempt_request(o, a.id), 'PREPARED', v_now,
                v_now + make_interval(secs => coalesce((p_key_seconds->>o.rail)::float, (p_key_seconds->>'*')::float)))
        RETURNING * INTO a;
    ELSIF v_unknown THEN
        UPDATE attempt SET state = 'UNKNOWN' WHERE platform_id = p_platform AND id = a.id;
    ELSE
        -- No try of this key can have arrived, so the processor's window for it starts with this one.
        UPDATE attempt SET first_sent_at = v_now,
            key_expires_at = v_now + make_interval(secs => coalesce((p_key_seconds->>o.rail)::float, (p_key_seconds->>'*')::float))
        WHERE platform_id = p_platform AND id = a.id;
    END IF;
    INSERT INTO try (platform_id, attempt_id, seq, lease_epoch, started_at) VALUES (p_platform, a.id, v_try, p_epoch, v_now);
    UPDATE operation SET state = 'SENT', lease_until = v_now + make_interval(secs => p_lease_seconds),
        due_at = v_now + make_interval(secs => p_lease_seconds)
    WHERE platform_id = p_platform AND id = p_operation;
    RETURN jsonb_build_object('status', 'send', 'attempt', a.id, 'try', v_try, 'key', a.key, 'request', a.request, 'rail', a.rail,
                              'unknown_before', v_unknown, 'people_told', a.people_told_at IS NOT NULL,
                              'ends_soon', v_unknown AND a.key_expires_at <= v_now + interval '1 hour');
END $$;

-- A sending that has to wait for its turn was no try: nothing of it stays, and it is due again after p_seconds. False: the lease is lost.
CREATE OR REPLACE FUNCTION operation_waits(p_platform uuid, p_operation uuid, p_epoch bigint, p_attempt uuid, p_try int, p_seconds float)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    UPDATE operation SET due_at = v_now + make_interval(secs => p_seconds), lease_until = NULL,
        state = CASE WHEN p_try = 1 THEN 'READY' ELSE state END
    WHERE platform_id = p_platform AND id = p_operation AND lease_epoch = p_epoch AND state IN ('READY', 'SENT');
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM try WHERE platform_id = p_platform AND attempt_id = p_attempt AND seq = p_try AND result IS NULL;
    RETURN true;
END $$;

-- Operations that are due, by priority and due time, each under a new lease. One query is retry, bulk, resume after a crash and sweep.
CREATE OR REPLACE FUNCTION operations_claim(p_most int, p_lease_seconds float)
RETURNS TABLE (platform_id uuid, id uuid, epoch bigint, action text, state text, rail text, case_id uuid, priority int)
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
    RETURNING operation.platform_id, operation.id, operation.lease_epoch, operation.action, operation.state, operation.rail, operation.case_id,
        operation.priority
$$;

-- Leases one operation for the request that is about to advance it; null when somebody else holds it or it is not to be sent.
CREATE OR REPLACE FUNCTION operation_lease(p_platform uuid, p_operation uuid, p_lease_seconds float) RETURNS bigint
LANGUAGE sql AS $$
    UPDATE operation SET lease_epoch = lease_epoch + 1, lease_until = (SELECT app_now()) + make_interval(secs => p_lease_seconds),
        due_at = (SELECT app_now()) + make_interval(secs => p_lease_seconds)
    WHERE platform_id = p_platform AND id = p_operation AND state IN ('READY', 'SENT')
      AND (lease_until IS NULL OR lease_until <= (SELECT app_now()))
    RETURNING lease_epoch
$$;

-- The hourly look at what people have: it makes sure that a queued case exists.
CREATE OR REPLACE FUNCTION operation_look(p_platform uuid, p_operation uuid) RETURNS void
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
    -- A customer who is being asked where the money should go is with us, not with people.
    IF FOUND AND NOT (o.state = 'CHOICE_NEEDED' AND EXISTS (SELECT FROM cases WHERE platform_id = p_platform AND id = o.case_id
        AND state = 'open' AND (owner = 'process' OR (owner = 'timer' AND wait_for = 'answer:destination')))) THEN
        PERFORM operation_to_people(p_platform, p_operation, v_now);
    END IF;
END $$;

-- An operation that people must look at has a queued case: its own, opened again if it had ended.
CREATE OR REPLACE FUNCTION operation_to_people(p_platform uuid, p_operation uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    c cases;
BEGIN
    SELECT cases.* INTO c FROM cases JOIN operation o ON o.platform_id = p_platform AND o.case_id = cases.id
    WHERE cases.platform_id = p_platform AND o.id = p_operation FOR NO KEY UPDATE OF cases;
    -- What waits for another team's answer alone is with that team, while people have the case that asked.
    IF EXISTS (SELECT FROM operation WHERE platform_id = p_platform AND id = p_operation AND state = 'HELD' AND holds = '{referral}'
               AND referral_is_with_people(p_platform, order_id, case_id)) THEN
        RETURN;
    END IF;
    IF c.state = 'open' AND c.owner IN ('queue', 'agent') THEN RETURN; END IF;
    PERFORM case_reopen(p_platform, c.id, p_now);
    PERFORM case_next(p_platform, c.id, jsonb_build_object('owner', 'queue', 'skill', 'payments', 'priority', 1, 'due_seconds', 900,
        'outcome', 'escalate', 'rest', CASE WHEN c.state = 'open' THEN coalesce(c.rest, '{"state": "resolved"}') ELSE '{"state": "resolved"}' END), p_now);
END $$;
