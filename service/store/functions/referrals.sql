-- Cases that another team judges: asked with evidence, answered once; while it judges, the order's money and passes wait where it was asked to.

-- Whether an order's movements wait for another team's answer.
CREATE OR REPLACE FUNCTION referral_holds(p_platform uuid, p_order uuid, p_case uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM referral WHERE platform_id = p_platform AND order_id = p_order AND holding)
        OR EXISTS (SELECT FROM referral WHERE platform_id = p_platform AND case_id = p_case AND holding)
$$;

-- Whether another team still judges a case: it has not answered, or has asked back and holds on. Such a case does not end.
CREATE OR REPLACE FUNCTION referral_asks(p_platform uuid, p_case uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM referral WHERE platform_id = p_platform AND case_id = p_case AND (state = 'open' OR holding))
$$;

-- Whether people have a case whose question holds what this order, or this case, has: somebody hears the answer, and can take the question back.
CREATE OR REPLACE FUNCTION referral_is_with_people(p_platform uuid, p_order uuid, p_case uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM referral r JOIN cases c ON c.platform_id = p_platform AND c.id = r.case_id
        WHERE r.platform_id = p_platform AND r.holding AND (r.order_id = p_order OR r.case_id = p_case)
          AND case_is_with_people(c.owner, c.wait_for))
$$;

-- Whatever would be sent, or is held for something else, waits for the answer too, by whatever path it came there. A pass that is made void is no
-- gift, and what ends access follows from money that has left: neither waits.
CREATE OR REPLACE FUNCTION operation_waits_for_answer() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF referral_holds(NEW.platform_id, NEW.order_id, NEW.case_id) THEN
        NEW.holds := NEW.holds || 'referral'::text;
        IF NEW.state = 'READY' THEN
            NEW.state := 'HELD';
            NEW.paused_state := 'READY';
            NEW.due_at := app_now() + interval '1 hour';
            NEW.lease_until := NULL;
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER operation_waits_for_another_team BEFORE INSERT OR UPDATE OF state, holds ON operation FOR EACH ROW
    WHEN (NEW.state IN ('READY', 'HELD') AND NEW.action <> 'void_pass' AND NOT 'referral' = ANY (NEW.holds))
    EXECUTE FUNCTION operation_waits_for_answer();

