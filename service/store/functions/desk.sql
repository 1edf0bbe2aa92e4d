-- What people do with a case and with what is held for them.

-- Ends a case that this agent holds: resolved or denied. ended; cannot_end: the agent does not hold it, or something in it is held or under way;
-- referral_open: what another team still judges does not end.
CREATE OR REPLACE FUNCTION case_end(p_platform uuid, p_case uuid, p_agent uuid, p_actor text, p_outcome text, p_reason text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = p_case AND owner = 'agent' AND agent_id = p_agent FOR NO KEY UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM operation WHERE platform_id = p_platform AND case_id = p_case AND ended_at IS NULL AND accepted_at IS NULL
                            AND action <> 'void_pass') THEN
        RETURN 'cannot_end';
    END IF;
    IF referral_asks(p_platform, p_case) THEN RETURN 'referral_open'; END IF;
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', p_outcome || '_by_person', 'source', 'agent',
        'actor', p_actor, 'data', jsonb_build_object('reason', p_reason))), v_now);
    UPDATE cases SET tell = true WHERE platform_id = p_platform AND id = p_case;
    PERFORM case_next(p_platform, p_case, jsonb_build_object('state', p_outcome,
        'outcome', CASE p_outcome WHEN 'resolved' THEN 'approve' ELSE 'deny' END), v_now);
    RETURN 'ended';
END $$;

