-- Endpoints: one worker each by lease, what a round of sending leaves behind, and what people ask for.

-- Keeps a new endpoint, which is told what happens from now on. made | too_many | there (an adapter has one).
CREATE OR REPLACE FUNCTION endpoint_add(p_platform uuid, doc jsonb, p_secret bytea, p_most int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_types text[] := CASE WHEN jsonb_typeof(doc->'types') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(doc->'types')) END;
BEGIN
    -- One at a time: whoever comes second counts what the first has made.
    PERFORM pg_advisory_xact_lock(hashtextextended('endpoints ' || p_platform, 0));
    IF doc->>'kind' = 'adapter' AND EXISTS (SELECT FROM endpoint WHERE platform_id = p_platform AND kind = 'adapter' AND name = doc->>'name') THEN
        RETURN 'there';
    END IF;
    IF (SELECT count(*) >= p_most FROM endpoint WHERE platform_id = p_platform) THEN RETURN 'too_many'; END IF;
    INSERT INTO endpoint (platform_id, id, kind, name, url, types, sealed_secret, state_since, position, next_try_at, created_at, changed_at)
    VALUES (p_platform, (doc->>'id')::uuid, doc->>'kind', doc->>'name', doc->>'url', v_types, p_secret, v_now,
            coalesce((SELECT position FROM outbox_head WHERE platform_id = p_platform), 0), v_now, v_now, v_now);
    PERFORM endpoint_noted(p_platform, (doc->>'id')::uuid, 'endpoint_made', doc, jsonb_build_object('name', doc->>'name', 'types', doc->'types'));
    RETURN 'made';
END $$;

