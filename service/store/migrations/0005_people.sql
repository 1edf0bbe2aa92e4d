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
            UPDATE cases SET priority = greatest(priority - 1, 0), due_at = v_now + interval '15 minutes'
            WHERE cases.platform_id = c.platform_id AND cases.id = c.id;
        ELSIF c.owner = 'operation' AND EXISTS (SELECT FROM operation o WHERE o.platform_id = c.platform_id AND o.case_id = c.id
                                                AND o.ended_at IS NULL AND o.accepted_at IS NULL AND o.action <> 'void_pass') THEN
            UPDATE cases SET due_at = v_now + interval '60 seconds' WHERE cases.platform_id = c.platform_id AND cases.id = c.id;
        ELSE
            RETURN QUERY UPDATE cases SET owner = 'process', lease_epoch = cases.lease_epoch + 1,
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
    IF (doc->>'person')::boolean AND (v_reopened OR c.owner NOT IN ('queue', 'agent')) THEN
        PERFORM case_next(v_platform, v_case, jsonb_build_object('owner', 'queue', 'skill', coalesce(doc->>'skill', c.skill, 'core'), 'priority', 1,
            'due_seconds', 900, 'outcome', 'escalate'), v_now);
    ELSIF doc ? 'answers' AND c.owner = 'timer' THEN
        UPDATE cases SET owner = 'process', due_at = v_now WHERE platform_id = v_platform AND id = v_case;
    ELSIF v_reopened THEN
        PERFORM case_next(v_platform, v_case, jsonb_build_object('owner', 'queue', 'skill', coalesce(c.skill, 'core'), 'priority', 1,
            'due_seconds', 900), v_now);
    END IF;
    RETURN jsonb_build_object('case', v_case, 'reopened', v_reopened);
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
CREATE FUNCTION operation_approve(p_platform uuid, p_operation uuid, p_agent uuid, p_actor text, p_reason text, p_caps jsonb) RETURNS jsonb
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
    IF o.state <> 'HELD' THEN RETURN jsonb_build_object('status', 'not_held', 'state', o.state); END IF;
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
    RETURN jsonb_build_object('status', 'released', 'given', v_given, 'needed', o.approvals_needed);
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
