-- The gate before each call to a processor: one breaker and one pace a rail, for all processes together.
-- Each function takes the row's lock before it looks at the clock, so that a wait for the lock makes no time go backwards.

-- A rail as processes keep it in memory. Times are seconds from now: their clocks need not agree with this one.
CREATE OR REPLACE FUNCTION rail_seen(r rail_state, p_now timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('rail', r.rail, 'failures', cardinality(r.failed_at),
        'open_left', extract(epoch FROM r.open_until - p_now),
        'probe_left', extract(epoch FROM r.probe_until - p_now),
        'held_left', extract(epoch FROM r.not_before - p_now))
$$;

-- The rail's row under its lock; made where it is not there yet.
CREATE OR REPLACE FUNCTION rail_locked(p_rail text) RETURNS rail_state
LANGUAGE plpgsql AS $$
DECLARE
    r rail_state;
BEGIN
    SELECT * INTO r FROM rail_state WHERE rail = p_rail FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO rail_state (rail) VALUES (p_rail) ON CONFLICT DO NOTHING;
        SELECT * INTO r FROM rail_state WHERE rail = p_rail FOR NO KEY UPDATE;
    END IF;
    RETURN r;
END $$;

-- One failure more. So many in a row within so long open the breaker; a probe's failure opens it again for twice as long.
-- Failures of calls that began before it opened change nothing. `changed`: it opened now.
CREATE OR REPLACE FUNCTION rail_failed(p_rail text, p_word text, p_probe boolean, p_most int, p_within_seconds float, p_first_seconds float,
                                       p_last_seconds float) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    r rail_state := rail_locked(p_rail);
    v_now timestamptz := app_now();
    v_opens boolean := false;
BEGIN
    r.last_failure := p_word;
    r.last_failure_at := v_now;
    IF r.open_until IS NULL THEN
        r.failed_at := array(SELECT at FROM unnest(r.failed_at) AS at WHERE at > v_now - make_interval(secs => p_within_seconds) ORDER BY at) || v_now;
        IF cardinality(r.failed_at) >= p_most THEN
            v_opens := true;
            r.opened_at := v_now;
            r.open_seconds := p_first_seconds;
        END IF;
    ELSIF p_probe AND r.open_until <= v_now THEN
        v_opens := true;
        r.open_seconds := least(r.open_seconds * 2, p_last_seconds);
    END IF;
    IF v_opens THEN
        r.open_until := v_now + make_interval(secs => r.open_seconds);
        r.probe_until := NULL;
    END IF;
    UPDATE rail_state SET failed_at = r.failed_at, last_failure = r.last_failure, last_failure_at = r.last_failure_at, opened_at = r.opened_at,
        open_until = r.open_until, open_seconds = r.open_seconds, probe_until = r.probe_until
    WHERE rail = p_rail;
    RETURN rail_seen(r, v_now) || jsonb_build_object('changed', v_opens);
END $$;

-- The processor answered. Ends the row of failures; a probe's answer closes the breaker, a late answer to an earlier call does not.
CREATE OR REPLACE FUNCTION rail_reached(p_rail text, p_probe boolean) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    r rail_state := rail_locked(p_rail);
    v_now timestamptz := app_now();
    v_closes boolean := p_probe AND coalesce(r.open_until <= v_now, false);
BEGIN
    IF v_closes OR r.open_until IS NULL THEN
        UPDATE rail_state SET failed_at = '{}', opened_at = NULL, open_until = NULL, open_seconds = 0, probe_until = NULL
        WHERE rail = p_rail RETURNING * INTO r;
    END IF;
    RETURN rail_seen(r, v_now) || jsonb_build_object('changed', v_closes);
END $$;

-- Neither a failure nor a success. The processor may have asked to wait (null: it has not); a probe gives its place back.
CREATE OR REPLACE FUNCTION rail_let_go(p_rail text, p_wait_seconds float, p_probe boolean) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    r rail_state := rail_locked(p_rail);
    v_now timestamptz := app_now();
BEGIN
    UPDATE rail_state SET not_before = greatest(not_before, v_now + make_interval(secs => p_wait_seconds)),
        probe_until = CASE WHEN p_probe THEN NULL ELSE probe_until END
    WHERE rail = p_rail RETURNING * INTO r;
    RETURN rail_seen(r, v_now);
END $$;

-- The one probe of a breaker whose time is over: `changed` for whoever has it. A prober that dies keeps the place for its lease.
CREATE OR REPLACE FUNCTION rail_probe(p_rail text, p_lease_seconds float) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    r rail_state := rail_locked(p_rail);
    v_now timestamptz := app_now();
    v_mine boolean;
BEGIN
    UPDATE rail_state SET probe_until = v_now + make_interval(secs => p_lease_seconds)
    WHERE rail = p_rail AND open_until <= v_now AND coalesce(probe_until <= v_now, true) AND coalesce(not_before <= v_now, true)
    RETURNING * INTO r;
    v_mine := FOUND;
    IF NOT v_mine THEN
        SELECT * INTO r FROM rail_state WHERE rail = p_rail;
    END IF;
    RETURN rail_seen(r, v_now) || jsonb_build_object('changed', v_mine);
END $$;

-- The pace: so many slots one after the other, the first in `slots_in` seconds; or none, and how long until it is worth asking again.
-- Virtual scheduling (GCRA, ITU-T I.371): no slot lies nearer to another than the interval. `p_ahead_seconds`: how far into the future
-- it may reach. Unused time is not saved up.
CREATE OR REPLACE FUNCTION rail_slots(p_rail text, p_interval_seconds float, p_count int, p_ahead_seconds float) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    r rail_state := rail_locked(p_rail);
    v_now timestamptz := app_now();
    v_start timestamptz := greatest(r.next_slot_at, v_now);
    v_granted int := 0;
    v_ahead float := extract(epoch FROM v_start - v_now) - p_ahead_seconds;
BEGIN
    IF r.open_until IS NULL AND coalesce(r.not_before <= v_now, true) AND v_ahead <= 0 THEN
        v_granted := p_count;
        UPDATE rail_state SET next_slot_at = v_start + p_count * make_interval(secs => p_interval_seconds) WHERE rail = p_rail;
    END IF;
    RETURN rail_seen(r, v_now) || jsonb_build_object('granted', v_granted,
        'slots_in', CASE WHEN v_granted > 0 THEN extract(epoch FROM v_start - v_now) ELSE greatest(v_ahead, 0) END);
END $$;

-- One brake on every platform, in one transaction. How many platforms there are.
CREATE OR REPLACE FUNCTION brakes_put_all(p_scope text, p_ref text, p_reason text, p_actor text) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_platform uuid;
    v_count int := 0;
BEGIN
    FOR v_platform IN SELECT id FROM platform ORDER BY id LOOP
        PERFORM brake_put(v_platform, p_scope, p_ref, p_reason, p_actor);
        v_count := v_count + 1;
    END LOOP;
    RETURN v_count;
END $$;

-- Takes it off every platform. How many operations go now; null: it was nowhere.
CREATE OR REPLACE FUNCTION brakes_release_all(p_scope text, p_ref text, p_reason text, p_actor text) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_platform uuid;
    v_freed int;
    v_sum int;
BEGIN
    FOR v_platform IN SELECT id FROM platform ORDER BY id LOOP
        v_freed := brake_release(v_platform, p_scope, p_ref, p_reason, p_actor);
        IF v_freed IS NOT NULL THEN v_sum := coalesce(v_sum, 0) + v_freed; END IF;
    END LOOP;
    RETURN v_sum;
END $$;
