-- The life of a case: opened, given its next owner, joined, claimed, spoken to again.

-- Whether people have put a case aside: until its customer answers, for a while, or until another team has judged.
CREATE OR REPLACE FUNCTION case_is_parked(p_owner text, p_wait_for text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(p_owner = 'timer' AND p_wait_for IN ('customer', 'hold', 'referral'), false) $$;

-- Whether an open case is with people: in their queue, in somebody's hands, or put aside by one of them.
CREATE OR REPLACE FUNCTION case_is_with_people(p_owner text, p_wait_for text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(p_owner IN ('queue', 'agent'), false) OR case_is_parked(p_owner, p_wait_for) $$;

-- Gives a case its next owner or its end: {state} or {owner, skill?, priority?, due_seconds?, wait_for?, wait_ref?, wait_seconds?}.
-- With `decided`, {decision, outcome, answers?, entries}, its newest decision too, and so many entries more in its timeline: one write for both.
-- What another team still judges does not end, whoever says so: it stays with people, or waits for the answer.
CREATE OR REPLACE FUNCTION case_next(p_platform uuid, p_case uuid, p_next jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_state text := coalesce(p_next->>'state', 'open');
    v_owner text := p_next->>'owner';
    v_decided jsonb := p_next->'decided';
BEGIN
    IF v_state NOT IN ('open', 'joined') AND referral_asks(p_platform, p_case) THEN
        p_next := case_stays(p_platform, p_case, p_next, p_now);
        v_state := 'open';
        v_owner := p_next->>'owner';
    END IF;
    UPDATE cases SET
        state = v_state,
        owner = CASE WHEN v_state = 'open' THEN v_owner END,
        agent_id = CASE WHEN v_owner = 'agent' THEN agent_id END,
        due_at = CASE WHEN v_owner = 'agent' THEN due_at WHEN v_state = 'open' THEN p_now + make_interval(secs => coalesce((p_next->>'due_seconds')::float, 0)) END,
        skill = coalesce(p_next->>'skill', skill),
        priority = coalesce((p_next->>'priority')::int, priority),
        queued_at = CASE WHEN v_owner = 'queue' THEN coalesce(queued_at, p_now) ELSE queued_at END,
        wait_for = CASE WHEN v_owner = 'timer' THEN p_next->>'wait_for' END,
        wait_ref = CASE WHEN v_owner = 'timer' THEN p_next->>'wait_ref' END,
        wait_until = CASE WHEN v_owner = 'timer'
            THEN CASE WHEN cases.wait_for = p_next->>'wait_for' AND cases.wait_ref IS NOT DISTINCT FROM p_next->>'wait_ref' THEN coalesce(cases.wait_until, p_now + make_interval(secs => (p_next->>'wait_seconds')::float))
                 ELSE p_now + make_interval(secs => (p_next->>'wait_seconds')::float) END END,
        outcome = coalesce(p_next->>'outcome', v_decided->>'outcome', outcome),
        decision_id = coalesce((v_decided->>'decision')::uuid, decision_id),
        answers = coalesce(v_decided->'answers', answers),
        timeline_seq = timeline_seq + coalesce((v_decided->>'entries')::int, 0),
        rest = CASE WHEN v_owner IN ('operation', 'queue', 'agent') OR p_next->>'wait_for' IN ('answer:destination', 'referral') THEN p_next->'rest' END,
        ended_at = CASE WHEN v_state = 'open' THEN NULL ELSE p_now END,
        unanswered_at = CASE WHEN v_state = 'open' THEN unanswered_at END,
        version = version + 1
    WHERE platform_id = p_platform AND id = p_case;
    IF v_state <> 'open' THEN
        UPDATE case_subject SET open = false WHERE platform_id = p_platform AND case_id = p_case AND open;
    END IF;
END $$;

-- What case_next gives a case that would end while another team judges it: who has it keeps it; else it waits for the answer, or, when that is
-- overdue or asks back, comes to people. How it would have ended is kept.
CREATE OR REPLACE FUNCTION case_stays(p_platform uuid, p_case uuid, p_next jsonb, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_owner text := (SELECT owner FROM cases WHERE platform_id = p_platform AND id = p_case);
    v_wait jsonb := (SELECT jsonb_build_object('owner', 'timer', 'wait_for', 'referral', 'wait_ref', id,
            'wait_seconds', extract(epoch FROM answer_by - p_now), 'due_seconds', extract(epoch FROM answer_by - p_now))
        FROM referral WHERE platform_id = p_platform AND case_id = p_case AND state = 'open' AND answer_by > p_now ORDER BY answer_by LIMIT 1);
BEGIN
    RETURN CASE WHEN v_owner = 'agent' THEN '{"owner": "agent"}' WHEN v_owner = 'queue' OR v_wait IS NULL
            THEN '{"owner": "queue", "due_seconds": 900}' ELSE v_wait END
        || jsonb_strip_nulls(jsonb_build_object('outcome', 'escalate', 'rest', p_next - 'decided', 'decided', p_next->'decided'));
END $$;

-- Claims the case's subjects. True: at least one is the case's own. False: all are open elsewhere, and p_case has joined that case.
CREATE OR REPLACE FUNCTION case_claim_subjects(p_platform uuid, p_case uuid, p_order uuid, p_problem text, p_passes uuid[], p_now timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_pass uuid;
    v_own int := 0;
    v_other uuid;
    v_show uuid := (SELECT show_id FROM cases WHERE platform_id = p_platform AND id = p_case);
BEGIN
    FOREACH v_pass IN ARRAY p_passes LOOP
        INSERT INTO case_subject (platform_id, case_id, order_id, show_id, pass_id, problem)
        VALUES (p_platform, p_case, p_order, v_show, v_pass, p_problem)
        ON CONFLICT (platform_id, order_id, show_id, pass_id, problem) WHERE open DO NOTHING;
        IF FOUND THEN
            v_own := v_own + 1;
        ELSE
            SELECT case_id INTO v_other FROM case_subject WHERE platform_id = p_platform AND order_id = p_order
                AND show_id IS NOT DISTINCT FROM v_show AND pass_id IS NOT DISTINCT FROM v_pass AND problem = p_problem AND open;
            IF v_other = p_case THEN v_own := v_own + 1; END IF;
        END IF;
    END LOOP;
    -- What another team judges stays a case of its own.
    IF v_own > 0 OR v_other IS NULL OR referral_asks(p_platform, p_case) THEN RETURN true; END IF;
    UPDATE contact SET case_id = v_other WHERE platform_id = p_platform AND case_id = p_case;
    UPDATE message SET case_id = v_other WHERE platform_id = p_platform AND case_id = p_case;
    UPDATE cases SET player = own.player FROM cases own WHERE cases.platform_id = p_platform AND cases.id = v_other
        AND own.platform_id = p_platform AND own.id = p_case AND own.player IS NOT NULL;
    PERFORM timeline_add(p_platform, v_other, jsonb_build_array(jsonb_build_object(
        'kind', 'contact_joined', 'source', 'case', 'data', jsonb_build_object('from', p_case))), p_now);
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object(
        'kind', 'joined', 'source', 'case', 'data', jsonb_build_object('to', v_other))), p_now);
    UPDATE cases SET joined_to = v_other WHERE platform_id = p_platform AND id = p_case;
    PERFORM case_next(p_platform, p_case, '{"state": "joined"}', p_now);
    RETURN false;
END $$;

-- A case that has got its order: locks the order, copies what was known of it, claims the subjects. False: it joined another.
CREATE OR REPLACE FUNCTION case_attach_order(p_platform uuid, p_case uuid, p_order uuid, p_problem text, p_passes uuid[], p_now timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM timeline_add(p_platform, p_case, order_entries(p_platform, p_order), p_now);
    RETURN case_claim_subjects(p_platform, p_case, p_order, p_problem, p_passes, p_now);
END $$;

-- Opens a case: idempotency row, case, contact, message, timeline, subjects. Returns {status: opened|joined|repeat|mismatch, case, epoch}.
CREATE OR REPLACE FUNCTION case_open(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_case uuid := (doc->>'case')::uuid;
    v_order uuid := (doc->>'order')::uuid;
    v_old jsonb;
    v_entries jsonb;
BEGIN
    v_old := key_take(v_platform, jsonb_build_object('caller', doc->>'caller', 'method', 'POST', 'path', '/v1/cases', 'key', doc->>'key',
                                                     'body_hash', doc->>'body_hash'), v_case, v_now);
    IF v_old IS NOT NULL THEN RETURN jsonb_build_object('status', v_old->>'status', 'case', v_old->>'resource'); END IF;
    IF v_order IS NOT NULL THEN
        PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = v_order FOR NO KEY UPDATE;
    END IF;
    v_entries := jsonb_build_array(jsonb_build_object('kind', 'contact_received', 'source', doc->>'channel', 'actor', doc->>'caller_name',
        'data', jsonb_strip_nulls(jsonb_build_object('problem', doc->>'problem', 'contact', doc->>'contact', 'message', doc->'message'->>'id',
                                                     'identity', doc->>'identity', 'requester', doc->>'requester'))));
    IF v_order IS NOT NULL THEN v_entries := order_entries(v_platform, v_order) || v_entries; END IF;
    INSERT INTO cases (platform_id, id, state, problem, show_id, order_id, claimed_order, session_id, requester, identity, channel, locale,
                       incident_ref, opened_by, player, owner, due_at, lease_epoch, timeline_seq, created_at)
    VALUES (v_platform, v_case, 'open', doc->>'problem', (doc->>'show')::uuid, v_order, doc->>'claimed_order', (doc->>'session')::uuid,
            doc->>'requester', doc->>'identity', doc->>'channel', doc->>'locale', doc->>'incident_ref', doc->>'caller', doc->'player', 'process',
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

-- Opens an ended case again, with the subjects that nobody else has taken since.
CREATE OR REPLACE FUNCTION case_reopen(p_platform uuid, p_case uuid, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cases SET state = 'open', owner = 'process', due_at = p_now, ended_at = NULL, joined_to = NULL, version = version + 1
    WHERE platform_id = p_platform AND id = p_case AND state <> 'open';
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE case_subject s SET open = true WHERE s.platform_id = p_platform AND s.case_id = p_case AND NOT s.open AND NOT EXISTS (
        SELECT FROM case_subject other WHERE other.platform_id = p_platform AND other.order_id = s.order_id
        AND other.show_id IS NOT DISTINCT FROM s.show_id AND other.pass_id IS NOT DISTINCT FROM s.pass_id AND other.problem = s.problem AND other.open);
    RETURN true;
END $$;

-- A further contact of the customer, or the wish for a person: {status: said|repeat|mismatch, case, reopened}. Opens an ended case; `person` hands
-- it to people. `answers` are merged, and the case goes to process when it was asked or waiting. `once` is the client's key, as key_take has it.
-- On a case that people had put aside, or had ended, it comes back to who had it, if they are there. From then on it is unanswered.
CREATE OR REPLACE FUNCTION case_contact(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_case uuid := (doc->>'case')::uuid;
    v_reopened boolean;
    v_parked boolean;
    v_old jsonb;
    c cases;
BEGIN
    SELECT coalesce(joined_to, id) INTO v_case FROM cases WHERE platform_id = v_platform AND id = v_case;
    v_old := key_take(v_platform, doc->'once', (doc->>'contact')::uuid, v_now);
    IF v_old IS NOT NULL THEN RETURN jsonb_build_object('status', v_old->>'status', 'case', v_case); END IF;
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
    v_parked := case_is_parked(c.owner, c.wait_for);
    v_reopened := case_reopen(v_platform, v_case, v_now);
    IF doc ? 'answers' THEN
        UPDATE cases SET answers = answers || (doc->'answers') WHERE platform_id = v_platform AND id = v_case;
    END IF;
    IF v_parked THEN
        PERFORM case_comes_back(v_platform, v_case, v_now);
    -- Words on a case that asks something else say that the question does not help.
    ELSIF ((doc->>'person')::boolean AND (v_reopened OR c.owner NOT IN ('queue', 'agent')))
        OR (doc->>'kind' = 'said_more' AND c.state = 'open' AND c.owner = 'timer' AND c.wait_for LIKE 'answer:%') THEN
        PERFORM case_next(v_platform, v_case, jsonb_build_object('owner', 'queue', 'skill', coalesce(doc->>'skill', c.skill, 'support'), 'priority', 1,
            'due_seconds', 900, 'outcome', 'escalate'), v_now);
    ELSIF doc ? 'answers' AND c.owner = 'timer' THEN
        UPDATE cases SET owner = 'process', due_at = v_now, tell = false WHERE platform_id = v_platform AND id = v_case;
    ELSIF v_reopened THEN
        PERFORM case_next(v_platform, v_case, jsonb_build_object('owner', 'queue', 'skill', coalesce(c.skill, 'support'), 'priority', 1,
            'due_seconds', 900), v_now);
    END IF;
    IF v_reopened THEN PERFORM case_comes_back(v_platform, v_case, v_now); END IF;
    UPDATE cases SET unanswered_at = CASE WHEN v_reopened THEN v_now ELSE coalesce(unanswered_at, v_now) END
    WHERE platform_id = v_platform AND id = v_case
      AND case_is_with_people(owner, wait_for);
    RETURN jsonb_build_object('status', 'said', 'case', v_case, 'reopened', v_reopened);
END $$;

-- Leases one case for the request that is about to resolve it; null when it is not open, somebody is at it, or people have put it aside.
CREATE OR REPLACE FUNCTION case_lease(p_platform uuid, p_case uuid, p_lease_seconds float) RETURNS bigint
LANGUAGE sql AS $$
    UPDATE cases SET owner = 'process', lease_epoch = lease_epoch + 1, agent_id = NULL,
        due_at = (SELECT app_now()) + make_interval(secs => p_lease_seconds), version = version + 1
    WHERE platform_id = p_platform AND id = p_case AND state = 'open'
      AND (owner = 'operation' OR (owner = 'timer' AND NOT case_is_parked(owner, wait_for))
           OR (owner = 'process' AND due_at <= (SELECT app_now())))
    RETURNING lease_epoch
$$;

-- Cases whose time has come: those to resolve come back under a new lease; an agent who vanished gives the case back to its place in the queue;
-- one that was put aside comes back to who had it; one whose operations are all settled goes to process.
CREATE OR REPLACE FUNCTION cases_claim(p_most int, p_lease_seconds float) RETURNS TABLE (platform_id uuid, id uuid, epoch bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := app_now();
    c record;
BEGIN
    -- Cases whose operations are under way are put off many at a time, and what goes out in bulk for longer: whatever ends their last operation
    -- wakes them, so this look is only a net, and a hundred thousand of them must not stand before one customer's case.
    UPDATE cases SET due_at = v_now + CASE WHEN due.waits_for_bulk THEN interval '10 minutes' ELSE interval '60 seconds' END FROM (
        SELECT look.platform_id, look.id, (SELECT min(o.priority) > 1 FROM operation o WHERE o.platform_id = look.platform_id AND o.case_id = look.id
            AND o.ended_at IS NULL AND o.accepted_at IS NULL AND o.action <> 'void_pass') AS waits_for_bulk
        FROM (SELECT cases.platform_id, cases.id FROM cases WHERE state = 'open' AND owner = 'operation' AND due_at <= v_now
              ORDER BY due_at LIMIT 500 FOR UPDATE SKIP LOCKED) look OFFSET 0) due
    WHERE cases.platform_id = due.platform_id AND cases.id = due.id AND due.waits_for_bulk IS NOT NULL;
    -- Who is first in the queue is look_by; its due time only says when people will have answered. Thousands that wait must not stand here either.
    UPDATE cases SET due_at = v_now + interval '15 minutes' FROM (SELECT look.platform_id, look.id FROM cases look WHERE state = 'open'
        AND owner = 'queue' AND due_at <= v_now ORDER BY due_at LIMIT 500 FOR UPDATE SKIP LOCKED) late
    WHERE cases.platform_id = late.platform_id AND cases.id = late.id;
    -- Agents are locked in one order, so that two processes do not wait for each other.
    FOR c IN SELECT cases.platform_id, cases.id, wait_for FROM cases WHERE state = 'open' AND case_is_parked(owner, wait_for)
                 AND due_at <= v_now ORDER BY for_agent, cases.id LIMIT p_most FOR UPDATE SKIP LOCKED
    LOOP
        IF c.wait_for = 'referral' THEN PERFORM referral_late(c.platform_id, c.id, c.id, v_now);
        ELSE PERFORM case_comes_back(c.platform_id, c.id, v_now, 'time_came'); END IF;
    END LOOP;
    FOR c IN SELECT cases.platform_id, cases.id, owner, rest FROM cases WHERE state = 'open' AND due_at <= v_now
                 AND (owner IN ('agent', 'operation', 'process') OR (owner = 'timer' AND NOT case_is_parked(owner, wait_for)))
             ORDER BY due_at LIMIT p_most FOR UPDATE SKIP LOCKED
    LOOP
        IF c.owner = 'agent' THEN
            UPDATE cases SET owner = 'queue', agent_id = NULL, due_at = v_now + interval '15 minutes'
            WHERE cases.platform_id = c.platform_id AND cases.id = c.id;
            PERFORM timeline_add(c.platform_id, c.id, '[{"kind": "claim_ended", "source": "queue"}]', v_now);
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