-- Who changed what of an endpoint, and why. An address may hold a key of the platform's, and is not repeated here.
CREATE OR REPLACE FUNCTION endpoint_noted(p_platform uuid, p_endpoint uuid, p_what text, p_change jsonb, p_data jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    VALUES (p_platform, (SELECT app_now()), p_change->>'actor', p_what, coalesce(p_change->>'why', ''),
            jsonb_build_object('endpoint', p_endpoint) || p_data)
$$;

-- Changes what the document names of name, url, types, state. False: there is none, or it is disabled and nobody has enabled it.
CREATE OR REPLACE FUNCTION endpoint_change(p_platform uuid, p_endpoint uuid, doc jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    UPDATE endpoint SET
        name = coalesce(doc->>'name', name), url = coalesce(doc->>'url', url), changed_at = v_now,
        types = CASE WHEN NOT doc ? 'types' THEN types
                     WHEN jsonb_typeof(doc->'types') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(doc->'types')) END,
        state = coalesce(doc->>'state', state),
        state_why = CASE WHEN doc->>'state' <> state THEN doc->>'why' ELSE state_why END,
        state_since = CASE WHEN doc->>'state' <> state THEN v_now ELSE state_since END,
        -- at another address, or after a pause, it is tried at once
        next_try_at = CASE WHEN doc->>'url' <> url OR doc->>'state' <> state THEN v_now ELSE next_try_at END
    WHERE platform_id = p_platform AND id = p_endpoint AND (state <> 'disabled' OR NOT doc ? 'state');
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM endpoint_noted(p_platform, p_endpoint, 'endpoint_changed', doc,
        jsonb_strip_nulls(jsonb_build_object('name', doc->>'name', 'types', doc->'types', 'state', doc->>'state', 'address', doc ? 'url')));
    RETURN true;
END $$;

-- A new secret; the one before it signs too for so many seconds more. False: there is none.
CREATE OR REPLACE FUNCTION endpoint_rotate(p_platform uuid, p_endpoint uuid, p_secret bytea, p_seconds double precision, p_change jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE endpoint SET sealed_former = sealed_secret, former_until = app_now() + make_interval(secs => p_seconds), sealed_secret = p_secret,
        changed_at = app_now()
    WHERE platform_id = p_platform AND id = p_endpoint AND kind = 'webhook';
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM endpoint_noted(p_platform, p_endpoint, 'endpoint_secret_rotated', p_change, jsonb_build_object('former_seconds', p_seconds));
    RETURN true;
END $$;

-- Tries again from now on, whatever it was given up for. False: there is none.
CREATE OR REPLACE FUNCTION endpoint_enable(p_platform uuid, p_endpoint uuid, p_change jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    UPDATE endpoint SET state = 'active', state_why = coalesce(p_change->>'why', ''),
        state_since = CASE WHEN state = 'active' THEN state_since ELSE v_now END,
        failing_since = NULL, failures = 0, next_try_at = v_now, changed_at = v_now
    WHERE platform_id = p_platform AND id = p_endpoint;
    IF NOT FOUND THEN RETURN false; END IF;
    -- Its three days begin anew for what waited too.
    UPDATE endpoint_delivery SET next_try_at = v_now, first_failed_at = NULL, tries = 0
    WHERE platform_id = p_platform AND endpoint_id = p_endpoint AND next_try_at IS NOT NULL;
    PERFORM endpoint_noted(p_platform, p_endpoint, 'endpoint_enabled', p_change, '{}');
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION endpoint_remove(p_platform uuid, p_endpoint uuid, p_change jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM endpoint WHERE platform_id = p_platform AND id = p_endpoint AND kind = 'webhook';
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM endpoint_noted(p_platform, p_endpoint, 'endpoint_removed', p_change, '{}');
    RETURN true;
END $$;

-- Sends again: everything after a position ({after}), what lies between two ({from, to}), or some events ({events}); of what it wants to hear.
-- How many that are; null: there is no such endpoint. Of a range at most p_most, the earliest.
CREATE OR REPLACE FUNCTION endpoint_replay(p_platform uuid, p_endpoint uuid, doc jsonb, p_types text[], p_most int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_keys uuid[];
    v_count bigint;
BEGIN
    PERFORM 1 FROM endpoint WHERE platform_id = p_platform AND id = p_endpoint FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF doc ? 'after' THEN
        -- The next round begins there, whoever is at the present one; and never further on than where it is by then (see the claim).
        UPDATE endpoint SET replay_after = least(replay_after, (doc->>'after')::bigint) WHERE platform_id = p_platform AND id = p_endpoint;
        SELECT count(*) INTO v_count FROM outbox WHERE platform_id = p_platform AND position > (doc->>'after')::bigint
            AND (p_types IS NULL OR type = ANY (p_types));
    ELSE
        WITH asked AS (
            SELECT position, event_id, coalesce(order_id, case_id, event_id) AS key FROM outbox
            WHERE platform_id = p_platform AND position IS NOT NULL AND (p_types IS NULL OR type = ANY (p_types))
              AND (doc ? 'events' OR position BETWEEN (doc->>'from')::bigint AND (doc->>'to')::bigint)
              AND (NOT doc ? 'events' OR event_id = ANY (ARRAY(SELECT jsonb_array_elements_text(doc->'events'))::uuid[]))
              -- what its position has not reached yet is sent anyway
              AND position <= (SELECT e.position FROM endpoint e WHERE e.platform_id = p_platform AND e.id = p_endpoint)
            ORDER BY position LIMIT p_most
        ), parked AS (
            INSERT INTO endpoint_delivery (platform_id, endpoint_id, position, event_id, key, state)
            SELECT p_platform, p_endpoint, position, event_id, key, 'parked' FROM asked
            ON CONFLICT (platform_id, endpoint_id, position) DO UPDATE SET state = 'parked', tries = 0, first_failed_at = NULL, next_try_at = NULL
            RETURNING key
        ) SELECT count(*), array_agg(DISTINCT key) INTO v_count, v_keys FROM parked;
        PERFORM endpoint_heads(p_platform, p_endpoint, v_keys);
        UPDATE endpoint SET next_try_at = least(next_try_at, app_now()) WHERE platform_id = p_platform AND id = p_endpoint AND failing_since IS NULL;
    END IF;
    PERFORM endpoint_noted(p_platform, p_endpoint, 'endpoint_replayed', doc, (doc - 'actor' - 'why') || jsonb_build_object('count', v_count));
    RETURN v_count;
END $$;

-- Of each key the first that is parked is due when its time comes, and nothing behind it.
CREATE OR REPLACE FUNCTION endpoint_heads(p_platform uuid, p_endpoint uuid, p_keys uuid[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE endpoint_delivery SET next_try_at = CASE WHEN standing.is_first THEN (SELECT app_now()) END
    FROM (SELECT position, row_number() OVER (PARTITION BY key ORDER BY position) = 1 AS is_first FROM endpoint_delivery
          WHERE platform_id = p_platform AND endpoint_id = p_endpoint AND state = 'parked' AND key = ANY (p_keys)) AS standing
    WHERE endpoint_delivery.platform_id = p_platform AND endpoint_id = p_endpoint AND endpoint_delivery.position = standing.position
      AND standing.is_first = (next_try_at IS NULL)
$$;

-- What a round of sending came to. doc: position (up to where all is delivered or parked), succeeded, sent (parked ones that went), failed
-- [{position, event_id, key, status, detail, wait, final}], queued [{position, event_id, key}], ill {status, detail, wait, gone} or null, log,
-- and the limits give_up_seconds, tries_min, ill_keys, ill_wait. settled | disabled | lost (another has the lease: nothing is written).
CREATE OR REPLACE FUNCTION endpoint_settle(p_platform uuid, p_endpoint uuid, p_epoch bigint, doc jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_given_up timestamptz := v_now - make_interval(secs => (doc->'limits'->>'give_up_seconds')::double precision);
    v_end record;
    v_keys uuid[];
    v_dead int;
    v_mute boolean;
    v_failing timestamptz;
    v_wait double precision := 0;
    v_why text;
BEGIN
    SELECT lease_epoch, created_at, succeeded_at, failing_since INTO v_end FROM endpoint
    WHERE platform_id = p_platform AND id = p_endpoint FOR NO KEY UPDATE;
    IF NOT FOUND OR v_end.lease_epoch <> p_epoch THEN RETURN 'lost'; END IF;
    IF (doc->>'succeeded')::boolean THEN v_end.succeeded_at := v_now; END IF;

    WITH gone AS (
        DELETE FROM endpoint_delivery WHERE platform_id = p_platform AND endpoint_id = p_endpoint
            AND position = ANY (ARRAY(SELECT jsonb_array_elements_text(doc->'sent'))::bigint[]) RETURNING key
    ), queued AS (
        INSERT INTO endpoint_delivery (platform_id, endpoint_id, position, event_id, key, state)
        SELECT p_platform, p_endpoint, q.position, q.event_id, q.key, 'parked'
        FROM jsonb_to_recordset(doc->'queued') AS q (position bigint, event_id uuid, key uuid) ON CONFLICT DO NOTHING RETURNING key
    ), failed AS (
        INSERT INTO endpoint_delivery AS d (platform_id, endpoint_id, position, event_id, key, state, tries, first_failed_at, next_try_at,
            last_status, last_detail)
        SELECT p_platform, p_endpoint, f.position, f.event_id, f.key, 'parked', 1, v_now, v_now + make_interval(secs => f.wait), f.status, f.detail
        FROM jsonb_to_recordset(doc->'failed') AS f (position bigint, event_id uuid, key uuid, wait double precision, status int, detail text)
        ON CONFLICT (platform_id, endpoint_id, position) DO UPDATE SET tries = d.tries + 1, next_try_at = excluded.next_try_at,
            first_failed_at = coalesce(d.first_failed_at, excluded.first_failed_at), last_status = excluded.last_status, last_detail = excluded.last_detail
        RETURNING key
    ) SELECT array_agg(DISTINCT key) INTO v_keys FROM (SELECT key FROM gone UNION SELECT key FROM queued UNION SELECT key FROM failed) AS touched;

    -- An event that is refused for good, or for days while others go, holds back its successors no longer.
    UPDATE endpoint_delivery AS d SET state = 'dead', next_try_at = NULL
    FROM jsonb_to_recordset(doc->'failed') AS f (position bigint, final boolean)
    WHERE d.platform_id = p_platform AND d.endpoint_id = p_endpoint AND d.position = f.position
      AND (f.final OR (d.first_failed_at <= v_given_up AND d.tries >= (doc->'limits'->>'tries_min')::int AND v_end.succeeded_at > d.first_failed_at));
    GET DIAGNOSTICS v_dead = ROW_COUNT;
    IF v_keys IS NOT NULL THEN PERFORM endpoint_heads(p_platform, p_endpoint, v_keys); END IF;

    v_failing := CASE WHEN (doc->>'succeeded')::boolean THEN NULL ELSE v_end.failing_since END;
    IF jsonb_typeof(doc->'ill') = 'object' THEN
        v_failing := coalesce(v_failing, v_now);
        v_wait := (doc->'ill'->>'wait')::double precision;
        v_why := CASE WHEN (doc->'ill'->>'gone')::boolean OR v_failing <= v_given_up THEN doc->'ill'->>'detail' END;
    ELSIF doc->'failed' <> '[]' AND NOT (doc->>'succeeded')::boolean THEN
        -- Nothing got through since several different ones failed: it is not the events.
        SELECT min(first_failed_at), min(first_failed_at) <= v_given_up AND max(tries) >= (doc->'limits'->>'tries_min')::int
        INTO v_failing, v_mute FROM endpoint_delivery
        WHERE platform_id = p_platform AND endpoint_id = p_endpoint AND state = 'parked' AND first_failed_at > coalesce(v_end.succeeded_at, v_end.created_at)
        HAVING count(DISTINCT key) >= (doc->'limits'->>'ill_keys')::int
            OR (min(first_failed_at) <= v_given_up AND max(tries) >= (doc->'limits'->>'tries_min')::int);
        v_wait := CASE WHEN v_failing IS NULL THEN 0 ELSE (doc->'limits'->>'ill_wait')::double precision END;
        v_why := CASE WHEN v_mute THEN doc->'failed'->0->>'detail' END;
    END IF;

    UPDATE endpoint SET position = greatest(position, (doc->>'position')::bigint), succeeded_at = v_end.succeeded_at, failing_since = v_failing,
        failures = CASE WHEN v_failing IS NULL THEN 0 WHEN v_wait > 0 THEN failures + 1 ELSE failures END, next_try_at = v_now + make_interval(secs => v_wait), lease_until = NULL
    WHERE platform_id = p_platform AND id = p_endpoint;
    INSERT INTO delivery_log (platform_id, endpoint_id, at, event_id, type, status, detail, milliseconds)
    SELECT p_platform, p_endpoint, v_now, l.event_id, l.type, l.status, l.detail, l.milliseconds
    FROM jsonb_to_recordset(doc->'log') AS l (event_id uuid, type text, status int, detail text, milliseconds int);
    IF v_dead > 0 THEN PERFORM endpoint_alert(p_platform, p_endpoint, 'delivery_given_up', doc->'failed'->0->>'detail'); END IF;
    IF v_why IS NULL THEN RETURN 'settled'; END IF;
    PERFORM endpoint_disable(p_platform, p_endpoint, v_why);
    RETURN 'disabled';
END $$;

-- Gives an endpoint up, and tells everybody who may want to know: people, and the platform by its feed. It keeps its position.
CREATE OR REPLACE FUNCTION endpoint_disable(p_platform uuid, p_endpoint uuid, p_why text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_end record;
BEGIN
    UPDATE endpoint SET state = 'disabled', state_why = p_why, state_since = v_now, lease_until = NULL
    WHERE platform_id = p_platform AND id = p_endpoint AND state = 'active' RETURNING name, failing_since INTO v_end;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM endpoint_noted(p_platform, p_endpoint, 'endpoint_disabled', jsonb_build_object('actor', 'makegood', 'why', p_why), '{}');
    PERFORM tell(p_platform, NULL, NULL, 'endpoint.disabled', jsonb_build_object('endpoint', 'ep_' || replace(p_endpoint::text, '-', ''),
        'name', v_end.name, 'why', p_why, 'since', v_end.failing_since), v_now);
    PERFORM endpoint_alert(p_platform, p_endpoint, 'endpoint_disabled', p_why);
END $$;

CREATE OR REPLACE FUNCTION endpoint_alert(p_platform uuid, p_endpoint uuid, p_kind text, p_why text) RETURNS void
LANGUAGE sql AS $$
    SELECT alert_raise(p_platform, p_kind, jsonb_build_object('ref', 'ep_' || replace(p_endpoint::text, '-', ''), 'name', name, 'why', p_why))
    FROM endpoint WHERE platform_id = p_platform AND id = p_endpoint
$$;

-- Forgets what is older than so many days, from the beginning of each feed on: never what an active endpoint has still to be sent. How many.
CREATE OR REPLACE FUNCTION outbox_forget(p_days int, p_most int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_before timestamptz := app_now() - make_interval(days => p_days);
    v_feed record;
    v_last bigint;
    v_count bigint := 0;
BEGIN
    FOR v_feed IN
        -- every platform: the clean-up is the installation's own
        SELECT old.platform_id, least(
            (SELECT min(least(e.replay_after, e.position)) FROM endpoint e WHERE e.platform_id = old.platform_id AND e.state = 'active'),
            (SELECT min(d.position) - 1 FROM endpoint_delivery d JOIN endpoint e ON e.platform_id = d.platform_id AND e.id = d.endpoint_id
             WHERE d.platform_id = old.platform_id AND d.state = 'parked' AND e.state = 'active'),
            9223372036854775807) AS done
        FROM (SELECT DISTINCT platform_id FROM (SELECT platform_id FROM outbox WHERE created_at < v_before ORDER BY created_at LIMIT p_most) AS oldest) AS old
        ORDER BY old.platform_id
    LOOP
        SELECT max(position) INTO v_last FROM (
            SELECT position, bool_and(created_at < v_before) OVER (ORDER BY position) AS is_old FROM (
                SELECT position, created_at FROM outbox WHERE platform_id = v_feed.platform_id AND position IS NOT NULL ORDER BY position LIMIT p_most
            ) AS first) AS ranked
        WHERE is_old AND position <= v_feed.done;
        CONTINUE WHEN v_last IS NULL;
        UPDATE outbox_head SET forgotten = greatest(forgotten, v_last) WHERE platform_id = v_feed.platform_id;
        WITH forgotten AS (DELETE FROM outbox WHERE platform_id = v_feed.platform_id AND position <= v_last RETURNING 1)
        SELECT v_count + count(*) INTO v_count FROM forgotten;
    END LOOP;
    RETURN v_count;
END $$;
