-- What the platform's feed says of payments.

CREATE OR REPLACE FUNCTION fact_of(kind text, happened_at timestamptz, data jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$ SELECT jsonb_build_object('kind', kind, 'at', happened_at, 'data', data) $$;

-- refunded_elsewhere is the sum of what others refunded and is not known to have failed. One refund that is told twice (by the feed and by the
-- processor) has one provider_ref and counts once; one that is ours counts here only when our own operation came to nothing.
CREATE OR REPLACE FUNCTION payment_recount(p uuid, of_payment uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    was payment;
    became bigint;
BEGIN
    SELECT * INTO was FROM payment WHERE platform_id = p AND id = of_payment;
    UPDATE payment SET refunded_elsewhere = coalesce((
        SELECT sum(amount) FROM (
            SELECT max(r.amount) AS amount
            FROM refund_elsewhere r
            LEFT JOIN operation o ON o.platform_id = p AND o.id = r.operation_id AND o.state NOT IN ('REFUSED', 'FAILED')
            WHERE r.platform_id = p AND r.payment_id = of_payment AND r.state <> 'failed' AND o.id IS NULL
            GROUP BY coalesce('provider:' || r.provider_ref, 'ref:' || r.ref)) counted), 0)
    WHERE platform_id = p AND id = of_payment
    RETURNING refunded_elsewhere INTO became;
    IF became <> was.refunded_elsewhere THEN
        INSERT INTO book (platform_id, at, debit, credit, amount, currency, payment_id)
        VALUES (p, app_now(), CASE WHEN became > was.refunded_elsewhere THEN 'sales' ELSE 'paid_elsewhere' END,
                CASE WHEN became > was.refunded_elsewhere THEN 'paid_elsewhere' ELSE 'sales' END,
                abs(became - was.refunded_elsewhere), was.currency, of_payment);
    END IF;
    RETURN became;
END $$;

-- Our operation that this refund is the echo of: by the processor's reference, else by amount and day (UTC) where none was given.
CREATE OR REPLACE FUNCTION refund_is_ours(p uuid, of_payment uuid, item jsonb) RETURNS uuid LANGUAGE sql STABLE AS $$
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
CREATE OR REPLACE FUNCTION refund_elsewhere_put(p uuid, of_payment uuid, item jsonb, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
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

-- What changed between two readings of one payment, as facts. `was` is all null for a payment that is new.
CREATE OR REPLACE FUNCTION payment_facts(was payment, became payment, said_captured bigint, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
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
-- reserved, the row keeps that sum and the difference becomes a fact. A dispute that the processor told us of is the processor's to end.
CREATE OR REPLACE FUNCTION order_payment_put(p uuid, of_order uuid, item jsonb, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
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
        dispute = CASE WHEN excluded.fed_dispute IS DISTINCT FROM mine.fed_dispute AND NOT EXISTS (
            SELECT FROM dispute d WHERE d.platform_id = p AND d.payment_id = mine.id) THEN excluded.dispute ELSE mine.dispute END,
        fed_dispute = excluded.fed_dispute, disputed = CASE WHEN EXISTS (SELECT FROM dispute d WHERE d.platform_id = p AND d.payment_id = mine.id)
            THEN mine.disputed ELSE coalesce(excluded.disputed, mine.disputed) END, method = excluded.method,
        paid_at = excluded.paid_at, created_at = excluded.created_at
    RETURNING * INTO became;
    FOR refund IN SELECT * FROM jsonb_array_elements(item->'refunds_elsewhere') LOOP
        facts := facts || refund_elsewhere_put(p, became.id, refund, learnt_at);
    END LOOP;
    became.refunded_elsewhere := payment_recount(p, became.id);
    IF became.dispute IS DISTINCT FROM coalesce(was.dispute, 'none') THEN
        IF became.dispute = 'lost' THEN PERFORM payment_dispute_count(p, became.id, became.disputed, learnt_at);
        ELSIF was.dispute = 'lost' AND became.dispute = 'won' THEN PERFORM payment_dispute_count(p, became.id, 0, learnt_at);
        END IF;
        PERFORM payment_dispute_settle(p, became.id, learnt_at);
        SELECT * INTO became FROM payment WHERE platform_id = p AND id = became.id;
    END IF;
    RETURN payment_facts(was, became, (item->>'captured')::bigint, learnt_at) || facts;
END $$;

-- A payment that the feed no longer names is not forgotten: money may have moved. One that was only pending is called off.
CREATE OR REPLACE FUNCTION order_payments_missing(p uuid, of_order uuid, named text[], learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
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
