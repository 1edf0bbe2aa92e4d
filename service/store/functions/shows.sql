-- What the platform's feed says of shows and incidents.

-- The cases of a show that wait for this are given back to the process. Locked by id, so that two of these never wait for each other.
CREATE OR REPLACE FUNCTION cases_wake(p uuid, of_show uuid, waiting_for text) RETURNS bigint LANGUAGE sql AS $$
    WITH waiting AS MATERIALIZED (
        SELECT id FROM cases WHERE platform_id = p AND show_id = of_show AND owner = 'timer' AND wait_for = waiting_for ORDER BY id FOR NO KEY UPDATE
    ), woken AS (
        UPDATE cases SET owner = 'process', due_at = (SELECT app_now()), tell = true FROM waiting
        WHERE cases.platform_id = p AND cases.id = waiting.id RETURNING 1
    ) SELECT count(*) FROM woken
$$;

-- Another mode, cap or parameter of a show, with who and, in place of why, with which version.
CREATE OR REPLACE FUNCTION show_noted(p uuid, doc jsonb, was jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    SELECT p, (SELECT app_now()), coalesce(doc->>'source', 'feed'), 'show_changed', 'version ' || (doc->>'version') || ' of the show',
           jsonb_build_object('show', doc->>'ref', 'was', was, 'became', doc->'settings')
    WHERE was IS DISTINCT FROM doc->'settings'
$$;

-- One show of the feed. Result as for an order. A show that is cancelled, postponed or given another time wakes the cases that wait for that,
-- and those that wait for the end of an incident on it: what they wait for may no longer come.
CREATE OR REPLACE FUNCTION show_put(doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    p uuid := (doc->>'platform')::uuid;
    was show;
    became show;
    woken bigint := 0;
BEGIN
    INSERT INTO show (platform_id, id, ref, version, name, zone, starts_at, ends_at, status, settings)
    VALUES (p, (doc->>'id')::uuid, doc->>'ref', (doc->>'version')::bigint, doc->'name', doc->>'zone', (doc->>'starts_at')::timestamptz,
            (doc->>'ends_at')::timestamptz, doc->>'status', doc->'settings')
    ON CONFLICT (platform_id, ref) DO NOTHING
    RETURNING * INTO became;
    IF became.id IS NOT NULL THEN
        PERFORM show_noted(p, doc, '{}');
        RETURN jsonb_build_object('result', 'created', 'id', became.id, 'version', became.version, 'woken', 0);
    END IF;
    SELECT * INTO was FROM show WHERE platform_id = p AND ref = doc->>'ref' FOR NO KEY UPDATE;
    IF (doc->>'version')::bigint < was.version THEN
        RETURN jsonb_build_object('result', 'older', 'id', was.id, 'version', was.version);
    ELSIF (doc->>'version')::bigint = was.version THEN
        IF (doc->'name', doc->>'zone', (doc->>'starts_at')::timestamptz, (doc->>'ends_at')::timestamptz, doc->>'status', doc->'settings')
           = (was.name, was.zone, was.starts_at, was.ends_at, was.status, was.settings) THEN
            RETURN jsonb_build_object('result', 'unchanged', 'id', was.id, 'version', was.version);
        ELSIF doc->>'same_version' <> 'replace' THEN
            RETURN jsonb_build_object('result', 'conflict', 'id', was.id, 'version', was.version);
        END IF;
    END IF;
    UPDATE show SET version = (doc->>'version')::bigint, name = doc->'name', zone = doc->>'zone', status = doc->>'status',
        starts_at = (doc->>'starts_at')::timestamptz, ends_at = (doc->>'ends_at')::timestamptz, settings = doc->'settings'
    WHERE platform_id = p AND id = was.id
    RETURNING * INTO became;
    PERFORM show_noted(p, doc, was.settings);
    IF (was.status, was.starts_at, was.ends_at) <> (became.status, became.starts_at, became.ends_at) THEN
        woken := cases_wake(p, was.id, 'show_date') + cases_wake(p, was.id, 'incident_end');
    END IF;
    RETURN jsonb_build_object('result', 'updated', 'id', became.id, 'version', became.version, 'woken', woken);
END $$;

-- One incident of the feed. Result as for an order, or `unknown_show`. An incident that is new or has ended wakes the cases that wait for one.
CREATE OR REPLACE FUNCTION incident_put(doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    p uuid := (doc->>'platform')::uuid;
    of_show uuid;
    was incident;
    became incident;
BEGIN
    SELECT id INTO of_show FROM show WHERE platform_id = p AND ref = doc->>'show';
    IF of_show IS NULL THEN
        RETURN jsonb_build_object('result', 'unknown_show');
    END IF;
    INSERT INTO incident (platform_id, id, show_id, ref, version, kind, starts_at, ends_at, scope)
    VALUES (p, (doc->>'id')::uuid, of_show, doc->>'ref', (doc->>'version')::bigint, doc->>'kind', (doc->>'from')::timestamptz,
            (doc->>'to')::timestamptz, doc->'scope')
    ON CONFLICT (platform_id, show_id, ref) DO NOTHING
    RETURNING * INTO became;
    IF became.id IS NULL THEN
        SELECT * INTO was FROM incident WHERE platform_id = p AND show_id = of_show AND ref = doc->>'ref' FOR NO KEY UPDATE;
        IF (doc->>'version')::bigint < was.version THEN
            RETURN jsonb_build_object('result', 'older', 'id', was.id, 'version', was.version);
        ELSIF (doc->>'version')::bigint = was.version THEN
            RETURN jsonb_build_object('id', was.id, 'version', was.version, 'result',
                CASE WHEN (doc->>'kind', (doc->>'from')::timestamptz, doc->'scope') = (was.kind, was.starts_at, was.scope)
                          AND (doc->>'to')::timestamptz IS NOT DISTINCT FROM was.ends_at THEN 'unchanged' ELSE 'conflict' END);
        END IF;
        UPDATE incident SET version = (doc->>'version')::bigint, kind = doc->>'kind', starts_at = (doc->>'from')::timestamptz,
            ends_at = (doc->>'to')::timestamptz, scope = doc->'scope'
        WHERE platform_id = p AND id = was.id
        RETURNING * INTO became;
    END IF;
    RETURN jsonb_build_object('result', CASE WHEN was.id IS NULL THEN 'created' ELSE 'updated' END, 'id', became.id, 'version', became.version,
        'woken', CASE WHEN became.ends_at IS NULL AND was.id IS NOT NULL THEN 0 ELSE cases_wake(p, of_show, 'incident_end') END);
END $$;
