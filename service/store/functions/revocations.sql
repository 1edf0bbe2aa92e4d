-- What an edge is told of access tokens: which have changed since it last asked, each as it is now.

-- Gives up to p_most changed tokens of a platform their places. One at a time on each platform: positions become visible in their order, so whoever
-- has read up to one has missed none before it. A change that commits late gets a later place. What somebody is changing right now is passed over:
-- its change is given a place when it has committed.
CREATE OR REPLACE FUNCTION access_place(p_platform uuid, p_most int) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_head bigint;
    v_placed bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM access_token WHERE platform_id = p_platform AND NOT told) THEN RETURN; END IF;
    INSERT INTO access_head (platform_id) VALUES (p_platform) ON CONFLICT DO NOTHING;
    SELECT position INTO v_head FROM access_head WHERE platform_id = p_platform FOR UPDATE;
    WITH waiting AS MATERIALIZED (
        SELECT jti FROM access_token WHERE platform_id = p_platform AND NOT told LIMIT p_most FOR NO KEY UPDATE SKIP LOCKED
    ), counted AS (
        SELECT jti, row_number() OVER (ORDER BY jti) AS n FROM waiting
    ), placed AS (
        UPDATE access_token AS t SET told = true, position = v_head + counted.n FROM counted
        WHERE t.platform_id = p_platform AND t.jti = counted.jti RETURNING 1
    ) SELECT count(*) INTO v_placed FROM placed;
    UPDATE access_head SET position = v_head + v_placed WHERE platform_id = p_platform;
    -- What has run out interests nobody; twice as many as came, so that the list never grows by what is dead. The hour is for edges with slow clocks.
    UPDATE access_token SET position = NULL WHERE platform_id = p_platform AND jti IN (
        SELECT jti FROM access_token WHERE platform_id = p_platform AND position IS NOT NULL AND told
            AND expires_at < (SELECT app_now()) - interval '1 hour'
        ORDER BY expires_at LIMIT 2 * v_placed FOR NO KEY UPDATE SKIP LOCKED);
END $$;

-- The tokens that changed after a position and have not run out, as they are now, in the order of their places.
CREATE OR REPLACE FUNCTION access_changes(p_platform uuid, p_since bigint, p_most int)
RETURNS TABLE (place bigint, token uuid, state_now text, runs_out timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM access_place(p_platform, p_most);
    RETURN QUERY SELECT t.position, t.jti, t.state, t.expires_at FROM access_token AS t
        WHERE t.platform_id = p_platform AND t.position > p_since AND t.expires_at > (SELECT app_now()) ORDER BY t.position LIMIT p_most;
END $$;
