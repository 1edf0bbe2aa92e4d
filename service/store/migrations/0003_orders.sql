-- What the platform's feed says of orders, shows and incidents, taken in by one function each. A function is one round trip and one transaction.
--
-- Two hands write some columns: the feed and we (a pass that we replaced, a dispute that a webhook told us of). For those we keep what the feed
-- said last, and the feed changes our row only where it now says something else than before. So a feed that merely repeats itself, or that has not
-- heard of our change yet, never takes the change back.

ALTER TABLE line ADD COLUMN fed_pass jsonb;            -- what the feed last said of this line's pass: barcode, status, checked_in_at
ALTER TABLE payment ADD COLUMN fed_dispute text;       -- what the feed last said of a dispute
ALTER TABLE payment ADD COLUMN disputed bigint;        -- how much of it is disputed, where somebody said so
ALTER TABLE refund_elsewhere ADD COLUMN provider_ref text;
ALTER TABLE refund_elsewhere ADD COLUMN happened_at timestamptz;
ALTER TABLE refund_elsewhere ADD COLUMN operation_id uuid; -- ours, told back to us: counted in payment.refunded or reserved already
ALTER TABLE refund_elsewhere ADD FOREIGN KEY (platform_id, operation_id) REFERENCES operation (platform_id, id);
CREATE UNIQUE INDEX one_echo_an_operation ON refund_elsewhere (platform_id, operation_id) WHERE operation_id IS NOT NULL;
CREATE INDEX attempt_by_provider_ref ON attempt (platform_id, provider_ref) WHERE provider_ref IS NOT NULL;
CREATE INDEX line_show_by_show ON line_show (platform_id, show_id);

