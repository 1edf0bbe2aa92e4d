-- What customers are shown before they agree, by doing it and taking it back; and what holds their yes to it.

-- Where the refunds of a case's newest decision go, as it is shown and as a yes to it is compared: each card once, those without a name left out.
CREATE OR REPLACE FUNCTION refunds_go_to(p_platform uuid, p_case uuid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT string_agg(DISTINCT payment.method COLLATE "C", ', ' ORDER BY payment.method COLLATE "C") FILTER (WHERE payment.method <> '')
    FROM cases c JOIN operation o ON o.platform_id = p_platform AND o.case_id = c.id AND o.decision_id = c.decision_id AND o.action = 'refund'
    JOIN payment ON payment.platform_id = p_platform AND payment.id = o.payment_id
    WHERE c.platform_id = p_platform AND c.id = p_case
$$;

-- What a new case of a customer would bring, for each document in turn: {status: opened|joined|moved, would: as act_outcome has it, to: where its
-- money goes}. Nothing stays.
CREATE OR REPLACE FUNCTION cases_would(p_looks jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_found jsonb := '[]';
    v_answer jsonb;
    d record;
BEGIN
    -- All of it is taken back: nobody need wait for a disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    FOR d IN SELECT l.one->'open' AS opened, l.one->'decide' AS decided FROM jsonb_array_elements(p_looks) WITH ORDINALITY AS l(one, n) ORDER BY l.n LOOP
        BEGIN
            v_answer := case_open_and_decide(d.opened, d.decided);
            v_answer := jsonb_build_object('status', v_answer->>'status', 'would', act_outcome((d.decided->>'platform')::uuid,
                (d.decided->>'case')::uuid, (d.decided->'decision'->>'id')::uuid),
                'to', refunds_go_to((d.decided->>'platform')::uuid, (d.decided->>'case')::uuid));
            RAISE EXCEPTION USING ERRCODE = 'MG006', MESSAGE = 'only looked';
        EXCEPTION
            WHEN SQLSTATE 'MG006' THEN NULL;
            WHEN SQLSTATE 'MG001' THEN v_answer := '{"status": "moved", "would": []}';
        END;
        v_found := v_found || jsonb_build_array(v_answer);
    END LOOP;
    RETURN v_found;
END $$;

-- The same for a decision on a case that there is, whose customer would answer what it asks: {status: stored|lost|joined|moved, would, to}. `lost`:
-- somebody is at it just now, or people have it.
CREATE OR REPLACE FUNCTION answer_would(p_decide jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_platform uuid := (p_decide->>'platform')::uuid;
    v_case uuid := (p_decide->>'case')::uuid;
    v_answer jsonb;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    BEGIN
        -- As where it is decided: the order before the case.
        PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = (p_decide->>'order')::uuid FOR NO KEY UPDATE;
        v_answer := case_decide(p_decide || jsonb_build_object('epoch', case_lease(v_platform, v_case, 1)));
        v_answer := jsonb_build_object('status', v_answer->>'status', 'to', refunds_go_to(v_platform, v_case),
            'would', act_outcome(v_platform, v_case, (p_decide->'decision'->>'id')::uuid));
        RAISE EXCEPTION USING ERRCODE = 'MG006', MESSAGE = 'only looked';
    EXCEPTION
        WHEN SQLSTATE 'MG006' THEN NULL;
        WHEN SQLSTATE 'MG001' THEN v_answer := '{"status": "moved", "would": []}';
    END;
    RETURN v_answer;
END $$;

-- Raises MG007 unless a new case pays what its customer said yes to, {amount, currency, to?}: no less, in that currency, and nowhere else.
CREATE OR REPLACE FUNCTION offer_holds(p_platform uuid, p_case uuid, p_offered jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_pays record;
BEGIN
    SELECT coalesce(sum(o.amount), 0) AS amount, bool_and(o.currency = p_offered->>'currency') AS currency, refunds_go_to(p_platform, p_case) AS goes_to
    INTO v_pays FROM operation o
    WHERE o.platform_id = p_platform AND o.case_id = p_case AND o.action = 'refund';
    IF v_pays.amount < (p_offered->>'amount')::bigint OR v_pays.currency IS NOT TRUE
        OR (p_offered->>'to' IS NOT NULL AND v_pays.goes_to IS DISTINCT FROM p_offered->>'to') THEN
        RAISE EXCEPTION USING ERRCODE = 'MG007', MESSAGE = 'what was offered is not what would be done';
    END IF;
END $$;
