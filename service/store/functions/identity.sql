-- Limits and one-time codes.

-- Counts one use in each bucket. Returns 0, or the seconds until every bucket that is now over its limit starts anew.
-- Buckets are taken in one order, so that two callers never wait for each other.
CREATE OR REPLACE FUNCTION rate_take(p_platform uuid, p_buckets text[], p_most int[], p_seconds int[]) RETURNS int LANGUAGE sql AS $$
    WITH clock AS MATERIALIZED (SELECT app_now() AS now),
    asked AS MATERIALIZED (
        SELECT bucket, most, seconds, now, date_bin(make_interval(secs => seconds), now, timestamptz '2020-01-01 00:00Z') AS window_start
        FROM unnest(p_buckets, p_most, p_seconds) AS a (bucket, most, seconds), clock
    ),
    taken AS (
        INSERT INTO rate (platform_id, bucket, window_start, used)
        SELECT p_platform, bucket, window_start, 1 FROM asked ORDER BY bucket
        ON CONFLICT (platform_id, bucket, window_start) DO UPDATE SET used = least(rate.used + 1, 1000000) WHERE rate.platform_id = p_platform
        RETURNING bucket, used
    )
    SELECT coalesce(max(ceil(extract(epoch FROM asked.window_start + make_interval(secs => seconds) - now))::int), 0)
    FROM taken JOIN asked USING (bucket) WHERE used > most
$$;

-- Where a letter with a code goes, and what it opens to whoever reads it: the address as it stands with the buyer or holder and never as somebody
-- typed it, and the one pass if it opens that alone; null, nobody here. An address that bought something opens all it bought; one that only holds
-- a pass opens that pass: the one of the named order, else of the show that ends last.
CREATE OR REPLACE FUNCTION code_goes_to(p_platform uuid, p_email text, p_order text) RETURNS TABLE (email text, only_pass uuid)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_buys boolean;      -- the address bought something here
    v_bought text;       -- and the named order, if one was named; written as it was typed where it is
    v_holds text;
    v_held uuid;
BEGIN
    SELECT count(*) > 0, (array_agg(b.email ORDER BY b.email <> p_email, o.placed_at DESC, o.id) FILTER (WHERE p_order IS NULL OR o.ref = p_order))[1]
    INTO v_buys, v_bought
    FROM person b JOIN orders o ON o.platform_id = b.platform_id AND o.buyer_id = b.id
    WHERE b.platform_id = p_platform AND lower(b.email) = lower(p_email) AND address_folded(b.email) = address_folded(p_email);

    SELECT h.email, w.id INTO v_holds, v_held
    FROM person h
    JOIN line l ON l.platform_id = h.platform_id AND l.holder_id = h.id
    JOIN orders o ON o.platform_id = l.platform_id AND o.id = l.order_id
    JOIN pass w ON w.platform_id = l.platform_id AND w.line_id = l.id AND w.status <> 'void'
    LEFT JOIN line_show ls ON ls.platform_id = l.platform_id AND ls.line_id = l.id
    LEFT JOIN show s ON s.platform_id = ls.platform_id AND s.id = ls.show_id
    WHERE h.platform_id = p_platform AND lower(h.email) = lower(p_email) AND address_folded(h.email) = address_folded(p_email)
      AND (p_order IS NULL OR o.ref = p_order)
    ORDER BY s.ends_at DESC NULLS LAST, w.id LIMIT 1;
    RETURN QUERY SELECT coalesce(v_bought, v_holds), CASE WHEN v_buys THEN NULL ELSE v_held END;
END $$;

-- An order has arrived since the code was made: the code is for its address now, where it is. False: it is not, or it is too late.
CREATE OR REPLACE FUNCTION code_match(p_platform uuid, p_code uuid, p_email text, p_order text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE one_time_code SET email = found.email, only_pass = found.only_pass FROM code_goes_to(p_platform, p_email, p_order) found
    WHERE platform_id = p_platform AND id = p_code AND one_time_code.email IS NULL AND used_at IS NULL AND expires_at > app_now()
      AND found.email IS NOT NULL;
    RETURN FOUND;
END $$;

-- Writes a code for this session, whoever asks and whatever exists: the same statements and a row of the same size either way.
-- Only `email` (who to write to, or nobody) differs.
CREATE OR REPLACE FUNCTION code_request(p_platform uuid, p_session uuid, p_code uuid, p_email text, p_order text, p_hash bytea, p_sealed bytea,
                             p_language text, p_seconds int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_email text;
    v_only uuid;
BEGIN
    -- two requests of one session leave one letter between them; a code by text that is on its way stays good
    PERFORM FROM session WHERE platform_id = p_platform AND id = p_session FOR UPDATE;
    UPDATE one_time_code SET used_at = v_now, sealed = NULL
    WHERE platform_id = p_platform AND session_id = p_session AND used_at IS NULL AND channel = 'mail';
    UPDATE session SET level = 'claimed' WHERE platform_id = p_platform AND id = p_session AND level = 'anonymous';

    SELECT email, only_pass INTO v_email, v_only FROM code_goes_to(p_platform, p_email, p_order);
    INSERT INTO one_time_code (platform_id, id, session_id, hash, sealed, email, only_pass, language, expires_at, created_at)
    VALUES (p_platform, p_code, p_session, p_hash, p_sealed, v_email, v_only, p_language,
            v_now + make_interval(secs => p_seconds), v_now);
END $$;
