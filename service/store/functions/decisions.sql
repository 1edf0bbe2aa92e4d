-- Storing a decision with everything that follows from it.

-- What an operation that ended, or was accepted, means for its case. Takes nothing that the caller has not locked.
CREATE OR REPLACE FUNCTION case_after_operations(p_platform uuid, p_case uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    c cases;
BEGIN
    SELECT * INTO c FROM cases WHERE platform_id = p_platform AND id = p_case;
    -- What another team judges ends by its answer, whatever comes of what had been sent.
    IF c.state = 'open' AND c.owner = 'timer' AND c.wait_for = 'referral' THEN RETURN; END IF;
    IF c.state <> 'open' OR EXISTS (SELECT FROM operation WHERE platform_id = p_platform AND case_id = p_case
                                    AND ended_at IS NULL AND accepted_at IS NULL AND action <> 'void_pass') THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM operation WHERE platform_id = p_platform AND case_id = p_case AND decision_id = c.decision_id
               AND state IN ('REFUSED', 'FAILED')) THEN
        -- What people have put aside stays theirs.
        IF c.owner IN ('operation', 'process') OR (c.owner = 'timer' AND NOT case_is_parked(c.owner, c.wait_for)) THEN
            UPDATE cases SET owner = 'process', due_at = p_now, tell = true WHERE platform_id = p_platform AND id = p_case;
        END IF;
    ELSIF c.rest IS NOT NULL THEN
        PERFORM case_next(p_platform, p_case, c.rest, p_now);
    END IF;
END $$;

-- Stores a decision and everything that follows from it, under the case's lease.
-- Returns {status: stored|lost|joined, operations: [...]}; each operation to be sent comes with what operation_begin said.
-- Raises MG001 when the money moved meanwhile: read the facts again and decide anew.
CREATE OR REPLACE FUNCTION case_decide(doc jsonb) RETURNS jsonb
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
        -- What another team judges alone is with that team: there is nothing that people of the desk could say yes to, while they have the question.
        IF o.state = 'HELD' AND (o.holds <> '{referral}' OR NOT referral_is_with_people(v_platform, v_order, v_case)) THEN
            v_next := jsonb_build_object('owner', 'queue', 'skill', coalesce(doc->>'hold_skill', 'payments'), 'due_seconds', 900,
                                         'priority', coalesce(doc->'hold_priority', '1'), 'rest', coalesce(v_next->'rest', v_next));
        END IF;
        v_entries := v_entries || jsonb_build_array(jsonb_build_object('kind', CASE o.state WHEN 'HELD' THEN 'operation_held'
            WHEN 'DONE' THEN 'operation_done' ELSE 'operation_ready' END, 'source', 'operation', 'data', jsonb_strip_nulls(jsonb_build_object(
                'operation', o.id, 'action', o.action, 'amount', o.amount, 'currency', o.currency, 'rail', o.rail, 'holds', to_jsonb(o.holds)))));
        CONTINUE WHEN o.state <> 'READY' OR o.rail = 'here' OR (doc->>'begin')::boolean IS NOT TRUE;
        UPDATE operation SET lease_epoch = 1 WHERE platform_id = v_platform AND id = o.id;
        v_begun := v_begun || jsonb_build_array(jsonb_build_object('id', o.id, 'epoch', 1, 'action', o.action) || operation_begin(
            v_platform, o.id, 1, (doc->>'lease_seconds')::float, doc->'key_seconds'));
    END LOOP;
    SELECT timeline_seq INTO v_seq FROM cases WHERE platform_id = v_platform AND id = v_case;
    PERFORM timeline_write(v_platform, v_case, v_seq, v_entries, v_now);
    PERFORM case_next(v_platform, v_case, v_next || jsonb_build_object('decided', jsonb_build_object('decision', v_decision,
        'outcome', doc->'decision'->>'outcome', 'entries', jsonb_array_length(v_entries)) || CASE WHEN doc ? 'answers'
        THEN jsonb_build_object('answers', doc->'answers') ELSE '{}' END), v_now);
    IF v_made > 0 THEN PERFORM case_after_operations(v_platform, v_case, v_now); END IF;
    RETURN jsonb_build_object('status', 'stored', 'operations', v_begun);
END $$;

-- The hot path's first commit: open and decide in one. With `offered`, what the customer said yes to, MG007 when it would not be done: nothing is stored.
CREATE OR REPLACE FUNCTION case_open_and_decide(p_open jsonb, p_decide jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_opened jsonb := case_open(p_open);
BEGIN
    IF v_opened->>'status' <> 'opened' THEN RETURN v_opened; END IF;
    v_opened := v_opened || case_decide(p_decide) || '{"status": "opened"}';
    IF p_decide ? 'offered' THEN
        PERFORM offer_holds((p_decide->>'platform')::uuid, (p_decide->>'case')::uuid, p_decide->'offered');
    END IF;
    RETURN v_opened;
END $$;
