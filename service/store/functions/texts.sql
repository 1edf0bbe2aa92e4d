-- One-time codes by text message.

-- Where a text goes, and whose buyer it is for: of the named order, else of the newest one under the address that has a phone.
CREATE OR REPLACE FUNCTION text_goes_to(p_platform uuid, p_email text, p_order text) RETURNS TABLE (email text, phone text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT address_folded(b.email), phone_e164(b.phone)
    FROM person b JOIN orders o ON o.platform_id = b.platform_id AND o.buyer_id = b.id
    WHERE b.platform_id = p_platform AND lower(b.email) = lower(p_email) AND address_folded(b.email) = address_folded(p_email)
      AND phone_e164(b.phone) IS NOT NULL AND (p_order IS NULL OR o.ref = p_order)
    ORDER BY o.placed_at DESC, o.id LIMIT 1;
END $$;

-- Writes a code for this session as code_request does, for a phone: the same statements and a row of the same size whoever asks.
CREATE OR REPLACE FUNCTION text_request(p_platform uuid, p_session uuid, p_code uuid, p_email text, p_order text, p_hash bytea, p_sealed bytea,
                             p_language text, p_seconds int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_email text;
    v_phone text;
BEGIN
    -- two requests of one session leave one text between them; a code by mail that is on its way stays good
    PERFORM FROM session WHERE platform_id = p_platform AND id = p_session FOR UPDATE;
    UPDATE one_time_code SET used_at = v_now, sealed = NULL
    WHERE platform_id = p_platform AND session_id = p_session AND used_at IS NULL AND channel = 'text';
    UPDATE session SET level = 'claimed' WHERE platform_id = p_platform AND id = p_session AND level = 'anonymous';

    SELECT email, phone INTO v_email, v_phone FROM text_goes_to(p_platform, p_email, p_order);
    INSERT INTO one_time_code (platform_id, id, session_id, hash, sealed, channel, text_email, text_phone, language, expires_at, created_at)
    VALUES (p_platform, p_code, p_session, p_hash, p_sealed, 'text', v_email, v_phone, p_language, v_now + make_interval(secs => p_seconds), v_now);
END $$;

-- An order has arrived since the code was made: the text goes to its buyer's phone now, where there is one. Null: there is none, or it is too late.
CREATE OR REPLACE FUNCTION text_match(p_platform uuid, p_code uuid, p_email text, p_order text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_phone text;
BEGIN
    UPDATE one_time_code SET text_email = found.email, text_phone = found.phone FROM text_goes_to(p_platform, p_email, p_order) found
    WHERE platform_id = p_platform AND id = p_code AND channel = 'text' AND text_phone IS NULL AND used_at IS NULL AND expires_at > app_now()
    RETURNING text_phone INTO v_phone;
    RETURN v_phone;
END $$;

-- Uses a text's code up. What it proves is kept only while there still is a buyer with that address and that phone. Returns until when; null:
-- another request used it first, or the phone or the address is no longer that buyer's.
CREATE OR REPLACE FUNCTION text_prove(p_platform uuid, p_session uuid, p_code uuid, p_seconds int, p_both_seconds int) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_email text;
    v_phone text;
    v_until timestamptz;
BEGIN
    UPDATE one_time_code SET used_at = v_now, sealed = NULL
    WHERE platform_id = p_platform AND session_id = p_session AND id = p_code AND used_at IS NULL AND text_phone IS NOT NULL
    RETURNING text_email, text_phone INTO v_email, v_phone;
    IF v_phone IS NULL OR NOT EXISTS (
        SELECT FROM person b JOIN orders o ON o.platform_id = b.platform_id AND o.buyer_id = b.id
        WHERE b.platform_id = p_platform AND lower(b.email) = lower(v_email) AND buyer_proven(b.email, b.phone, ARRAY[NULL, v_email, v_phone]) = 'text'
    ) THEN
        RETURN NULL;
    END IF;
    PERFORM session_proves_anew(p_platform, p_session, v_email, v_phone);
    UPDATE session SET text_email = v_email, text_phone = v_phone, text_until = v_now + make_interval(secs => p_seconds),
        both_until = CASE WHEN level_until > v_now AND address_folded(person_email) = v_email THEN v_now + make_interval(secs => p_both_seconds) END
    WHERE platform_id = p_platform AND id = p_session RETURNING text_until INTO v_until;
    RETURN v_until;
END $$;
