-- The queue: where a case stands in it, who gets the next one, and how it comes back.

-- Words for one skill: packs and platforms from before the desk had levels say `support` for `core` and `playback` for `access`. A lead is the
-- level that escalations go to. (service/queue_rows.py asks policies.skills_like for the same.)
CREATE OR REPLACE FUNCTION skills_widened(p_skills text[], p_role text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_skills || CASE WHEN p_skills && '{support,core}' THEN '{support,core}'::text[] ELSE '{}' END
        || CASE WHEN p_skills && '{playback,access}' THEN '{playback,access}'::text[] ELSE '{}' END
        || CASE WHEN p_role = 'lead' THEN '{escalation}'::text[] ELSE '{}' END
$$;

-- A case that comes to the queue gets its place at once: the one that whoever put it there said, else one by its priority, which routing.yaml
-- replaces within the next second. One that only comes back from an agent keeps the place it had. The customer's words wait for people from here on.
CREATE OR REPLACE FUNCTION case_queued() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.owner IN ('queue', 'agent') AND NEW.look_by IS NOT NULL THEN RETURN NEW; END IF;
    NEW.placed_at := v_now;
    IF TG_OP = 'INSERT' OR NEW.look_by IS NOT DISTINCT FROM OLD.look_by THEN
        NEW.look_by := v_now + make_interval(secs => look_within(NEW.priority));
        NEW.routed_at := NULL;
    END IF;
    -- What was said before is people's from now on; what is said later clocks_hear() hears.
    IF TG_OP = 'UPDATE' AND OLD.placed_at IS NULL THEN
        NEW.unanswered_at := coalesce(NEW.unanswered_at, (SELECT min(m.created_at) FROM message m WHERE m.platform_id = NEW.platform_id
            AND m.case_id = NEW.id AND m.kind = 'customer'));
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER case_gets_its_place BEFORE INSERT OR UPDATE OF owner ON cases FOR EACH ROW WHEN (NEW.owner = 'queue')
    EXECUTE FUNCTION case_queued();

-- Whether an agent can be given a case unasked: there, available, seen lately, and with a hand free. Locks the agent, so that two cases at once
-- do not both find the last free hand. Cases are locked before agents; whoever has locked an agent waits for no case.
CREATE OR REPLACE FUNCTION agent_is_free(p_platform uuid, p_agent uuid, p_seen_after timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_capacity int;
BEGIN
    SELECT capacity INTO v_capacity FROM agent WHERE platform_id = p_platform AND id = p_agent AND disabled_at IS NULL AND available
        AND (p_seen_after IS NULL OR seen_at >= p_seen_after) FOR NO KEY UPDATE;
    RETURN FOUND AND (SELECT count(*) FROM cases WHERE platform_id = p_platform AND agent_id = p_agent AND owner = 'agent') < v_capacity;
END $$;

-- Hands a case, whose row the caller has locked, to an agent for a lease.
CREATE OR REPLACE FUNCTION case_to_agent(p_platform uuid, p_case uuid, p_agent uuid, p_lease_seconds float, p_entry jsonb, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cases SET owner = 'agent', agent_id = p_agent, for_agent = p_agent, due_at = p_now + make_interval(secs => p_lease_seconds),
        wait_for = NULL, wait_ref = NULL, wait_until = NULL, acknowledged_at = coalesce(acknowledged_at, p_now)
    WHERE platform_id = p_platform AND id = p_case;
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(p_entry), p_now);
END $$;

-- A case that was parked, or that its customer has opened again, comes back: to the agent who had it, if they are there (lease of two minutes), else
-- to the queue, a parked one to be looked at now. Says who has it, `agent` or `queue`; null: it was neither parked nor queued.
-- The caller holds the case's row lock. p_why: a word for the timeline.
CREATE OR REPLACE FUNCTION case_comes_back(p_platform uuid, p_case uuid, p_now timestamptz, p_why text DEFAULT 'customer_wrote') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    SELECT owner, for_agent INTO c FROM cases WHERE platform_id = p_platform AND id = p_case AND state = 'open'
        AND (owner = 'queue' OR case_is_parked(owner, wait_for)) FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF c.for_agent IS NOT NULL AND agent_is_free(p_platform, c.for_agent, p_now - interval '60 seconds') THEN
        PERFORM case_to_agent(p_platform, p_case, c.for_agent, 120, jsonb_build_object('kind', 'came_back', 'source', 'queue', 'data',
            jsonb_build_object('why', p_why, 'to', (SELECT name FROM agent WHERE platform_id = p_platform AND id = c.for_agent))), p_now);
        RETURN 'agent';
    END IF;
    IF c.owner = 'timer' THEN
        UPDATE cases SET owner = 'queue', skill = coalesce(skill, 'core'), look_by = p_now, routed_at = '-infinity',
            due_at = p_now + interval '15 minutes', wait_for = NULL, wait_ref = NULL, wait_until = NULL
        WHERE platform_id = p_platform AND id = p_case;
        PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', 'came_back', 'source', 'queue', 'data',
            jsonb_build_object('why', p_why))), p_now);
    END IF;
    RETURN 'queue';
