-- Which rails a platform may use.

-- Whether the platform's payments may be on this rail: all are, unless its settings name those that may.
CREATE OR REPLACE FUNCTION rail_allowed(p_platform uuid, p_rail text) RETURNS boolean LANGUAGE sql STABLE AS $$
    -- every platform: its id is platform_id
    SELECT coalesce((SELECT nullif(settings->'rails', 'null') FROM platform WHERE id = p_platform) ? p_rail, true)
$$;

-- Whether this charge is another platform's: nothing of ours refunds or cancels it for this one.
CREATE OR REPLACE FUNCTION charge_of_other(p_platform uuid, p_rail text, p_provider_ref text) RETURNS boolean LANGUAGE sql STABLE AS $$
    -- every platform: a rail is the installation's, and the one that a charge belongs to is what is asked
    SELECT EXISTS (SELECT FROM charge_owner WHERE rail = p_rail AND provider_ref = p_provider_ref AND platform_id <> p_platform)
$$;

-- The same of a payment that is here.
CREATE OR REPLACE FUNCTION payment_of_other(p_platform uuid, p_payment uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND id = p_payment AND charge_of_other(p_platform, rail, provider_ref))
$$;

-- The charges that an order's document names, with what its payments had before: a reference that is left out is kept. `here`: this order
-- has a payment of that charge already.
CREATE OR REPLACE FUNCTION order_charges(p uuid, doc jsonb) RETURNS TABLE (ref text, rail text, provider_ref text, here boolean)
LANGUAGE sql STABLE AS $$
    WITH known AS (
        SELECT payment.ref, payment.rail, payment.provider_ref FROM payment JOIN orders ON orders.platform_id = p AND orders.id = payment.order_id
        WHERE payment.platform_id = p AND orders.ref = doc->>'ref'
    ), named AS (
        SELECT item->>'ref' AS ref, item->>'rail' AS rail, coalesce(item->>'provider_ref', known.provider_ref) AS provider_ref
        FROM jsonb_array_elements(doc->'payments') AS payments(item) LEFT JOIN known ON known.ref = item->>'ref'
    )
    SELECT named.ref, named.rail, named.provider_ref, EXISTS (
        SELECT FROM known WHERE known.rail = named.rail AND known.provider_ref = named.provider_ref)
    FROM named WHERE named.rail IS NOT NULL AND named.provider_ref IS NOT NULL
$$;

-- Makes the document's charges this platform's, before its payments are written. Whoever feeds the same charge at this moment for another
-- platform is waited for; if it was first, the feed is tried again, and told that the charge is not its own.
CREATE OR REPLACE FUNCTION order_charges_claim(p uuid, doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO charge_owner (rail, provider_ref, platform_id)
    SELECT DISTINCT rail, provider_ref, p FROM order_charges(p, doc) ORDER BY rail, provider_ref  -- in one order, so that no two wait for each other
    ON CONFLICT DO NOTHING;
    IF EXISTS (SELECT FROM order_charges(p, doc) WHERE NOT here AND charge_of_other(p, rail, provider_ref)) THEN
        RAISE unique_violation USING MESSAGE = 'a charge became another platform''s meanwhile';
    END IF;
END $$;
