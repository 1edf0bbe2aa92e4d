-- What the platform is told. A row is written in the transaction of its fact, and has no place in the feed until it is known that none can come
-- before it any more.

-- Tells a fact. The caller holds the row lock of the order, or of the case where there is no order: so ids grow as the facts of one order do.
CREATE OR REPLACE FUNCTION tell(p_platform uuid, p_order uuid, p_case uuid, p_type text, p_data jsonb, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO outbox (platform_id, order_id, case_id, type, data, created_at)
    VALUES (p_platform, p_order, p_case, p_type, p_data, p_now)
$$;

-- A refund as the platform is told of it: what it pays, on which payment, for which lines; `before`: what was promised for a line already, which
-- the tax in this part follows from.
CREATE OR REPLACE FUNCTION refund_told(p_platform uuid, p_operation uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('refund', o.id, 'amount', o.amount, 'currency', o.currency, 'reason', o.reason, 'state', o.state, 'rail', o.rail,
        'payment', jsonb_build_object('id', p.id, 'ref', p.ref, 'rail', p.rail, 'provider_ref', p.provider_ref),
        'provider_ref', (SELECT a.provider_ref FROM attempt a WHERE a.platform_id = p_platform AND a.operation_id = o.id ORDER BY a.seq DESC LIMIT 1),
        'lines', (SELECT jsonb_agg(jsonb_build_object('type', coalesce(line.type, 'charge'), 'ref', line.ref, 'amount', part.amount,
                      'price', line.price, 'tax', line.tax, 'before', (
                          SELECT coalesce(sum(earlier.amount), 0) FROM operation_part earlier JOIN operation other ON other.platform_id = p_platform
                              AND other.id = earlier.operation_id AND other.state NOT IN ('REFUSED', 'FAILED')
                              AND (other.created_at, other.id) < (o.created_at, o.id)
                          WHERE earlier.platform_id = p_platform AND earlier.line_id = part.line_id))
                      ORDER BY line.type DESC NULLS LAST, line.ref)
                  FROM operation_part part LEFT JOIN line ON line.platform_id = p_platform AND line.id = part.line_id
                  WHERE part.platform_id = p_platform AND part.operation_id = o.id))
    FROM operation o LEFT JOIN payment p ON p.platform_id = p_platform AND p.id = o.payment_id
    WHERE o.platform_id = p_platform AND o.id = p_operation
$$;

-- A pass as the platform is told of it: its gate has to know the barcode.
CREATE OR REPLACE FUNCTION pass_told(p_platform uuid, p_pass uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('pass', pass.id, 'position', line.ref, 'issuer', pass.issuer, 'barcode', pass.barcode,
        'shows', (SELECT coalesce(jsonb_agg(show.ref ORDER BY show.ref), '[]') FROM line_show l
                  JOIN show ON show.platform_id = p_platform AND show.id = l.show_id WHERE l.platform_id = p_platform AND l.line_id = line.id))
    FROM pass JOIN line ON line.platform_id = p_platform AND line.id = pass.line_id
    WHERE pass.platform_id = p_platform AND pass.id = p_pass
$$;

-- What a fact of an order is to its platform; facts that it is told of otherwise, and steps between two people of the desk, are not told.
CREATE OR REPLACE FUNCTION fact_told(p_platform uuid, p_order uuid, p_case uuid, p_kind text, p_data jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_operation uuid := (p_data->>'operation')::uuid;
    v_word text := substr(p_kind, length('refund_') + 1);
    -- After a restored backup a refund may be known by its processor alone.
    v_refund jsonb := CASE WHEN p_kind LIKE 'refund\_%' AND v_operation IS NOT NULL THEN refund_told(p_platform, v_operation) END;
BEGIN
    IF p_kind IN ('refund_choice_made', 'reissue_access_done', 'replace_pass_done', 'void_pass_done') THEN
        RETURN;
    ELSIF p_kind = 'refund_seen_elsewhere' THEN
        PERFORM tell(p_platform, p_order, p_case, 'refund.seen_elsewhere', p_data || jsonb_build_object('currency', (SELECT currency FROM orders
            WHERE platform_id = p_platform AND id = p_order), 'payment_ref', (SELECT ref FROM payment WHERE platform_id = p_platform
            AND id = (p_data->>'payment_id')::uuid)), p_now);
    ELSIF v_refund IS NOT NULL THEN
        PERFORM tell(p_platform, p_order, p_case, 'refund.' || CASE v_word WHEN 'accepted' THEN 'sent' WHEN 'done' THEN 'succeeded'
                WHEN 'failed' THEN 'failed' WHEN 'refused' THEN 'failed' WHEN 'returned' THEN 'returned' WHEN 'held' THEN 'held'
                WHEN 'released' THEN 'released' WHEN 'choice_needed' THEN 'choice_needed' WHEN 'choice_offered' THEN 'choice_needed'
                ELSE 'delayed' END,
            v_refund || jsonb_strip_nulls(jsonb_build_object('failure', p_data->>'failure', 'rail', p_data->>'rail',
                'provider_ref', p_data->>'provider_ref', 'why', CASE WHEN v_word NOT IN ('accepted', 'done') THEN v_word END)), p_now);
    ELSIF p_kind = 'resend_pass_done' THEN
        PERFORM tell(p_platform, p_order, p_case, 'pass.sent', pass_told(p_platform, (p_data->>'pass')::uuid), p_now);
    ELSIF p_kind ~ '^(reissue_access|replace_pass|resend_pass|void_pass)_' THEN
        PERFORM tell(p_platform, p_order, p_case, 'pass.delayed', pass_told(p_platform, (p_data->>'pass')::uuid) || jsonb_strip_nulls(
            jsonb_build_object('why', p_kind, 'failure', p_data->>'failure')), p_now);
    ELSIF p_kind IN ('dispute_opened', 'dispute_closed', 'fraud_warning') THEN
        PERFORM tell(p_platform, p_order, p_case, 'dispute.' || CASE p_kind WHEN 'dispute_opened' THEN 'opened' WHEN 'fraud_warning' THEN 'warned'
            ELSE p_data->>'outcome' END, p_data, p_now);
    ELSIF p_kind IN ('excess', 'books_disagree', 'pass_disagrees') THEN
        PERFORM tell(p_platform, p_order, p_case, 'order.disagrees', jsonb_build_object('what', p_kind, 'about', p_data), p_now);
    ELSE
        PERFORM tell(p_platform, p_order, p_case, 'order.changed', jsonb_build_object('what', p_kind, 'about', p_data), p_now);
    END IF;
END $$;

-- Whatever changes a case tells of it, in its own transaction and under the case's row lock.
CREATE OR REPLACE FUNCTION case_told() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_about jsonb := jsonb_strip_nulls(jsonb_build_object('case', NEW.id, 'problem', NEW.problem, 'channel', NEW.channel, 'outcome', NEW.outcome,
        'skill', CASE WHEN NEW.owner = 'queue' THEN NEW.skill END, 'joined_to', NEW.joined_to,
        'show', (SELECT ref FROM show WHERE platform_id = NEW.platform_id AND id = NEW.show_id)));
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM tell(NEW.platform_id, NEW.order_id, NEW.id, 'case.opened', v_about, NEW.created_at);
    ELSIF NEW.state <> OLD.state THEN
        PERFORM tell(NEW.platform_id, NEW.order_id, NEW.id, 'case.' || CASE NEW.state WHEN 'open' THEN 'reopened' ELSE NEW.state END, v_about, app_now());
    END IF;
    IF NEW.owner = 'queue' AND (TG_OP = 'INSERT' OR OLD.owner IS NULL OR OLD.owner NOT IN ('queue', 'agent')) THEN
        PERFORM tell(NEW.platform_id, NEW.order_id, NEW.id, 'case.handed_over', v_about, app_now());
    ELSIF NEW.owner = 'timer' AND (NEW.wait_for, NEW.wait_ref) IS DISTINCT FROM (OLD.wait_for, OLD.wait_ref) THEN
        PERFORM tell(NEW.platform_id, NEW.order_id, NEW.id, CASE WHEN NEW.wait_for = 'identity' OR NEW.wait_for LIKE 'answer:%' THEN 'case.asked'
            ELSE 'case.waiting' END, v_about || jsonb_strip_nulls(jsonb_build_object('wait_for', NEW.wait_for, 'wait_ref', NEW.wait_ref,
            'wait_until', NEW.wait_until)), app_now());
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER case_opened_is_told AFTER INSERT ON cases FOR EACH ROW WHEN (NEW.state = 'open') EXECUTE FUNCTION case_told();
CREATE OR REPLACE TRIGGER case_changed_is_told AFTER UPDATE ON cases FOR EACH ROW
    WHEN (NEW.state <> OLD.state OR (NEW.owner = 'queue' AND NEW.owner IS DISTINCT FROM OLD.owner)
          OR (NEW.owner = 'timer' AND (NEW.wait_for, NEW.wait_ref) IS DISTINCT FROM (OLD.wait_for, OLD.wait_ref)))
    EXECUTE FUNCTION case_told();

-- Whatever lets a token in or out tells of it, in its own transaction.
CREATE OR REPLACE FUNCTION access_told() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_order uuid;
    v_about jsonb;
BEGIN
    SELECT pass.order_id, jsonb_build_object('token', NEW.jti, 'pass', NEW.pass_id, 'position', line.ref, 'expires_at', NEW.expires_at, 'show',
        (SELECT ref FROM show WHERE platform_id = NEW.platform_id AND id = NEW.show_id)) INTO v_order, v_about
    FROM pass JOIN line ON line.platform_id = NEW.platform_id AND line.id = pass.line_id
    WHERE pass.platform_id = NEW.platform_id AND pass.id = NEW.pass_id;
    PERFORM tell(NEW.platform_id, v_order, NULL, 'access.' || CASE WHEN TG_OP = 'INSERT' THEN 'issued' WHEN NEW.state = 'active' THEN 'restored'
        ELSE NEW.state END, v_about, app_now());
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER access_issued_is_told AFTER INSERT ON access_token FOR EACH ROW EXECUTE FUNCTION access_told();
CREATE OR REPLACE TRIGGER access_changed_is_told AFTER UPDATE ON access_token FOR EACH ROW WHEN (NEW.state <> OLD.state)
    EXECUTE FUNCTION access_told();

-- Gives up to p_most rows their positions, gapless on each platform; how many. One process at a time: another gets 0 and need not wait.
-- What commits later gets a later place, so nobody who reads on from a position misses it. Of two facts of one order the earlier has committed
-- before the later drew its id, so whoever sees the later sees the earlier, and ids put both in order. (Waiting for older transactions would not:
-- the later fact's may be the older one, when it had written something before it waited for the order.)
CREATE OR REPLACE FUNCTION outbox_place(p_most int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_placed int;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('makegood outbox_place')) THEN RETURN 0; END IF;
    -- every platform: one sequencer serves all of them
    WITH ready AS MATERIALIZED (
        SELECT platform_id, id FROM outbox WHERE position IS NULL ORDER BY id LIMIT p_most
    ), counted AS (
        SELECT platform_id, id, row_number() OVER (PARTITION BY platform_id ORDER BY id) AS n, count(*) OVER (PARTITION BY platform_id) AS of_all
        FROM ready
    ), heads AS (
        INSERT INTO outbox_head AS head (platform_id, position) SELECT DISTINCT platform_id, of_all FROM counted
        ON CONFLICT (platform_id) DO UPDATE SET position = head.position + excluded.position
        RETURNING platform_id, position
    ), placed AS (
        UPDATE outbox SET position = heads.position - counted.of_all + counted.n
        FROM counted JOIN heads USING (platform_id)
        WHERE outbox.platform_id = counted.platform_id AND outbox.id = counted.id RETURNING 1
    ) SELECT count(*) INTO v_placed FROM placed;
    RETURN v_placed;
END $$;
