-- What held an operation back lets it go: a dispute that was won, another team's answer.

-- Takes one reason off a held operation, which goes on where it was interrupted, unless something else holds it or people have yet to agree; says
-- its state.
CREATE OR REPLACE FUNCTION operation_unhold(o operation, p_hold text, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_holds text[] := array_remove(o.holds, p_hold);
    v_waits boolean := o.paused_state IS NULL AND (
        SELECT count(*) FROM approval WHERE platform_id = o.platform_id AND operation_id = o.id) < o.approvals_needed;
    v_state text := CASE WHEN cardinality(v_holds) > 0 OR v_waits THEN 'HELD' ELSE coalesce(o.paused_state, 'READY') END;
BEGIN
    UPDATE operation SET state = v_state, holds = v_holds, paused_state = CASE WHEN v_state = 'HELD' THEN paused_state END, lease_until = NULL,
        due_at = p_now + CASE WHEN v_state IN ('READY', 'SENT') THEN interval '0' ELSE interval '1 hour' END
    WHERE platform_id = o.platform_id AND id = o.id RETURNING state INTO v_state;
    RETURN v_state;
END $$;

-- Its case goes on with it: where only that hold had brought it to people, and where its customer is asked for another way.
CREATE OR REPLACE FUNCTION case_goes_on_with(o operation, p_state text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    c cases;
BEGIN
    SELECT * INTO c FROM cases WHERE platform_id = o.platform_id AND id = o.case_id;
    IF c.state = 'open' AND c.owner = 'queue' AND c.rest IS NOT NULL AND NOT EXISTS (SELECT FROM operation other
            WHERE other.platform_id = o.platform_id AND other.case_id = o.case_id AND other.state IN ('HELD', 'NEEDS_REVIEW')) THEN
        PERFORM case_next(o.platform_id, o.case_id, jsonb_build_object('owner', 'operation', 'due_seconds', 60, 'rest', c.rest), p_now);
    END IF;
    IF p_state = 'CHOICE_NEEDED' OR (p_state = 'SENT' AND o.choice_offered_at IS NOT NULL) THEN
        PERFORM case_to_process(o.platform_id, o.case_id, p_now);
    END IF;
END $$;
