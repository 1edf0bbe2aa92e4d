-- When two mail addresses are one: the same but for A-Z and a-z. lower() alone finds a row through its index; it says nothing of whose it is, since
-- it makes a k of U+212A (the kelvin sign), and somebody else's mailbox the customer's. Python: service/addresses.py.
CREATE OR REPLACE FUNCTION address_folded(p_email text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT translate(p_email, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
$$;