-- An agent's own action on a case that the agent holds, under the same locks and caps as the policy's. doc.bound binds it to what the agent saw:
-- the preview (theirs, fresh, used once), the order's rows, and what it would do; `moved` when these are not as they were. doc.only_look: for
-- case_would() alone. {status: stored|already_paid|not_yours|moved|preview_used, operations}.
-- Raises MG001 while a dispute is open, MG005 when it would not do what the agent saw.
CREATE OR REPLACE FUNCTION case_act(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_case uuid := (doc->>'case')::uuid;
    v_order uuid := (doc->>'order')::uuid;
    v_decision uuid := (doc->>'decision')::uuid;
    v_needed int := (doc->>'needed')::int;
    v_ids uuid[] := ARRAY(SELECT (jsonb_array_elements_text(doc->'ids'))::uuid);
    v_hold text[] := ARRAY(SELECT jsonb_array_elements_text(doc->'holds'));
    v_preview uuid := (doc->'bound'->>'preview')::uuid;
    v_begun jsonb := '[]';
    v_made int;
    o record;
BEGIN
    PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = v_order FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = v_platform AND id = v_case AND state = 'open'
        AND (doc ? 'only_look' OR (owner = 'agent' AND agent_id = (doc->>'agent')::uuid)) FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN '{"status": "not_yours"}'; END IF;
    IF v_preview IS NOT NULL THEN
        IF order_mark(v_platform, v_order) IS DISTINCT FROM doc->'bound'->>'mark' THEN RETURN '{"status": "moved"}'; END IF;
        UPDATE preview SET used_at = v_now WHERE platform_id = v_platform AND id = v_preview AND case_id = v_case
            AND agent_id = (doc->>'agent')::uuid AND used_at IS NULL AND expires_at > v_now;
        IF NOT FOUND THEN RETURN '{"status": "preview_used"}'; END IF;
    END IF;
    INSERT INTO decision (platform_id, id, case_id, outcome, verdicts, guards, created_at)
    VALUES (v_platform, v_decision, v_case, 'act', '[]', '[]', v_now);
    PERFORM timeline_add(v_platform, v_case, jsonb_build_array(jsonb_build_object('kind', 'acted', 'source', 'agent', 'actor', doc->>'actor',
        'data', jsonb_strip_nulls(jsonb_build_object('action', doc->>'action', 'reason', doc->>'reason', 'decision', v_decision,
                                                     'preview', v_preview, 'facts_hash', doc->'bound'->'facts_hash')))), v_now);
    v_made := CASE WHEN jsonb_array_length(doc->'refunds') > 0 THEN refunds_award(v_platform, v_case, v_order, v_decision, doc->'refunds',
        ARRAY(SELECT (jsonb_array_elements_text(doc->'payments'))::uuid), v_ids, v_hold, v_needed, doc->'caps', doc->'limits', 0, v_now)
        ELSE passes_act(v_platform, v_case, v_order, v_decision, doc->'passes', v_hold, 0, v_now) END;
    IF v_made = 0 THEN RETURN '{"status": "already_paid"}'; END IF;
    FOR o IN SELECT id, state, rail, action, amount, currency FROM operation
             WHERE platform_id = v_platform AND case_id = v_case AND decision_id = v_decision ORDER BY created_at, id
    LOOP
        PERFORM timeline_add(v_platform, v_case, jsonb_build_array(jsonb_build_object('kind', CASE o.state WHEN 'HELD' THEN 'operation_held'
            WHEN 'DONE' THEN 'operation_done' ELSE 'operation_ready' END, 'source', 'operation', 'data', jsonb_strip_nulls(jsonb_build_object(
            'operation', o.id, 'action', o.action, 'amount', o.amount, 'currency', o.currency, 'rail', o.rail)))), v_now);
        -- Who proposes has agreed; a program never counts as one of the people.
        IF o.state = 'HELD' AND (doc->>'counts')::boolean THEN
            INSERT INTO approval (platform_id, operation_id, agent_id, reason, created_at)
            VALUES (v_platform, o.id, (doc->>'agent')::uuid, doc->>'reason', v_now);
        END IF;
        UPDATE operation SET preview_id = v_preview WHERE platform_id = v_platform AND id = o.id;
        CONTINUE WHEN o.state <> 'READY' OR o.rail = 'here';
        UPDATE operation SET lease_epoch = 1 WHERE platform_id = v_platform AND id = o.id;
        v_begun := v_begun || jsonb_build_array(jsonb_build_object('id', o.id, 'epoch', 1) || operation_begin(
            v_platform, o.id, 1, (doc->>'lease_seconds')::float, doc->'key_seconds'));
    END LOOP;
    IF v_preview IS NOT NULL AND act_outcome(v_platform, v_case, v_decision) IS DISTINCT FROM doc->'bound'->'would' THEN
        RAISE EXCEPTION USING ERRCODE = 'MG005', MESSAGE = 'it would not do what was seen';
    END IF;
    RETURN jsonb_build_object('status', 'stored', 'operations', v_begun);
END $$;

-- One person's yes to a held operation. p_bound: what that person saw {mark, given, facts_hash}; `moved` when it is not so any more.
-- {status: approved|released|same_person|not_held|referred|disputed|excess|cap_reached|moved, needed}.
CREATE OR REPLACE FUNCTION operation_approve(p_platform uuid, p_operation uuid, p_agent uuid, p_actor text, p_reason text, p_needed int, p_caps jsonb,
                                             p_bound jsonb DEFAULT '{}')
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
    IF p_bound ? 'mark' AND (order_mark(p_platform, o.order_id) IS DISTINCT FROM p_bound->>'mark' OR (SELECT count(*) FROM approval
            WHERE platform_id = p_platform AND operation_id = p_operation) IS DISTINCT FROM (p_bound->>'given')::int) THEN
        RETURN '{"status": "moved"}';
    END IF;
    IF o.payment_id IS NOT NULL THEN
        PERFORM 1 FROM payment WHERE platform_id = p_platform AND order_id = o.order_id ORDER BY id FOR NO KEY UPDATE;
        IF EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND order_id = o.order_id AND dispute = 'open') THEN
            RETURN '{"status": "disputed"}';
        END IF;
        IF o.action = 'refund' AND payment_has_excess(p_platform, o.payment_id) THEN RETURN '{"status": "excess"}'; END IF;
    END IF;
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    IF o.state IS DISTINCT FROM 'HELD' THEN RETURN jsonb_build_object('status', 'not_held', 'state', o.state); END IF;
    IF 'referral' = ANY (o.holds) THEN RETURN '{"status": "referred"}'; END IF;
    o.approvals_needed := greatest(o.approvals_needed, p_needed);
    UPDATE operation SET approvals_needed = o.approvals_needed WHERE platform_id = p_platform AND id = p_operation;
    INSERT INTO approval (platform_id, operation_id, agent_id, reason, created_at) VALUES (p_platform, p_operation, p_agent, p_reason, v_now)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN jsonb_build_object('status', 'same_person', 'needed', o.approvals_needed); END IF;
    SELECT count(*) INTO v_given FROM approval WHERE platform_id = p_platform AND operation_id = p_operation;
    PERFORM timeline_add(p_platform, o.case_id, jsonb_build_array(jsonb_build_object('kind', 'operation_approved', 'source', 'agent', 'actor', p_actor,
        'data', jsonb_strip_nulls(jsonb_build_object('operation', o.id, 'given', v_given, 'needed', o.approvals_needed, 'reason', p_reason,
                                                     'facts_hash', p_bound->'facts_hash')))), v_now);
    IF v_given < o.approvals_needed OR 'outside' = ANY (o.holds) THEN
        RETURN jsonb_build_object('status', 'approved', 'given', v_given, 'needed', o.approvals_needed);
    END IF;
    IF o.amount IS NOT NULL THEN
        SELECT t.reached, t.held INTO v_cap, o.caps FROM caps_take(p_platform, o.caps, p_caps, o.rail, o.currency, o.amount, v_now) AS t;
        IF v_cap IS NOT NULL THEN
            DELETE FROM approval WHERE platform_id = p_platform AND operation_id = p_operation AND agent_id = p_agent;
            RETURN jsonb_build_object('status', 'cap_reached', 'cap', v_cap);
        END IF;
    END IF;
    UPDATE operation SET state = 'READY', holds = '{}', caps = o.caps, due_at = v_now WHERE platform_id = p_platform AND id = p_operation;
    UPDATE cases SET tell = true WHERE platform_id = p_platform AND id = o.case_id;
    RETURN jsonb_build_object('status', 'released', 'given', v_given, 'needed', o.approvals_needed);
