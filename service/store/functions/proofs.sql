-- What a proof makes of whoever brings it: the one place that compares people with what somebody has proved about themselves.
-- p_proofs holds an address alone ({1}: a code by mail, or a platform's JWT), and an address and a phone together ({2} and {3}: a code
-- by text). Addresses are folded (`address_folded`), the phone is in E.164; null: not proven.

-- A phone as people write it, in E.164 (ITU-T E.164, section 6.2: at most 15 digits); null where the country is missing or it is none.
-- "(0)" is a trunk prefix that is not dialled behind a country code.
CREATE OR REPLACE FUNCTION phone_e164(p_phone text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT substring(translate(replace(p_phone, '(0)', ''), ' ()./-' || chr(160), '') FROM '^\+[1-9][0-9]{7,14}$')
$$;

-- How a buyer's address and phone have been proven: `address`, `text` or `both`; null: they have not. A text counts for whoever has that
-- address and that phone together: an order with somebody's address and a phone of one's own proves nothing of that somebody's orders.
CREATE OR REPLACE FUNCTION buyer_proven(p_email text, p_phone text, p_proofs text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN address_folded(p_email) = p_proofs[2] AND phone_e164(p_phone) = p_proofs[3]
            THEN CASE WHEN address_folded(p_email) = p_proofs[1] THEN 'both' ELSE 'text' END
        WHEN address_folded(p_email) = p_proofs[1] THEN 'address' END
$$;

-- Whether a holder's address has been proven. Texts go to buyers alone: a phone proves no ticket.
CREATE OR REPLACE FUNCTION holder_proven(p_email text, p_proofs text[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(address_folded(p_email) = p_proofs[1], false)
$$;

-- A session is about to be proven as somebody: what it was proven as before, for half an hour or long ago, was another person at the same screen.
-- Their cases that have an order are the session's no more; who proves that order again finds them. Called before the session's row changes.
CREATE OR REPLACE FUNCTION session_proves_anew(p_platform uuid, p_session uuid, p_email text, p_phone text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM session WHERE platform_id = p_platform AND id = p_session AND (
            address_folded(person_email) <> address_folded(p_email) OR text_email <> address_folded(p_email) OR text_phone <> p_phone)) THEN
        RETURN;
    END IF;
    UPDATE cases SET session_id = NULL, opened_by = opened_by || ':before' FROM (
        SELECT id FROM cases WHERE platform_id = p_platform AND session_id = p_session AND order_id IS NOT NULL ORDER BY id FOR NO KEY UPDATE) AS theirs
    WHERE cases.platform_id = p_platform AND cases.id = theirs.id;
END $$;
