-- Sales that failed half-way, of shows that switched `rollback` on.

-- What there is to roll back of one payment, as our own rows say it now: no row where the sale is well, still fresh, or for people.
-- Only whole sales: every position needs a pass, for shows that all switched it on, none was ever made, and nothing went back.
CREATE OR REPLACE FUNCTION rollback_failed(p_platform uuid, p_payment uuid, p_before timestamptz)
RETURNS TABLE (kind text, order_id uuid, amount bigint) LANGUAGE sql STABLE AS $$
    SELECT CASE p.status WHEN 'confirmed' THEN 'refund' ELSE 'cancel' END, o.id, p.captured
    FROM payment p JOIN orders o ON o.platform_id = p_platform AND o.id = p.order_id
    WHERE p.platform_id = p_platform AND p.id = p_payment AND p.rail IS NOT NULL AND p.provider_ref IS NOT NULL
      AND rail_allowed(p_platform, p.rail) AND NOT charge_of_other(p_platform, p.rail, p.provider_ref)
      AND coalesce(p.paid_at, p.created_at) <= p_before
      AND ((p.status = 'confirmed' AND p.captured > 0 AND p.refunded + p.reserved + p.refunded_elsewhere = 0
            AND (o.status <> 'pending' OR o.total <= (SELECT sum(captured) FROM payment paid WHERE paid.platform_id = p_platform
                                                      AND paid.order_id = o.id AND paid.status = 'confirmed')))
           OR (p.status = 'pending' AND p.captured = 0))
      AND NOT EXISTS (SELECT FROM payment d WHERE d.platform_id = p_platform AND d.order_id = o.id AND d.dispute <> 'none')
      AND NOT EXISTS (SELECT FROM pass WHERE pass.platform_id = p_platform AND pass.order_id = o.id)
      AND EXISTS (SELECT FROM line l WHERE l.platform_id = p_platform AND l.order_id = o.id AND l.type = 'position' AND NOT l.canceled)
      AND NOT EXISTS (SELECT FROM line l WHERE l.platform_id = p_platform AND l.order_id = o.id AND l.type = 'position' AND NOT l.canceled
                      AND (l.kind NOT IN ('stream', 'venue')
                           OR NOT EXISTS (SELECT FROM line_show ls WHERE ls.platform_id = p_platform AND ls.line_id = l.id)
                           OR EXISTS (SELECT FROM line_show ls JOIN show s ON s.platform_id = p_platform AND s.id = ls.show_id
                                      WHERE ls.platform_id = p_platform AND ls.line_id = l.id
                                        AND s.settings->>'rollback' IS DISTINCT FROM 'true')))
$$;

-- Puts down what is seen for the first time, at most p_most; it is looked at again in a minute, so that nothing is undone at first sight.
-- A card that only held the money, and was charged since, is seen anew.
CREATE OR REPLACE FUNCTION rollback_find(p_most int, p_after_seconds float) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_count int;
BEGIN
    INSERT INTO rollback (platform_id, payment_id, show_id, kind, seen_at, next_look_at)
    SELECT DISTINCT ON (p.platform_id, p.id) p.platform_id, p.id, s.id, f.kind, v_now, v_now + interval '1 minute'
    FROM show s
    JOIN line_show ls ON ls.platform_id = s.platform_id AND ls.show_id = s.id
    JOIN line l ON l.platform_id = s.platform_id AND l.id = ls.line_id AND l.type = 'position'
    JOIN payment p ON p.platform_id = s.platform_id AND p.order_id = l.order_id AND p.status IN ('confirmed', 'pending')
    CROSS JOIN LATERAL rollback_failed(p.platform_id, p.id, v_now - make_interval(secs => p_after_seconds)) f
    LEFT JOIN rollback r ON r.platform_id = p.platform_id AND r.payment_id = p.id
    -- A week: whoever switches it on does not mean the sales of last year. Until two days after the show.
    WHERE s.settings->>'rollback' = 'true' AND s.ends_at > v_now - interval '2 days'
      AND coalesce(p.paid_at, p.created_at) > v_now - interval '7 days'
      AND (r.payment_id IS NULL OR (r.outcome IS NOT NULL AND r.kind = 'cancel' AND f.kind = 'refund'))
    ORDER BY p.platform_id, p.id, s.starts_at, s.id LIMIT p_most
    ON CONFLICT (platform_id, payment_id) DO UPDATE SET kind = excluded.kind, show_id = excluded.show_id, seen_at = v_now,
        next_look_at = excluded.next_look_at, outcome = NULL, looks = 0
    WHERE rollback.kind = 'cancel' AND rollback.outcome IS NOT NULL;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

