-- What the platform's feed says of orders and their lines.

-- Who holds a position: the buyer, unless the feed names somebody else. Names and addresses are written to `person` and nowhere else.
CREATE OR REPLACE FUNCTION order_holder_put(p uuid, buyer uuid, was uuid, holder jsonb) RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
    IF holder IS NULL OR holder = 'null' THEN
        RETURN buyer;
    ELSIF was IS NULL OR was = buyer THEN
        INSERT INTO person (platform_id, id, name, email, phone)
        VALUES (p, (holder->>'id')::uuid, holder->>'name', holder->>'email', holder->>'phone');
        RETURN (holder->>'id')::uuid;
    END IF;
    UPDATE person SET name = holder->>'name', email = holder->>'email', phone = holder->>'phone' WHERE platform_id = p AND id = was;
    RETURN was;
END $$;

-- One line of the feed. `awarded` is ours: a price below it is not taken, and the difference becomes a fact. `withdrawn`: the order as a whole
-- admits nobody (cancelled, expired). Returns the facts.
CREATE OR REPLACE FUNCTION order_line_put(p uuid, of_order uuid, buyer uuid, item jsonb, withdrawn boolean, learnt_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    was record;    -- of `line`, see order_pass_put
    became record;
    said jsonb := nullif(item->'pass', 'null');
    facts jsonb := '[]';
    about jsonb := jsonb_build_object('position', item->>'ref');
BEGIN
    SELECT * INTO was FROM line WHERE platform_id = p AND order_id = of_order AND type = item->>'type' AND ref = item->>'ref' FOR NO KEY UPDATE;
    -- A pass that the feed no longer names was taken back; one of a line that admits nobody is void whatever the feed says of it.
    said := coalesce(said, was.fed_pass || '{"status": "void"}');
    IF withdrawn OR (item->>'canceled')::boolean THEN
        said := said || '{"status": "void"}';
    END IF;
    INSERT INTO line AS mine (platform_id, id, order_id, ref, type, kind, name, holder_id, price, tax, discount, canceled, refundable, fed_pass)
    VALUES (p, (item->>'id')::uuid, of_order, item->>'ref', item->>'type', item->>'kind', item->>'name',
            CASE WHEN item->>'type' = 'position' THEN order_holder_put(p, buyer, was.holder_id, item->'holder') END,
            (item->>'price')::bigint, (item->>'tax')::bigint, (item->>'discount')::bigint, (item->>'canceled')::boolean,
            (item->>'refundable')::boolean, said - 'id' - 'issuer')
    ON CONFLICT (platform_id, order_id, type, ref) DO UPDATE SET kind = excluded.kind, name = excluded.name, holder_id = excluded.holder_id,
        price = greatest(excluded.price, mine.awarded), tax = excluded.tax, discount = excluded.discount, canceled = excluded.canceled,
        refundable = excluded.refundable, fed_pass = excluded.fed_pass
    RETURNING * INTO became;
    IF was.holder_id IS DISTINCT FROM became.holder_id AND was.holder_id <> buyer THEN
        DELETE FROM person WHERE platform_id = p AND id = was.holder_id;
    END IF;
    DELETE FROM line_show WHERE platform_id = p AND line_id = became.id AND NOT show_id = ANY (
        SELECT id FROM show WHERE platform_id = p AND ref IN (SELECT * FROM jsonb_array_elements_text(item->'shows')));
    INSERT INTO line_show (platform_id, line_id, show_id)
    SELECT p, became.id, id FROM show WHERE platform_id = p AND ref IN (SELECT * FROM jsonb_array_elements_text(item->'shows'))
    ON CONFLICT DO NOTHING;
    IF became.canceled IS DISTINCT FROM coalesce(was.canceled, false) THEN
        facts := facts || fact_of(CASE WHEN became.canceled THEN 'position_canceled' ELSE 'position_restored' END, learnt_at, about);
    END IF;
    IF became.price > (item->>'price')::bigint THEN
        facts := facts || fact_of('books_disagree', learnt_at,
            about || jsonb_build_object('field', 'price', 'said', (item->>'price')::bigint, 'kept', became.price));
    END IF;
    IF said IS NOT NULL THEN
        facts := facts || order_pass_put(p, became.id, said, was.fed_pass, learnt_at);
    END IF;
    IF withdrawn OR became.canceled THEN
        facts := facts || order_line_withdrawn(p, became.id, became.ref, learnt_at);
    END IF;
    RETURN facts;
END $$;

-- A line that the feed no longer names is cancelled, never deleted: money may have been awarded for it.
CREATE OR REPLACE FUNCTION order_lines_missing(p uuid, of_order uuid, items jsonb, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    gone record;
    facts jsonb := '[]';
BEGIN
    FOR gone IN
        UPDATE line SET canceled = true, fed_pass = fed_pass || '{"status": "void"}'
        WHERE platform_id = p AND order_id = of_order AND NOT canceled
          AND (type, ref) NOT IN (SELECT item->>'type', item->>'ref' FROM jsonb_array_elements(items) AS named(item))
        RETURNING *
    LOOP
        facts := facts || fact_of('position_canceled', learnt_at, jsonb_build_object('position', gone.ref))
                       || order_line_withdrawn(p, gone.id, gone.ref, learnt_at);
    END LOOP;
    RETURN facts;
END $$;

-- What of the document cannot be taken in, found before anything is written: shows, barcodes, rails and charges that are not this
-- order's to name.
CREATE OR REPLACE FUNCTION order_obstacles(p uuid, doc jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(found), '[]') FROM (
        SELECT jsonb_build_object('what', 'unknown_show', 'position', item->>'ref', 'ref', named) AS found
        FROM jsonb_array_elements(doc->'lines') AS lines(item), jsonb_array_elements_text(item->'shows') AS shows(named)
        WHERE NOT EXISTS (SELECT FROM show WHERE show.platform_id = p AND show.ref = named)
        UNION ALL
        -- A payment that is here already stays, so that the order can still be changed: its money is people's to refund.
        SELECT jsonb_build_object('what', 'rail_not_allowed', 'position', item->>'ref', 'ref', item->>'rail')
        FROM jsonb_array_elements(doc->'payments') AS payments(item)
        WHERE item->>'rail' IS NOT NULL AND NOT rail_allowed(p, item->>'rail') AND NOT EXISTS (
            SELECT FROM payment JOIN orders ON orders.platform_id = p AND orders.id = payment.order_id
            WHERE payment.platform_id = p AND orders.ref = doc->>'ref' AND payment.ref = item->>'ref' AND payment.rail = item->>'rail')
        UNION ALL
        -- Likewise: what is here already stays, and nothing of ours refunds it.
        SELECT jsonb_build_object('what', 'charge_of_other', 'position', charge.ref)
        FROM order_charges(p, doc) AS charge WHERE NOT charge.here AND charge_of_other(p, charge.rail, charge.provider_ref)
        UNION ALL
        SELECT jsonb_build_object('what', 'barcode_taken', 'position', item->>'ref')
        FROM jsonb_array_elements(doc->'lines') AS lines(item)
        JOIN pass ON pass.platform_id = p AND pass.barcode = item->'pass'->>'barcode'
        JOIN line ON line.platform_id = p AND line.id = pass.line_id
        JOIN orders ON orders.platform_id = p AND orders.id = line.order_id
        WHERE (orders.ref, line.type, line.ref) IS DISTINCT FROM (doc->>'ref', item->>'type', item->>'ref')) obstacles
$$;

-- One order of the feed, in one transaction under the order's row lock. Returns {result, id, version}; result is `created`, `updated`,
-- `unchanged` (same version and body), `older`, `conflict` (same version, another body), `currency` (it never changes) or `obstacles`.
-- doc.same_version = 'replace' lets an equal version with another body in: for imports, where the mapping may have been corrected.
CREATE OR REPLACE FUNCTION order_put(doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    p uuid := (doc->>'platform')::uuid;
    learnt_at timestamptz := app_now();
    hash bytea := decode(doc->>'hash', 'hex');
    was orders;
    became orders;
    obstacles jsonb := order_obstacles(p, doc);
    facts jsonb := '[]';
    item jsonb;
BEGIN
    SELECT * INTO was FROM orders WHERE platform_id = p AND ref = doc->>'ref' FOR NO KEY UPDATE;
    IF was.id IS NULL AND obstacles = '[]' THEN
        became := order_insert(p, doc, hash);
        IF became.id IS NULL THEN -- somebody else was faster: go on as if it had always been there
            SELECT * INTO was FROM orders WHERE platform_id = p AND ref = doc->>'ref' FOR NO KEY UPDATE;
        ELSE
            facts := facts || fact_of('order_received', became.placed_at, jsonb_build_object('version', became.version, 'total', became.total));
        END IF;
    END IF;
    IF was.id IS NOT NULL THEN
        IF (doc->>'version')::bigint < was.version THEN
            RETURN jsonb_build_object('result', 'older', 'id', was.id, 'version', was.version);
        ELSIF (doc->>'version')::bigint = was.version AND hash = was.body_hash THEN
            RETURN jsonb_build_object('result', 'unchanged', 'id', was.id, 'version', was.version);
        ELSIF (doc->>'version')::bigint = was.version AND doc->>'same_version' <> 'replace' THEN
            RETURN jsonb_build_object('result', 'conflict', 'id', was.id, 'version', was.version);
        ELSIF doc->>'currency' <> was.currency THEN
            RETURN jsonb_build_object('result', 'currency', 'id', was.id, 'version', was.version);
        END IF;
    END IF;
    IF obstacles <> '[]' THEN
        RETURN jsonb_build_object('result', 'obstacles', 'obstacles', obstacles);
    END IF;
    IF became.id IS NULL THEN
        became := order_update(p, was.id, doc, hash);
    END IF;
    IF became.status <> coalesce(was.status, CASE WHEN became.status = 'cancelled' THEN '' ELSE became.status END) THEN
        facts := facts || fact_of('order_' || became.status,
            CASE WHEN became.status = 'cancelled' THEN coalesce(became.cancelled_at, learnt_at) ELSE learnt_at END, '{}');
    END IF;
    -- The order in which all of us lock: order, case, payment, line. Facts go to the cases, so those are locked before the payments.
    PERFORM FROM cases WHERE platform_id = p AND order_id = became.id AND state = 'open' ORDER BY id FOR NO KEY UPDATE;
    PERFORM FROM payment WHERE platform_id = p AND order_id = became.id ORDER BY id FOR NO KEY UPDATE;
    PERFORM FROM line WHERE platform_id = p AND order_id = became.id ORDER BY id FOR NO KEY UPDATE;
    PERFORM order_charges_claim(p, doc);
    -- One charge under another name is the same payment: it is named anew, not counted twice.
    UPDATE payment SET ref = named.item->>'ref' FROM jsonb_array_elements(doc->'payments') AS named(item)
    WHERE payment.platform_id = p AND payment.order_id = became.id AND payment.rail = named.item->>'rail'
      AND payment.provider_ref = named.item->>'provider_ref' AND payment.ref <> named.item->>'ref'
      AND payment.ref NOT IN (SELECT other->>'ref' FROM jsonb_array_elements(doc->'payments') AS others(other))
      AND NOT EXISTS (SELECT FROM payment there WHERE there.platform_id = p AND there.order_id = became.id AND there.ref = named.item->>'ref');
    FOR item IN SELECT * FROM jsonb_array_elements(doc->'payments') LOOP
        facts := facts || order_payment_put(p, became.id, item, learnt_at);
    END LOOP;
    FOR item IN SELECT * FROM jsonb_array_elements(doc->'lines') LOOP
        facts := facts || order_line_put(p, became.id, became.buyer_id, item, became.status IN ('cancelled', 'expired'), learnt_at);
    END LOOP;
    IF was.id IS NOT NULL THEN
        facts := facts || order_lines_missing(p, became.id, doc->'lines', learnt_at) || order_payments_missing(p, became.id,
            ARRAY(SELECT named->>'ref' FROM jsonb_array_elements(doc->'payments') AS payments(named)), learnt_at);
    END IF;
    FOR item IN SELECT * FROM jsonb_array_elements(facts) LOOP
        PERFORM order_fact_add(p, became.id, item->>'kind', doc->>'source', (item->>'at')::timestamptz, item->'data');
    END LOOP;
    RETURN jsonb_build_object('result', CASE WHEN was.id IS NULL THEN 'created' ELSE 'updated' END, 'id', became.id, 'version', became.version);
END $$;

-- The order's own row and its buyer; null when the order is there already.
CREATE OR REPLACE FUNCTION order_insert(p uuid, doc jsonb, hash bytea) RETURNS orders LANGUAGE plpgsql AS $$
DECLARE
    buyer jsonb := doc->'buyer';
    made orders;
BEGIN
    INSERT INTO person (platform_id, id, name, email, phone)
    VALUES (p, (buyer->>'id')::uuid, buyer->>'name', buyer->>'email', buyer->>'phone');
    INSERT INTO orders (platform_id, id, ref, version, status, currency, total, buyer_id, customer_ref, locale, placed_at, cancelled_at, body_hash)
    VALUES (p, (doc->>'id')::uuid, doc->>'ref', (doc->>'version')::bigint, doc->>'status', doc->>'currency', (doc->>'total')::bigint,
            (buyer->>'id')::uuid, buyer->>'customer_ref', doc->>'locale', (doc->>'placed_at')::timestamptz,
            (doc->>'cancelled_at')::timestamptz, hash)
    ON CONFLICT (platform_id, ref) DO NOTHING
    RETURNING * INTO made;
    IF made.id IS NULL THEN
        DELETE FROM person WHERE platform_id = p AND id = (buyer->>'id')::uuid;
    END IF;
    RETURN made;
END $$;

CREATE OR REPLACE FUNCTION order_update(p uuid, known uuid, doc jsonb, hash bytea) RETURNS orders LANGUAGE plpgsql AS $$
DECLARE
    buyer jsonb := doc->'buyer';
    made orders;
BEGIN
    UPDATE orders SET version = (doc->>'version')::bigint, status = doc->>'status', total = (doc->>'total')::bigint,
        customer_ref = buyer->>'customer_ref', locale = doc->>'locale', placed_at = (doc->>'placed_at')::timestamptz,
        cancelled_at = (doc->>'cancelled_at')::timestamptz, body_hash = hash
    WHERE platform_id = p AND id = known
    RETURNING * INTO made;
    UPDATE person SET name = buyer->>'name', email = buyer->>'email', phone = buyer->>'phone' WHERE platform_id = p AND id = made.buyer_id;
    RETURN made;
END $$;