END $$;

-- A person's no to a held operation: it ends REFUSED and gives back what it had reserved. False: it was not held.
CREATE OR REPLACE FUNCTION operation_refuse(p_platform uuid, p_operation uuid, p_actor text, p_reason text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    PERFORM 1 FROM payment WHERE platform_id = p_platform AND id = o.payment_id FOR NO KEY UPDATE;
    UPDATE operation SET state = 'REFUSED', due_at = NULL, ended_at = v_now, lease_epoch = lease_epoch + 1
    WHERE platform_id = p_platform AND id = p_operation AND state IN ('HELD', 'CHOICE_NEEDED') AND NOT refund_may_have_left(operation)
    RETURNING * INTO o;
    IF NOT FOUND THEN RETURN false; END IF;
    IF o.action = 'refund' THEN PERFORM refund_gives_back(p_platform, o, v_now); END IF;
    PERFORM order_fact_add(p_platform, o.order_id, o.action || '_refused', 'agent', v_now, jsonb_build_object(
        'operation', o.id, 'amount', o.amount, 'currency', o.currency, 'pass', o.pass_id, 'by', p_actor, 'reason', p_reason), o.case_id);
    PERFORM case_after_operations(p_platform, o.case_id, v_now);
    RETURN true;
END $$;

-- A refund that people sent outside every rail, with its reference and day. {status: settled|not_held|referred|needs_approval|disputed|excess|under_way}.
CREATE OR REPLACE FUNCTION operation_settle(p_platform uuid, p_operation uuid, p_actor text, p_reference text, p_sent_on date) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
    a attempt;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    IF o.state <> 'HELD' OR NOT 'outside' = ANY (o.holds) THEN RETURN '{"status": "not_held"}'; END IF;
    IF 'referral' = ANY (o.holds) THEN RETURN '{"status": "referred"}'; END IF;
    IF EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND id = o.payment_id AND dispute = 'open') THEN RETURN '{"status": "disputed"}'; END IF;
    IF payment_has_excess(p_platform, o.payment_id) THEN RETURN '{"status": "excess"}'; END IF;
    IF (SELECT count(*) FROM approval WHERE platform_id = p_platform AND operation_id = p_operation) < o.approvals_needed THEN
        RETURN '{"status": "needs_approval"}';
    END IF;
    SELECT * INTO a FROM attempt WHERE platform_id = p_platform AND operation_id = p_operation ORDER BY seq DESC LIMIT 1 FOR NO KEY UPDATE;
    IF a.state = 'PREPARED' AND NOT attempt_may_have_arrived(p_platform, a.id) THEN
        UPDATE attempt SET state = 'CLOSED_NOT_SENT', read_again_at = v_now + interval '1 hour' WHERE platform_id = p_platform AND id = a.id;
    ELSIF a.state NOT IN ('REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT') THEN
        RETURN '{"status": "under_way"}';
    END IF;
    UPDATE operation SET rail = 'manual', state = 'SENT', lease_epoch = lease_epoch + 1, due_at = v_now WHERE platform_id = p_platform AND id = p_operation;
    a.seq := coalesce(a.seq, 0) + 1;
    INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, first_sent_at)
    VALUES (p_platform, attempt_id(p_operation, a.seq), p_operation, a.seq, 'manual', 'manual-' || p_operation || '-' || a.seq,
            jsonb_strip_nulls(jsonb_build_object('reference', p_reference, 'by', p_actor, 'sent_on', p_sent_on)), 'PREPARED', v_now);
    INSERT INTO try (platform_id, attempt_id, seq, lease_epoch, started_at) VALUES (p_platform, attempt_id(p_operation, a.seq), 1, o.lease_epoch + 1, v_now);
    PERFORM operation_record(jsonb_build_object('platform', p_platform, 'operation', p_operation, 'epoch', o.lease_epoch + 1,
        'attempt', attempt_id(p_operation, a.seq), 'try', 1, 'result', 'ANSWERED', 'attempt_state', 'SUCCEEDED', 'state', 'DONE',
        'provider_ref', p_reference));
    RETURN '{"status": "settled"}';