END $$;

-- The best case of the queue for these skills and languages, locked for the caller; null: there is none. Cases that others are taking at this moment
-- are passed over. A language keeps a case for those who speak it until somebody should have looked at it; then it is anybody's.
CREATE OR REPLACE FUNCTION case_best(p_platform uuid, p_skills text[], p_languages text[], p_now timestamptz) RETURNS uuid
LANGUAGE sql AS $$
    SELECT id FROM cases WHERE platform_id = p_platform AND owner = 'queue' AND skill = ANY (p_skills)
        AND (p_languages = '{}' OR split_part(locale, '-', 1) = ANY (p_languages) OR look_by <= p_now)
    ORDER BY look_by, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
$$;

-- Takes a case for an agent: p_case, or the best of the queue for the agent's skills and languages; never more than the agent's capacity.
-- Who takes what they have starts its lease anew. {status: taken|nothing_to_take|at_capacity, case}.
CREATE OR REPLACE FUNCTION case_take(p_platform uuid, p_agent uuid, p_actor text, p_case uuid, p_lease_seconds float) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_case uuid;
    v_owner text;
    a record;
BEGIN
    IF p_case IS NOT NULL THEN
        SELECT id, owner INTO v_case, v_owner FROM cases WHERE platform_id = p_platform AND id = p_case
            AND (owner = 'queue' OR (owner = 'agent' AND agent_id = p_agent)) FOR NO KEY UPDATE;
        IF v_case IS NULL THEN RETURN '{"status": "nothing_to_take"}'; END IF;
        IF v_owner = 'agent' THEN
            UPDATE cases SET due_at = v_now + make_interval(secs => p_lease_seconds) WHERE platform_id = p_platform AND id = v_case;
            RETURN jsonb_build_object('status', 'taken', 'case', v_case);
        END IF;
    END IF;
    -- Locks the agent: two takings at once count one after the other. What is counted and taken is read after that.
    UPDATE agent SET seen_at = v_now WHERE platform_id = p_platform AND id = p_agent
        RETURNING skills_widened(skills, role) AS skills, languages, capacity INTO a;
    IF (SELECT count(*) FROM cases WHERE platform_id = p_platform AND agent_id = p_agent AND owner = 'agent') >= a.capacity THEN
        RETURN '{"status": "at_capacity"}';
    END IF;
    IF v_case IS NULL THEN v_case := case_best(p_platform, a.skills, a.languages, v_now); END IF;
    IF v_case IS NULL THEN RETURN '{"status": "nothing_to_take"}'; END IF;
    PERFORM case_to_agent(p_platform, v_case, p_agent, p_lease_seconds, jsonb_build_object('kind', 'taken', 'source', 'agent', 'actor', p_actor), v_now);
    RETURN jsonb_build_object('status', 'taken', 'case', v_case);
END $$;

-- Keeps a case for its agent, so long from now; when that ends it is back in its place. Null: it is not theirs (any more).
CREATE OR REPLACE FUNCTION case_keep(p_platform uuid, p_case uuid, p_agent uuid, p_lease_seconds float) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    v_until timestamptz;
BEGIN
    UPDATE cases SET due_at = app_now() + make_interval(secs => p_lease_seconds)
    WHERE platform_id = p_platform AND id = p_case AND owner = 'agent' AND agent_id = p_agent RETURNING due_at INTO v_until;
    UPDATE agent SET seen_at = app_now() WHERE platform_id = p_platform AND id = p_agent AND v_until IS NOT NULL;
    RETURN v_until;
END $$;

-- Gives a case that this agent has on: to p_to, if they are there and have a hand free, else to the queue, in its place, to p_skill if named.
-- given, not_yours, or agent_away.
CREATE OR REPLACE FUNCTION case_give(p_platform uuid, p_case uuid, p_agent uuid, p_actor text, p_skill text, p_to uuid, p_reason text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = p_case AND owner = 'agent' AND agent_id = p_agent FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN 'not_yours'; END IF;
    IF p_to IS NOT NULL THEN
        IF p_to = p_agent OR NOT agent_is_free(p_platform, p_to, NULL) THEN RETURN 'agent_away'; END IF;
        PERFORM case_to_agent(p_platform, p_case, p_to, 120, jsonb_build_object('kind', 'given', 'source', 'agent', 'actor', p_actor, 'data',
            jsonb_build_object('to', (SELECT name FROM agent WHERE platform_id = p_platform AND id = p_to), 'reason', p_reason)), v_now);
        RETURN 'given';
    END IF;
    UPDATE cases SET owner = 'queue', agent_id = NULL, skill = coalesce(p_skill, skill, 'core'), due_at = v_now + interval '15 minutes'
    WHERE platform_id = p_platform AND id = p_case;
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', 'given_back', 'source', 'agent', 'actor', p_actor,
        'data', jsonb_strip_nulls(jsonb_build_object('reason', p_reason, 'skill', p_skill)))), v_now);
    RETURN 'given';
