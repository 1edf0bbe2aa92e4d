-- The life of the keys that sign access tokens: next (published) -> current (signs) -> old (checks) -> gone.
-- Each step is one transaction, so that a kill between any two leaves one current key and every key whose tokens live.

-- Publishes a key that signs after p_lead_seconds. False: there is one already.
CREATE OR REPLACE FUNCTION signing_next(p_kid text, p_sealed bytea, p_jwk jsonb, p_lead_seconds float, p_actor text, p_why text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    INSERT INTO signing_key (kid, sealed_private, public_jwk, state, created_at, since, ready_at)
    VALUES (p_kid, p_sealed, p_jwk, 'next', v_now, v_now, v_now + make_interval(secs => p_lead_seconds))
    ON CONFLICT (state) WHERE state = 'next' DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO installation_change (at, actor, what, why, data)
    VALUES (v_now, p_actor, 'signing_key_published', p_why, jsonb_build_object('kid', p_kid));
    RETURN true;
END $$;

-- A next key that has been published for long enough signs; an old one whose tokens have all run out goes. Returns the steps that were taken.
-- p_late_seconds: how long after the switch a process may still have signed with the key before.
CREATE OR REPLACE FUNCTION signing_advance(p_late_seconds float) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_late interval := make_interval(secs => p_late_seconds);
    v_next text;
    v_gone text;
    v_steps text[] := '{}';
BEGIN
    -- One at a time: whoever comes second sees what the first has done.
    PERFORM 1 FROM signing_key ORDER BY kid FOR UPDATE;
    SELECT kid INTO v_next FROM signing_key WHERE state = 'next' AND ready_at <= v_now;
    IF v_next IS NOT NULL THEN
        -- every platform: the keys are the installation's
        UPDATE signing_key SET state = 'old', since = v_now, ready_at = NULL,
            gone_at = greatest((SELECT max(expires_at) FROM access_token WHERE access_token.state <> 'revoked'), v_now) + v_late
        WHERE signing_key.state = 'current';
        UPDATE signing_key SET state = 'current', since = v_now, ready_at = NULL WHERE kid = v_next;
        v_steps := v_steps || ('current ' || v_next);
    END IF;
    -- What a process that was late signed in between may run out later than was known at the switch.
    FOR v_gone IN
        -- every platform: the keys are the installation's
        SELECT kid FROM signing_key WHERE signing_key.state = 'old' AND gone_at <= v_now AND NOT EXISTS (
            SELECT FROM access_token t WHERE t.state <> 'revoked' AND t.issued_at <= signing_key.since + v_late AND t.expires_at > v_now)
        ORDER BY kid
    LOOP
        DELETE FROM signing_key WHERE kid = v_gone;
        v_steps := v_steps || ('gone ' || v_gone);
    END LOOP;
    INSERT INTO installation_change (at, actor, what, data)
    SELECT v_now, 'makegood', 'signing_key_' || split_part(step, ' ', 1), jsonb_build_object('kid', split_part(step, ' ', 2)) FROM unnest(v_steps) AS s (step);
    RETURN v_steps;
END $$;

-- A key has leaked: this one signs now, and every other is gone.
CREATE OR REPLACE FUNCTION signing_withdraw(p_kid text, p_sealed bytea, p_jwk jsonb, p_actor text, p_why text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_gone jsonb;
BEGIN
    PERFORM 1 FROM signing_key ORDER BY kid FOR UPDATE;
    WITH gone AS (DELETE FROM signing_key RETURNING kid) SELECT coalesce(jsonb_agg(kid), '[]') INTO v_gone FROM gone;
    INSERT INTO signing_key (kid, sealed_private, public_jwk, state, created_at, since) VALUES (p_kid, p_sealed, p_jwk, 'current', v_now, v_now);
    INSERT INTO installation_change (at, actor, what, why, data)
    VALUES (v_now, p_actor, 'signing_keys_withdrawn', p_why, jsonb_build_object('kid', p_kid, 'withdrawn', v_gone));
END $$;