END $$;

-- What a lead found out about an operation that nobody could be sure of. p_moved: it did happen, under this reference.
-- A replaced pass that did come about is named by its barcode. {status: settled|not_in_review|reference_needed}
CREATE OR REPLACE FUNCTION operation_judge(p_platform uuid, p_operation uuid, p_actor text, p_moved boolean, p_reference text) RETURNS jsonb
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
    IF a.id IS NULL THEN
        INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state)
        VALUES (p_platform, attempt_id(p_operation, 1), p_operation, 1, coalesce(o.rail, 'manual'),
                'mg-' || replace(attempt_id(p_operation, 1)::text, '-', ''), attempt_request(o, attempt_id(p_operation, 1)), 'NEEDS_REVIEW')
        RETURNING * INTO a;
    END IF;
    PERFORM timeline_add(p_platform, o.case_id, jsonb_build_array(jsonb_build_object('kind', 'operation_judged', 'source', 'agent', 'actor', p_actor,
        'data', jsonb_build_object('operation', o.id, 'moved', p_moved, 'reference', p_reference))), v_now);
    PERFORM operation_record(jsonb_build_object('platform', p_platform, 'operation', p_operation, 'epoch', o.lease_epoch, 'attempt', a.id, 'try', 0,
        'result', 'ANSWERED', 'attempt_state', CASE WHEN p_moved THEN 'SUCCEEDED' ELSE 'FAILED' END,
        'state', CASE WHEN p_moved THEN 'DONE' ELSE 'FAILED' END, 'provider_ref', p_reference, 'barcode', p_reference,
        'resend', gen_random_uuid(),
        -- A bank may return what people found paid, as it may any other refund: it is looked at for as long.
        'read_again_seconds', CASE WHEN p_moved AND o.action = 'refund' THEN 86400 END));
    RETURN '{"status": "settled"}';
END $$;