-- Stops one operation that has surely not left; whoever has just claimed it finds its lease gone. False: it may have left, and is followed up.
-- Touches its row alone, so that a sending may call it under no other lock.
CREATE OR REPLACE FUNCTION referral_stops(o operation, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF o.action = 'void_pass' OR refund_may_have_left(o) THEN RETURN false; END IF;
    UPDATE operation SET state = 'HELD', holds = holds || '{referral}', paused_state = CASE WHEN state = 'HELD' THEN paused_state ELSE state END,
        lease_epoch = lease_epoch + 1, lease_until = NULL, due_at = p_now + interval '1 hour'
    WHERE platform_id = o.platform_id AND id = o.id AND state IN ('READY', 'SENT', 'HELD', 'CHOICE_NEEDED') AND NOT 'referral' = ANY (holds);
    RETURN FOUND;
END $$;

-- What happened to an operation by a referral: of a refund a fact of its order, of a pass an entry of its case.
CREATE OR REPLACE FUNCTION referral_says(o operation, p_word text, p_actor text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF o.action = 'refund' THEN
        PERFORM order_fact_add(o.platform_id, o.order_id, 'refund_' || p_word, 'referral', p_now, jsonb_strip_nulls(jsonb_build_object(
            'operation', o.id, 'amount', o.amount, 'currency', o.currency, 'payment', o.payment_id, 'reason', 'referral', 'by', p_actor,
            'failure', CASE WHEN p_word = 'refused' THEN 'referral' END)), o.case_id);
    ELSE
        PERFORM timeline_add(o.platform_id, o.case_id, jsonb_build_array(jsonb_build_object('kind', 'operation_' || p_word, 'source', 'referral',
            'actor', coalesce(p_actor, 'referral'), 'data', jsonb_build_object('operation', o.id, 'action', o.action, 'pass', o.pass_id,
            'reason', 'referral'))), p_now);
    END IF;
END $$;

-- Which piece of evidence is not there, in this case or its order: its place from 0; null: all are. [{kind, ref, id?}].
CREATE OR REPLACE FUNCTION referral_evidence_lacks(p_platform uuid, p_case uuid, p_order uuid, p_evidence jsonb) RETURNS int
LANGUAGE sql STABLE AS $$
    SELECT min(n)::int - 1 FROM jsonb_array_elements(p_evidence) WITH ORDINALITY AS piece(e, n) WHERE NOT CASE e->>'kind'
        WHEN 'message' THEN EXISTS (SELECT FROM message WHERE platform_id = p_platform AND id = (e->>'id')::uuid AND case_id = p_case
                                    AND kind IN ('customer', 'reply'))
        WHEN 'note' THEN EXISTS (SELECT FROM message WHERE platform_id = p_platform AND id = (e->>'id')::uuid AND case_id = p_case AND kind = 'note')
        WHEN 'timeline' THEN EXISTS (SELECT FROM timeline WHERE platform_id = p_platform AND case_id = p_case AND seq = (e->>'ref')::bigint)
        WHEN 'payment' THEN EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND order_id = p_order AND ref = e->>'ref')
        WHEN 'pass' THEN EXISTS (SELECT FROM pass WHERE platform_id = p_platform AND id = (e->>'id')::uuid AND order_id = p_order)
        ELSE false END
$$;

-- The rows that a referral's opening or end touches, in the order of locks everywhere: the order, its open cases, those whose operations wait and
-- this one, its payments, its operations. What another transaction is about to ready is seen afterwards.
CREATE OR REPLACE FUNCTION referral_locks(p_platform uuid, p_order uuid, p_case uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = p_order FOR NO KEY UPDATE;
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND (id = p_case OR (order_id = p_order AND (state = 'open' OR id IN (
        SELECT case_id FROM operation WHERE platform_id = p_platform AND order_id = p_order AND ended_at IS NULL)))) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM payment WHERE platform_id = p_platform AND order_id = p_order ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM operation WHERE platform_id = p_platform AND order_id = p_order AND ended_at IS NULL ORDER BY id FOR NO KEY UPDATE;
END $$;

-- Asks another team: {platform, id, case, agent, actor, team, reason, question, evidence, holds, seconds}. The case is put aside until the answer.
-- {status: opened|not_yours|already_referred|no_evidence, piece}.
CREATE OR REPLACE FUNCTION referral_open(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_platform uuid := (doc->>'platform')::uuid;
    v_case uuid := (doc->>'case')::uuid;
    v_order uuid := (SELECT order_id FROM cases WHERE platform_id = v_platform AND id = v_case);
    v_until timestamptz;
    v_holds boolean := (doc->>'holds')::boolean;
    v_lacks int;
    c cases;
    o operation;
BEGIN
    PERFORM referral_locks(v_platform, v_order, v_case);
    -- It is asked when it begins to hold: what left while it waited for its order left before.
    v_now := app_now();
    v_until := v_now + make_interval(secs => (doc->>'seconds')::float);
    SELECT * INTO c FROM cases WHERE platform_id = v_platform AND id = v_case;
    IF c.owner IS DISTINCT FROM 'agent' OR c.agent_id IS DISTINCT FROM (doc->>'agent')::uuid OR c.order_id IS DISTINCT FROM v_order THEN
        RETURN '{"status": "not_yours"}';
    END IF;
    v_lacks := referral_evidence_lacks(v_platform, v_case, v_order, doc->'evidence');
    IF v_lacks IS NOT NULL THEN RETURN jsonb_build_object('status', 'no_evidence', 'piece', v_lacks); END IF;
    IF EXISTS (SELECT FROM referral WHERE platform_id = v_platform AND case_id = v_case AND team = doc->>'team' AND state = 'open') THEN
        RETURN '{"status": "already_referred"}';
    END IF;
    -- Who is asked again, with more, takes over what waited for the first question: it is never let go by asking anew.
    UPDATE referral SET holding = false WHERE platform_id = v_platform AND case_id = v_case AND team = doc->>'team' AND holding;
    v_holds := v_holds OR FOUND;
    INSERT INTO referral (platform_id, id, case_id, order_id, team, reason, question, evidence, holds, holding, asked_by, agent_id, state,
                          created_at, answer_by)
    VALUES (v_platform, (doc->>'id')::uuid, v_case, v_order, doc->>'team', doc->>'reason', doc->>'question', (
            SELECT coalesce(jsonb_agg(e - 'id'), '[]') FROM jsonb_array_elements(doc->'evidence') AS e),
        v_holds, v_holds, doc->>'actor', c.agent_id, 'open', v_now, v_until);
    FOR o IN SELECT * FROM operation WHERE platform_id = v_platform AND order_id = v_order AND v_holds
             AND state IN ('READY', 'SENT', 'HELD', 'CHOICE_NEEDED') ORDER BY id
    LOOP
        IF referral_stops(o, v_now) AND o.state <> 'HELD' THEN PERFORM referral_says(o, 'held', doc->>'actor', v_now); END IF;
    END LOOP;
    PERFORM timeline_add(v_platform, v_case, jsonb_build_array(jsonb_build_object('kind', 'referral_opened', 'source', 'agent', 'actor', doc->>'actor',
        'data', jsonb_build_object('referral', doc->'id', 'team', doc->'team', 'reason', doc->'reason', 'holds', v_holds))), v_now);
    UPDATE cases SET owner = 'timer', agent_id = NULL, for_agent = c.agent_id, wait_for = 'referral', wait_ref = doc->>'id', wait_until = v_until,
        due_at = v_until, version = version + 1 WHERE platform_id = v_platform AND id = v_case;
    PERFORM referral_tell(v_platform, (doc->>'id')::uuid, 'opened', v_now);
    RETURN '{"status": "opened"}';
END $$;

-- Tells the platform of it, in the transaction of its fact: who judges needs no other call to know what is asked.
CREATE OR REPLACE FUNCTION referral_tell(p_platform uuid, p_referral uuid, p_word text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    r referral;
BEGIN
    SELECT * INTO r FROM referral WHERE platform_id = p_platform AND id = p_referral;
    PERFORM tell(p_platform, r.order_id, r.case_id, 'referral.' || p_word, jsonb_strip_nulls(jsonb_build_object('referral', r.id, 'team', r.team,
        'reason', r.reason, 'holds', r.holds) || CASE p_word WHEN 'opened' THEN jsonb_build_object('question', r.question, 'evidence', r.evidence,
            'answer_by', r.answer_by, 'problem', (SELECT problem FROM cases WHERE platform_id = p_platform AND id = r.case_id),
            'show', (SELECT show.ref FROM cases JOIN show ON show.platform_id = p_platform AND show.id = cases.show_id
                     WHERE cases.platform_id = p_platform AND cases.id = r.case_id))
        ELSE jsonb_build_object('answer', CASE WHEN p_word = 'answered' THEN r.state END) || coalesce(r.answer, '{}') END), p_now);
END $$;

-- The answer, once, and again after one that asked back while it holds: {platform, id, answer, actor, agent?, words, by?, reference?}.
-- {status: answered|same|own|answered_before|no_referral}.
CREATE OR REPLACE FUNCTION referral_answer(doc jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_said jsonb := jsonb_strip_nulls(jsonb_build_object('words', doc->'words', 'by', doc->'by', 'reference', doc->'reference'));
    r referral;
BEGIN
    SELECT * INTO r FROM referral WHERE platform_id = v_platform AND id = (doc->>'id')::uuid;
    IF r.id IS NULL THEN RETURN '{"status": "no_referral"}'; END IF;
    PERFORM referral_locks(v_platform, r.order_id, r.case_id);
    SELECT * INTO r FROM referral WHERE platform_id = v_platform AND id = r.id FOR NO KEY UPDATE;
    IF r.agent_id = (doc->>'agent')::uuid THEN RETURN '{"status": "own"}'; END IF;
    IF r.state = doc->>'answer' AND r.answer = v_said THEN RETURN '{"status": "same"}'; END IF;
    IF r.state <> 'open' AND NOT r.holding THEN RETURN '{"status": "answered_before"}'; END IF;
    UPDATE referral SET state = doc->>'answer', answer = v_said, answered_at = v_now, holding = holding AND doc->>'answer' = 'need_more'
    WHERE platform_id = v_platform AND id = r.id;
    PERFORM timeline_add(v_platform, r.case_id, jsonb_build_array(jsonb_build_object('kind', 'referral_answered', 'source', 'referral', 'actor',
        doc->>'actor', 'data', jsonb_build_object('referral', r.id, 'team', r.team, 'answer', doc->'answer') || v_said)), v_now);
    IF doc->>'answer' = 'cleared' THEN
        PERFORM referral_releases(r, doc->>'actor', v_now);
        PERFORM referral_case_goes_on(r, v_now);
    ELSIF doc->>'answer' = 'confirmed' THEN
        PERFORM referral_refuses(r, doc->>'actor', v_now);
    ELSE
        PERFORM referral_case_back(r, v_now);
    END IF;
    PERFORM referral_tell(v_platform, r.id, 'answered', v_now);
    RETURN '{"status": "answered"}';
END $$;

-- Who asked, or somebody who answers for the team, takes the question back; what waited for it alone goes on. {status: withdrawn|same|judged}.
CREATE OR REPLACE FUNCTION referral_withdraw(p_platform uuid, p_referral uuid, p_actor text, p_reason text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    r referral;
BEGIN
    SELECT * INTO r FROM referral WHERE platform_id = p_platform AND id = p_referral;
    IF r.id IS NULL THEN RETURN '{"status": "no_referral"}'; END IF;
    PERFORM referral_locks(p_platform, r.order_id, r.case_id);
    SELECT * INTO r FROM referral WHERE platform_id = p_platform AND id = p_referral FOR NO KEY UPDATE;
    IF r.state = 'withdrawn' THEN RETURN '{"status": "same"}'; END IF;
    IF r.state IN ('cleared', 'confirmed') OR (r.state = 'need_more' AND NOT r.holding) THEN RETURN '{"status": "judged"}'; END IF;
    UPDATE referral SET state = 'withdrawn', holding = false, answered_at = v_now, answer = jsonb_build_object('words', p_reason,
        'by', regexp_replace(p_actor, '^agent:', ''))
    WHERE platform_id = p_platform AND id = r.id;
    PERFORM timeline_add(p_platform, r.case_id, jsonb_build_array(jsonb_build_object('kind', 'referral_withdrawn', 'source', 'agent', 'actor', p_actor,
        'data', jsonb_build_object('referral', r.id, 'team', r.team, 'reason', p_reason))), v_now);
    PERFORM referral_releases(r, p_actor, v_now);
    IF referral_waits(r) THEN PERFORM case_comes_back(r.platform_id, r.case_id, v_now, 'referral_withdrawn'); END IF;
    PERFORM referral_tell(p_platform, r.id, 'withdrawn', v_now);
    RETURN '{"status": "withdrawn"}';
END $$;

-- Lets go what waited for this answer alone: to what else holds it, or to where it was interrupted. Another open question holds it still.
CREATE OR REPLACE FUNCTION referral_releases(r referral, p_actor text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_state text;
    o operation;
BEGIN
    FOR o IN SELECT * FROM operation WHERE platform_id = r.platform_id AND (order_id = r.order_id OR case_id = r.case_id) AND state = 'HELD'
             AND 'referral' = ANY (holds) ORDER BY id
    LOOP
        CONTINUE WHEN referral_holds(o.platform_id, o.order_id, o.case_id);
        v_state := operation_unhold(o, 'referral', p_now);
        CONTINUE WHEN v_state = 'HELD';
        PERFORM referral_says(o, CASE WHEN o.action = 'refund' THEN 'released' ELSE 'ready' END, p_actor, p_now);
        PERFORM case_goes_on_with(o, v_state, p_now);
    END LOOP;
END $$;

-- Ends REFUSED what waited for the answer, all of the order, and puts each case that lost something to people of trust, the referral's own among
-- them. Nothing is decided anew meanwhile: whoever was about to finds the lease gone.
CREATE OR REPLACE FUNCTION referral_refuses(r referral, p_actor text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_cases uuid[] := ARRAY[r.case_id];
    v_case uuid;
    o operation;
BEGIN
    FOR o IN SELECT * FROM operation WHERE platform_id = r.platform_id AND (order_id = r.order_id OR case_id = r.case_id) AND state = 'HELD'
             AND 'referral' = ANY (holds) AND r.holding ORDER BY id
    LOOP
        v_cases := v_cases || o.case_id;
        UPDATE operation SET state = 'REFUSED', due_at = NULL, ended_at = p_now, lease_until = NULL, lease_epoch = lease_epoch + 1
        WHERE platform_id = o.platform_id AND id = o.id;
        UPDATE attempt SET state = 'CLOSED_NOT_SENT' WHERE platform_id = o.platform_id AND operation_id = o.id AND state = 'PREPARED';
        IF o.action = 'refund' THEN PERFORM refund_gives_back(o.platform_id, o, p_now); END IF;
        PERFORM referral_says(o, 'refused', p_actor, p_now);
    END LOOP;
    FOR v_case IN SELECT DISTINCT unnest(v_cases) ORDER BY 1 LOOP
        PERFORM case_reopen(r.platform_id, v_case, p_now);
        UPDATE cases SET skill = 'trust', lease_epoch = lease_epoch + 1 WHERE platform_id = r.platform_id AND id = v_case;
        -- Whoever has it just now keeps it, and has read the answer on its timeline.
        CONTINUE WHEN EXISTS (SELECT FROM cases WHERE platform_id = r.platform_id AND id = v_case AND owner = 'agent');
        PERFORM case_next(r.platform_id, v_case, '{"owner": "queue", "skill": "trust", "priority": 1, "due_seconds": 900, "outcome": "escalate"}', p_now);
    END LOOP;
END $$;

-- Whether the case is put aside for this answer, and not taken up meanwhile: its customer wrote, or the time came.
CREATE OR REPLACE FUNCTION referral_waits(r referral) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM cases WHERE platform_id = r.platform_id AND id = r.case_id AND owner = 'timer' AND wait_for = 'referral'
                   AND wait_ref = r.id::text)
$$;

-- Such a case goes back to whom it was taken from.
CREATE OR REPLACE FUNCTION referral_case_back(r referral, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF referral_waits(r) THEN PERFORM case_comes_back(r.platform_id, r.case_id, p_now, 'referral_answered'); END IF;
END $$;

-- Cleared: where only the hold had kept the case from its end it goes on by itself, else it goes back.
CREATE OR REPLACE FUNCTION referral_case_goes_on(r referral, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_rest jsonb := (SELECT rest FROM cases WHERE platform_id = r.platform_id AND id = r.case_id);
BEGIN
    IF referral_waits(r) AND v_rest IS NOT NULL
        AND EXISTS (SELECT FROM operation WHERE platform_id = r.platform_id AND case_id = r.case_id AND state IN ('READY', 'SENT'))
        AND NOT EXISTS (SELECT FROM operation WHERE platform_id = r.platform_id AND case_id = r.case_id
                        AND state IN ('HELD', 'NEEDS_REVIEW', 'CHOICE_NEEDED')) THEN
        PERFORM case_next(r.platform_id, r.case_id, jsonb_build_object('owner', 'operation', 'due_seconds', 60, 'rest', v_rest), p_now);
    ELSE
        PERFORM referral_case_back(r, p_now);
    END IF;
END $$;

-- Nobody has answered in time: the case, that which asked or another of its order, is with people again, and what waits waits on. Said once of each
-- question. For whoever holds the row of p_case.
CREATE OR REPLACE FUNCTION referral_late(p_platform uuid, p_asked uuid, p_case uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_referral uuid;
    c cases;
BEGIN
    FOR v_referral IN UPDATE referral SET overdue_at = p_now WHERE platform_id = p_platform AND case_id = p_asked AND state = 'open'
                      AND overdue_at IS NULL AND answer_by <= p_now RETURNING id
    LOOP
        PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', 'referral_overdue', 'source', 'referral',
            'data', jsonb_build_object('referral', v_referral))), p_now);
    END LOOP;
    SELECT * INTO c FROM cases WHERE platform_id = p_platform AND id = p_case;
    IF case_is_parked(c.owner, c.wait_for) THEN
        PERFORM case_comes_back(p_platform, p_case, p_now, 'referral_overdue');
    ELSIF c.owner = 'queue' THEN
        UPDATE cases SET look_by = least(look_by, p_now) WHERE platform_id = p_platform AND id = p_case;
    ELSIF c.owner <> 'agent' THEN
        PERFORM case_next(p_platform, p_case, jsonb_build_object('owner', 'queue', 'skill', coalesce(c.skill, 'core'), 'priority', 1,
            'due_seconds', 900, 'outcome', 'escalate', 'rest', c.rest), p_now);
    END IF;
END $$;

-- The case that hears of an overdue question: the one that asked; when that has ended an open one of the order, with what waits first; else again
-- the one that asked, to be opened.
CREATE OR REPLACE FUNCTION referral_hears(r referral) RETURNS uuid
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT c.id FROM cases c WHERE c.platform_id = r.platform_id AND c.state = 'open' AND (c.id = r.case_id OR c.order_id = r.order_id)
        ORDER BY c.id = r.case_id DESC, EXISTS (SELECT FROM operation o WHERE o.platform_id = r.platform_id AND o.case_id = c.id
            AND o.state = 'HELD' AND 'referral' = ANY (o.holds)) DESC, c.created_at, c.id LIMIT 1), r.case_id)
$$;

-- Looks at the questions whose time has come, whatever their cases wait for. Waits for nobody: what others are at is looked at a second later.
-- Agents are locked in one order, as in cases_claim().
CREATE OR REPLACE FUNCTION referrals_look(p_most int) RETURNS TABLE (platform_id uuid, case_id uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := app_now();
    d record;
BEGIN
    -- every platform: one pass keeps the deadlines of all of them
    FOR d IN SELECT r.platform_id, r.id, r.case_id AS asked, r.order_id, c.id AS hears FROM referral r
                 JOIN cases c ON c.platform_id = r.platform_id AND c.id = referral_hears(r)
             WHERE r.state = 'open' AND r.overdue_at IS NULL AND r.answer_by <= v_now ORDER BY c.for_agent, c.id LIMIT p_most
             FOR NO KEY UPDATE OF c SKIP LOCKED
    LOOP
        IF EXISTS (SELECT FROM cases c WHERE c.platform_id = d.platform_id AND c.id = d.hears AND c.state <> 'open') THEN
            -- Whoever opens a case holds its order.
            PERFORM 1 FROM orders o WHERE o.platform_id = d.platform_id AND o.id = d.order_id FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN d.order_id IS NOT NULL AND NOT FOUND;
            PERFORM case_reopen(d.platform_id, d.hears, v_now);
        END IF;
        PERFORM referral_late(d.platform_id, d.asked, d.hears, v_now);
        platform_id := d.platform_id;
        case_id := d.hears;
        RETURN NEXT;
    END LOOP;
END $$;