CREATE FUNCTION fact_of(kind text, happened_at timestamptz, data jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$ SELECT jsonb_build_object('kind', kind, 'at', happened_at, 'data', data) $$;

-- ---------------------------------------------------------------------------------------- refunds made by others

-- refunded_elsewhere is the sum of what others refunded and is not known to have failed. One refund that is told twice (by the feed and by the
-- processor) has one provider_ref and counts once; one that is ours counts here only when our own operation came to nothing.
CREATE FUNCTION payment_recount(p uuid, of_payment uuid) RETURNS bigint LANGUAGE sql AS $$
    UPDATE payment SET refunded_elsewhere = coalesce((
        SELECT sum(amount) FROM (
            SELECT max(r.amount) AS amount
            FROM refund_elsewhere r
            LEFT JOIN operation o ON o.platform_id = p AND o.id = r.operation_id AND o.state NOT IN ('REFUSED', 'FAILED')
            WHERE r.platform_id = p AND r.payment_id = of_payment AND r.state <> 'failed' AND o.id IS NULL
            GROUP BY coalesce('provider:' || r.provider_ref, 'ref:' || r.ref)) counted), 0)
    WHERE platform_id = p AND id = of_payment
    RETURNING refunded_elsewhere
$$;

-- Our operation that this refund is the echo of: by the processor's reference, else by amount and day (UTC) where none was given.
CREATE FUNCTION refund_is_ours(p uuid, of_payment uuid, item jsonb) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT o.id
    FROM operation o
    WHERE o.platform_id = p AND o.payment_id = of_payment AND o.action = 'refund' AND o.state NOT IN ('REFUSED', 'FAILED')
      AND NOT EXISTS (SELECT FROM refund_elsewhere r
                      WHERE r.platform_id = p AND r.operation_id = o.id AND NOT (r.payment_id = of_payment AND r.ref = item->>'ref'))
      AND CASE WHEN item->>'provider_ref' IS NOT NULL THEN EXISTS (
                   SELECT FROM attempt a WHERE a.platform_id = p AND a.operation_id = o.id AND a.provider_ref = item->>'provider_ref')
               ELSE o.amount = (item->>'amount')::bigint
                   AND (item->>'created_at')::timestamptz AT TIME ZONE 'UTC' >= date_trunc('day', o.created_at AT TIME ZONE 'UTC')
                   AND (item->>'created_at')::timestamptz AT TIME ZONE 'UTC'
                       < date_trunc('day', coalesce(o.ended_at, o.created_at) AT TIME ZONE 'UTC') + interval '1 day' END
    ORDER BY o.created_at, o.id
    LIMIT 1
$$;

-- One refund made by others: {ref, amount, state, provider_ref, created_at}. Returns the facts. The caller holds the payment's row and recounts.
CREATE FUNCTION refund_elsewhere_put(p uuid, of_payment uuid, item jsonb, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    was refund_elsewhere;
    ours uuid;
BEGIN
    SELECT * INTO was FROM refund_elsewhere WHERE platform_id = p AND payment_id = of_payment AND ref = item->>'ref';
    ours := coalesce(was.operation_id, refund_is_ours(p, of_payment, item));
    INSERT INTO refund_elsewhere (platform_id, payment_id, ref, amount, state, provider_ref, happened_at, operation_id)
    VALUES (p, of_payment, item->>'ref', (item->>'amount')::bigint, item->>'state', item->>'provider_ref',
            (item->>'created_at')::timestamptz, ours)
    ON CONFLICT (platform_id, payment_id, ref) DO UPDATE SET amount = excluded.amount, state = excluded.state,
        provider_ref = coalesce(excluded.provider_ref, refund_elsewhere.provider_ref),
        happened_at = coalesce(excluded.happened_at, refund_elsewhere.happened_at), operation_id = excluded.operation_id;
    IF ours IS NOT NULL OR (was.state IS NOT DISTINCT FROM item->>'state' AND was.amount IS NOT DISTINCT FROM (item->>'amount')::bigint) THEN
        RETURN '[]';
    END IF;
    RETURN jsonb_build_array(fact_of('refund_seen_elsewhere',
        CASE WHEN was.ref IS NULL THEN coalesce((item->>'created_at')::timestamptz, learnt_at) ELSE learnt_at END,
        jsonb_build_object('payment_id', of_payment, 'ref', item->>'ref', 'amount', (item->>'amount')::bigint, 'state', item->>'state')));
END $$;

-- ------------------------------------------------------------------------------------------------------- payments

-- What changed between two readings of one payment, as facts. `was` is all null for a payment that is new.
CREATE FUNCTION payment_facts(was payment, became payment, said_captured bigint, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    facts jsonb := '[]';
    about jsonb := jsonb_build_object('payment_id', became.id, 'ref', became.ref);
    excess_before bigint := greatest(coalesce(was.refunded + was.reserved + was.refunded_elsewhere - was.captured, 0), 0);
    excess bigint := greatest(became.refunded + became.reserved + became.refunded_elsewhere - became.captured, 0);
BEGIN
    IF became.captured > coalesce(was.captured, 0) THEN
        facts := facts || fact_of('payment_captured', coalesce(became.paid_at, learnt_at), about || jsonb_build_object('amount', became.captured));
    ELSIF became.status IN ('failed', 'cancelled') AND was.status IS DISTINCT FROM became.status THEN
        facts := facts || fact_of('payment_' || became.status, CASE WHEN was.id IS NULL THEN became.created_at ELSE learnt_at END,
                                  about || jsonb_build_object('amount', became.amount));
    END IF;
    IF became.captured > said_captured THEN
        facts := facts || fact_of('books_disagree', learnt_at,
                                  about || jsonb_build_object('field', 'captured', 'said', said_captured, 'kept', became.captured));
    END IF;
    IF became.dispute = 'open' AND coalesce(was.dispute, 'none') <> 'open' THEN
        facts := facts || fact_of('dispute_opened', learnt_at, about);
    ELSIF became.dispute <> 'open' AND coalesce(was.dispute, 'none') <> became.dispute THEN
        facts := facts || fact_of('dispute_closed', learnt_at, about || jsonb_build_object('outcome', became.dispute));
    END IF;
    IF excess > 0 AND excess <> excess_before THEN
        facts := facts || fact_of('excess', learnt_at, about || jsonb_build_object('amount', excess));
    END IF;
    RETURN facts;
END $$;

-- One payment of the feed. awarded, reserved and refunded are ours alone: where the feed's captured would fall below what we have refunded and
-- reserved, the row keeps that sum and the difference becomes a fact. A lost dispute is a refund made by others: of the disputed amount, else of
-- all that is left.
CREATE FUNCTION order_payment_put(p uuid, of_order uuid, item jsonb, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    was payment;
    became payment;
    facts jsonb := '[]';
    refund jsonb;
BEGIN
    SELECT * INTO was FROM payment WHERE platform_id = p AND order_id = of_order AND ref = item->>'ref' FOR NO KEY UPDATE;
    INSERT INTO payment AS mine (platform_id, id, order_id, ref, rail, provider_ref, status, amount, currency, captured, dispute, fed_dispute,
                                 disputed, method, paid_at, created_at)
    VALUES (p, (item->>'id')::uuid, of_order, item->>'ref', item->>'rail', item->>'provider_ref', item->>'status', (item->>'amount')::bigint,
            item->>'currency', (item->>'captured')::bigint, item->>'dispute', item->>'dispute', (item->>'disputed')::bigint, item->>'method',
            (item->>'paid_at')::timestamptz, (item->>'created_at')::timestamptz)
    ON CONFLICT (platform_id, order_id, ref) DO UPDATE SET rail = excluded.rail,
        provider_ref = coalesce(excluded.provider_ref, mine.provider_ref), status = excluded.status, amount = excluded.amount,
        captured = greatest(excluded.captured, mine.refunded + mine.reserved),
        dispute = CASE WHEN excluded.fed_dispute IS DISTINCT FROM mine.fed_dispute THEN excluded.dispute ELSE mine.dispute END,
        fed_dispute = excluded.fed_dispute, disputed = coalesce(excluded.disputed, mine.disputed), method = excluded.method,
        paid_at = excluded.paid_at, created_at = excluded.created_at
    RETURNING * INTO became;
    FOR refund IN SELECT * FROM jsonb_array_elements(item->'refunds_elsewhere') LOOP
        facts := facts || refund_elsewhere_put(p, became.id, refund, learnt_at);
    END LOOP;
    became.refunded_elsewhere := payment_recount(p, became.id);
    IF became.dispute = 'lost' AND was.dispute IS DISTINCT FROM 'lost' THEN
        INSERT INTO refund_elsewhere (platform_id, payment_id, ref, amount, state, happened_at)
        SELECT p, became.id, 'dispute', lost, 'done', learnt_at
        FROM (SELECT coalesce(became.disputed, became.captured - became.refunded - became.refunded_elsewhere) AS lost) dispute WHERE lost > 0
        ON CONFLICT (platform_id, payment_id, ref) DO UPDATE SET amount = excluded.amount, state = 'done';
        became.refunded_elsewhere := payment_recount(p, became.id);
    ELSIF became.dispute = 'won' AND was.dispute = 'lost' THEN
        UPDATE refund_elsewhere SET state = 'failed' WHERE platform_id = p AND payment_id = became.id AND ref = 'dispute';
        became.refunded_elsewhere := payment_recount(p, became.id);
    END IF;
    RETURN payment_facts(was, became, (item->>'captured')::bigint, learnt_at) || facts;
END $$;

-- A payment that the feed no longer names is not forgotten: money may have moved. One that was only pending is called off.
CREATE FUNCTION order_payments_missing(p uuid, of_order uuid, named text[], learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    gone payment;
    facts jsonb := '[]';
BEGIN
    FOR gone IN SELECT * FROM payment WHERE platform_id = p AND order_id = of_order AND NOT ref = ANY (named) ORDER BY id LOOP
        IF gone.status = 'pending' THEN
            UPDATE payment SET status = 'cancelled' WHERE platform_id = p AND id = gone.id;
            facts := facts || fact_of('payment_cancelled', learnt_at, jsonb_build_object('payment_id', gone.id, 'ref', gone.ref, 'amount', gone.amount));
        ELSIF gone.captured > 0 THEN
            facts := facts || fact_of('books_disagree', learnt_at,
                jsonb_build_object('payment_id', gone.id, 'ref', gone.ref, 'field', 'payment', 'said', 0, 'kept', gone.captured));
        END IF;
    END LOOP;
    RETURN facts;
END $$;

-- --------------------------------------------------------------------------------------------------------- passes

CREATE FUNCTION pass_void(p uuid, dead uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pass SET status = 'void' WHERE platform_id = p AND id = dead;
    UPDATE access_token SET state = 'revoked', revoked_at = app_now() WHERE platform_id = p AND pass_id = dead AND state <> 'revoked';
END $$;

-- A line's pass as the feed says it: {id, issuer, barcode, status, checked_in_at}. `fed` is what the feed said before. The cases:
--   a barcode this line never had       the platform made a new pass: it holds, and the one that held before is void and its tokens revoked
--   the barcode it always said          nothing, also when we have replaced that pass since: the feed has not heard of it
--   the barcode of our replacement      the platform has heard of it: nothing, or what it says of status and check-in
--   back to a barcode that is void      a stale copy: not applied while another pass holds, and a fact
--   void where it said valid            that pass is void; where the whole line is cancelled, every pass of it
--   valid where it said void            the line's newest pass holds again, unless what was paid for the line has gone back
-- A pass that is `pending` (a replacement under way) is left to its operation.
CREATE FUNCTION order_pass_put(p uuid, of_line uuid, said jsonb, fed jsonb, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    its record; -- `line` is a type of PostgreSQL's own, too: a variable of it is lost as soon as statistics of the table are new
    about jsonb;
    named pass;
    holds pass;
    newest pass;
    facts jsonb := '[]';
BEGIN
    SELECT * INTO its FROM line WHERE platform_id = p AND id = of_line;
    about := jsonb_build_object('position', its.ref);
    SELECT * INTO named FROM pass WHERE platform_id = p AND line_id = of_line AND barcode = said->>'barcode';
    SELECT * INTO holds FROM pass WHERE platform_id = p AND line_id = of_line AND status = 'valid';
    SELECT * INTO newest FROM pass WHERE platform_id = p AND line_id = of_line ORDER BY created_at DESC, id DESC LIMIT 1;
    IF named.id IS NULL THEN
        IF holds.id IS NOT NULL THEN
            PERFORM pass_void(p, holds.id);
        END IF;
        INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, replaces, created_at)
        VALUES (p, (said->>'id')::uuid, its.order_id, of_line, said->>'issuer', said->>'status', said->>'barcode', newest.id, learnt_at)
        RETURNING * INTO named;
        IF newest.id IS NOT NULL THEN
            facts := facts || fact_of('pass_replaced', learnt_at, about || jsonb_build_object('pass_id', named.id, 'replaces', newest.id));
        END IF;
    ELSIF fed->>'barcode' IS DISTINCT FROM said->>'barcode' AND named.status = 'void' AND holds.id IS NOT NULL THEN
        facts := facts || fact_of('pass_disagrees', learnt_at, about || jsonb_build_object('pass_id', holds.id, 'said', named.id));
    ELSIF said->>'status' = 'void' AND fed->>'status' IS DISTINCT FROM 'void' AND named.status = 'valid' THEN
        PERFORM pass_void(p, named.id);
        facts := facts || fact_of('pass_voided', learnt_at, about || jsonb_build_object('pass_id', named.id));
    ELSIF said->>'status' = 'valid' AND fed->>'status' = 'void' AND holds.id IS NULL AND newest.status = 'void'
          AND NOT (its.awarded > 0 AND its.awarded >= its.price) THEN
        UPDATE pass SET status = 'valid' WHERE platform_id = p AND id = newest.id;
        facts := facts || fact_of('pass_restored', learnt_at, about || jsonb_build_object('pass_id', newest.id));
    END IF;
    IF (said->>'checked_in_at')::timestamptz IS DISTINCT FROM (fed->>'checked_in_at')::timestamptz THEN
        UPDATE pass SET checked_in_at = (said->>'checked_in_at')::timestamptz WHERE platform_id = p AND id = named.id;
        facts := facts || fact_of(CASE WHEN said->>'checked_in_at' IS NULL THEN 'pass_check_in_undone' ELSE 'pass_checked_in' END,
            coalesce((said->>'checked_in_at')::timestamptz, learnt_at), about || jsonb_build_object('pass_id', named.id));
    END IF;
    RETURN facts;
END $$;

-- Every pass of a line that no longer admits anybody.
CREATE FUNCTION order_line_withdrawn(p uuid, of_line uuid, position_ref text, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    dead pass;
    facts jsonb := '[]';
BEGIN
    FOR dead IN SELECT * FROM pass WHERE platform_id = p AND line_id = of_line AND status = 'valid' LOOP
        PERFORM pass_void(p, dead.id);
        facts := facts || fact_of('pass_voided', learnt_at, jsonb_build_object('position', position_ref, 'pass_id', dead.id));
    END LOOP;
    RETURN facts;
END $$;

-- ---------------------------------------------------------------------------------------------------------- lines

-- Who holds a position: the buyer, unless the feed names somebody else. Names and addresses are written to `person` and nowhere else.
CREATE FUNCTION order_holder_put(p uuid, buyer uuid, was uuid, holder jsonb) RETURNS uuid LANGUAGE plpgsql AS $$
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
CREATE FUNCTION order_line_put(p uuid, of_order uuid, buyer uuid, item jsonb, withdrawn boolean, learnt_at timestamptz) RETURNS jsonb
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
CREATE FUNCTION order_lines_missing(p uuid, of_order uuid, items jsonb, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
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

-- --------------------------------------------------------------------------------------------------------- orders

-- What of the document cannot be taken in, found before anything is written: shows and barcodes that are not this order's to name.
CREATE FUNCTION order_obstacles(p uuid, doc jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(found), '[]') FROM (
        SELECT jsonb_build_object('what', 'unknown_show', 'position', item->>'ref', 'ref', named) AS found
        FROM jsonb_array_elements(doc->'lines') AS lines(item), jsonb_array_elements_text(item->'shows') AS shows(named)
        WHERE NOT EXISTS (SELECT FROM show WHERE show.platform_id = p AND show.ref = named)
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
CREATE FUNCTION order_put(doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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
CREATE FUNCTION order_insert(p uuid, doc jsonb, hash bytea) RETURNS orders LANGUAGE plpgsql AS $$
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

CREATE FUNCTION order_update(p uuid, known uuid, doc jsonb, hash bytea) RETURNS orders LANGUAGE plpgsql AS $$
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

-- ------------------------------------------------------------------------------------------------ shows and incidents

-- The cases of a show that wait for this are given back to the process. Locked by id, so that two of these never wait for each other.
CREATE FUNCTION cases_wake(p uuid, of_show uuid, waiting_for text) RETURNS bigint LANGUAGE sql AS $$
    WITH waiting AS MATERIALIZED (
        SELECT id FROM cases WHERE platform_id = p AND show_id = of_show AND owner = 'timer' AND wait_for = waiting_for ORDER BY id FOR NO KEY UPDATE
    ), woken AS (
        UPDATE cases SET owner = 'process', due_at = (SELECT app_now()), tell = true FROM waiting
        WHERE cases.platform_id = p AND cases.id = waiting.id RETURNING 1
    ) SELECT count(*) FROM woken
$$;

-- One show of the feed. Result as for an order. A show that is cancelled, postponed or given another time wakes the cases that wait for that,
-- and those that wait for the end of an incident on it: what they wait for may no longer come.
CREATE FUNCTION show_put(doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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
    IF (was.status, was.starts_at, was.ends_at) <> (became.status, became.starts_at, became.ends_at) THEN
        woken := cases_wake(p, was.id, 'show_date') + cases_wake(p, was.id, 'incident_end');
    END IF;
    RETURN jsonb_build_object('result', 'updated', 'id', became.id, 'version', became.version, 'woken', woken);
END $$;

-- One incident of the feed. Result as for an order, or `unknown_show`. An incident that is new or has ended wakes the cases that wait for one.
CREATE FUNCTION incident_put(doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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