END $$;

-- Puts a case that this agent has aside: until the customer answers (`customer`) or for a while (`hold`), at most so long, and never past half an
-- hour before its show begins (in that half hour: for a minute). parked, not_yours, or unanswered: a customer whose words wait is not waited for.
CREATE OR REPLACE FUNCTION case_park(p_platform uuid, p_case uuid, p_agent uuid, p_actor text, p_for text, p_seconds float, p_reason text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_until timestamptz;
    c record;
BEGIN
    SELECT unanswered_at, show_id INTO c FROM cases WHERE platform_id = p_platform AND id = p_case AND owner = 'agent' AND agent_id = p_agent
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN 'not_yours'; END IF;
    IF p_for = 'customer' AND c.unanswered_at IS NOT NULL THEN RETURN 'unanswered'; END IF;
    v_until := least(v_now + make_interval(secs => p_seconds), (SELECT greatest(starts_at - interval '30 minutes', v_now + interval '1 minute')
        FROM show WHERE platform_id = p_platform AND id = c.show_id AND status = 'scheduled' AND starts_at > v_now));
    UPDATE cases SET owner = 'timer', agent_id = NULL, for_agent = p_agent, wait_for = p_for, wait_ref = NULL, wait_until = v_until, due_at = v_until
    WHERE platform_id = p_platform AND id = p_case;
    PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', 'parked', 'source', 'agent', 'actor', p_actor,
        'data', jsonb_build_object('for', p_for, 'until', v_until, 'reason', p_reason))), v_now);
    RETURN 'parked';
END $$;

-- Takes a parked case again, whoever parked it; a program only what it has parked itself. taken, not_parked or at_capacity.
CREATE OR REPLACE FUNCTION case_unpark(p_platform uuid, p_case uuid, p_agent uuid, p_actor text, p_lease_seconds float) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_capacity int;
BEGIN
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = p_case AND owner = 'timer' AND wait_for IN ('customer', 'hold')
        AND (for_agent = p_agent OR NOT EXISTS (SELECT FROM agent WHERE platform_id = p_platform AND id = p_agent AND role = 'machine')) FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN 'not_parked'; END IF;
    UPDATE agent SET seen_at = v_now WHERE platform_id = p_platform AND id = p_agent RETURNING capacity INTO v_capacity;
    IF (SELECT count(*) FROM cases WHERE platform_id = p_platform AND agent_id = p_agent AND owner = 'agent') >= v_capacity THEN
        RETURN 'at_capacity';
    END IF;
    PERFORM case_to_agent(p_platform, p_case, p_agent, p_lease_seconds, jsonb_build_object('kind', 'unparked', 'source', 'agent', 'actor', p_actor), v_now);
    RETURN 'taken';
END $$;

-- Whether anybody who works at the platform's desk has a skill: what is nobody's must not be given more.
CREATE OR REPLACE FUNCTION somebody_has(p_platform uuid, p_skill text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM agent WHERE platform_id = p_platform AND disabled_at IS NULL AND p_skill = ANY (skills_widened(skills, role)))
$$;

-- A promise was broken: the case goes to the next of its playbook's chain whom somebody can be, and is to be looked at now. Who has taken it keeps it.
-- Says the new skill; null: there is no other. The caller holds the case's row lock.
CREATE OR REPLACE FUNCTION case_escalates(p_platform uuid, p_case uuid, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    c record;
    v_next text;
BEGIN
    SELECT owner, skill, route->'chain' AS chain INTO c FROM cases WHERE platform_id = p_platform AND id = p_case;
    IF c.owner = 'queue' THEN
        SELECT step INTO v_next FROM jsonb_array_elements_text(c.chain) WITH ORDINALITY AS chain(step, n)
        WHERE n > coalesce((SELECT max(m) FROM jsonb_array_elements_text(c.chain) WITH ORDINALITY AS one(was, m)
                            WHERE was = ANY (skills_widened(ARRAY[c.skill], ''))), 0)
          AND NOT step = ANY (skills_widened(ARRAY[c.skill], '')) AND somebody_has(p_platform, step)
        ORDER BY n LIMIT 1;
    END IF;
    UPDATE cases SET skill = coalesce(v_next, skill), look_by = least(look_by, p_now) WHERE platform_id = p_platform AND id = p_case;
    IF v_next IS NOT NULL THEN
        PERFORM timeline_add(p_platform, p_case, jsonb_build_array(jsonb_build_object('kind', 'escalated', 'source', 'queue', 'data',
            jsonb_build_object('from', c.skill, 'to', v_next))), p_now);
    END IF;
    RETURN v_next;
END $$;