-- What is due for a look, each for one process at a time. What is paused waits.
CREATE OR REPLACE FUNCTION rollback_claim(p_most int, p_lease_seconds float) RETURNS SETOF jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT r.platform_id, r.payment_id FROM rollback r
        JOIN payment p ON p.platform_id = r.platform_id AND p.id = r.payment_id
        WHERE r.next_look_at <= v_now
          AND NOT braked(r.platform_id, CASE r.kind WHEN 'refund' THEN 'refund' ELSE 'cancel_payment' END, p.rail, r.show_id)
        ORDER BY r.next_look_at LIMIT p_most FOR UPDATE OF r SKIP LOCKED
    ), taken AS (
        UPDATE rollback r SET looks = r.looks + 1, next_look_at = v_now + make_interval(secs => p_lease_seconds)
        FROM due WHERE r.platform_id = due.platform_id AND r.payment_id = due.payment_id
        RETURNING r.platform_id, r.payment_id, r.show_id, r.kind, r.looks
    )
    SELECT jsonb_build_object('platform', t.platform_id, 'slug', f.slug, 'payment', t.payment_id, 'kind', t.kind, 'looks', t.looks,
        'rail', p.rail, 'provider_ref', p.provider_ref, 'currency', p.currency, 'captured', p.captured, 'order', o.ref, 'locale', o.locale,
        'show', s.ref)
    FROM taken t
    JOIN platform f ON f.id = t.platform_id
    JOIN payment p ON p.platform_id = t.platform_id AND p.id = t.payment_id
    JOIN orders o ON o.platform_id = t.platform_id AND o.id = p.order_id
    JOIN show s ON s.platform_id = t.platform_id AND s.id = t.show_id;
END $$;

-- Reads our own rows once more, under the order's lock, and takes the payment's place in its wave: {go, held, paused?}. Asked again, the same
-- place. `paused`: a brake was put on since the claim, which a hold on a card heeds here, and a refund when it is sent.
-- The processor was read a moment ago and told p_captured. Held for a person: the first of a show and hour, what is above the hour's most,
-- and what the processor cannot be asked about (p_alone false).
CREATE OR REPLACE FUNCTION rollback_place(p_platform uuid, p_payment uuid, p_after_seconds float, p_captured bigint, p_alone boolean,
                                          p_confirm_first int, p_hour_most bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_kind text;
    v_amount bigint;
    v_first int;
    v_sum bigint;
    r rollback;
BEGIN
    PERFORM 1 FROM orders WHERE platform_id = p_platform
        AND id = (SELECT order_id FROM payment WHERE platform_id = p_platform AND id = p_payment) FOR NO KEY UPDATE;
    SELECT * INTO r FROM rollback WHERE platform_id = p_platform AND payment_id = p_payment FOR UPDATE;
    IF r.asked_at IS NOT NULL AND r.kind = 'refund' THEN RETURN jsonb_build_object('go', true, 'held', r.held); END IF;
    SELECT kind, amount INTO v_kind, v_amount FROM rollback_failed(p_platform, p_payment, v_now - make_interval(secs => p_after_seconds));
    IF v_kind IS DISTINCT FROM r.kind OR v_amount IS DISTINCT FROM p_captured THEN RETURN '{"go": false, "held": false}'; END IF;
    IF r.kind = 'cancel' THEN RETURN jsonb_build_object('go', true, 'held', false, 'paused', braked(p_platform, 'cancel_payment',
        (SELECT rail FROM payment WHERE platform_id = p_platform AND id = p_payment), r.show_id)); END IF;
    -- One at a time for each show, so that nobody's place is counted twice.
    PERFORM pg_advisory_xact_lock(hashtextextended('rollback ' || r.show_id, 0));
    SELECT count(*), coalesce(sum(w.amount) FILTER (WHERE NOT w.held), 0) INTO v_first, v_sum FROM rollback w
    WHERE w.platform_id = p_platform AND w.show_id = r.show_id AND w.asked_at > v_now - interval '1 hour';
    UPDATE rollback SET asked_at = v_now, amount = v_amount,
        held = NOT p_alone OR v_first < p_confirm_first OR v_sum + v_amount > p_hour_most
    WHERE platform_id = p_platform AND payment_id = p_payment RETURNING * INTO r;
    RETURN jsonb_build_object('go', true, 'held', r.held);
END $$;

-- Looked at again later.
CREATE OR REPLACE FUNCTION rollback_later(p_platform uuid, p_payment uuid, p_seconds float) RETURNS void
LANGUAGE sql AS $$
    UPDATE rollback SET next_look_at = (SELECT app_now()) + make_interval(secs => p_seconds)
    WHERE platform_id = p_platform AND payment_id = p_payment AND outcome IS NULL
$$;

-- The end of it; what was done, or could not be, is a fact of the order, and people hear of what they have to do.
CREATE OR REPLACE FUNCTION rollback_end(p_platform uuid, p_payment uuid, p_outcome text, p_case uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_order uuid;
BEGIN
    SELECT order_id INTO v_order FROM payment WHERE platform_id = p_platform AND id = p_payment;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = v_order FOR NO KEY UPDATE;
    UPDATE rollback SET next_look_at = NULL, outcome = p_outcome, case_id = p_case
    WHERE platform_id = p_platform AND payment_id = p_payment AND outcome IS NULL;
    IF FOUND AND p_outcome NOT IN ('mended', 'unread') THEN
        IF p_outcome = 'people' THEN PERFORM order_to_people(p_platform, v_order, v_now); END IF;
        PERFORM order_fact_add(p_platform, v_order, 'sale_rolled_back', 'makegood', v_now,
                               jsonb_strip_nulls(jsonb_build_object('payment_id', p_payment, 'outcome', p_outcome, 'case', p_case)));
    END IF;
END $$;
