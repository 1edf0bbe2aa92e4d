-- Passes and access tokens: made, replaced, voided.

-- A new access token in place of every older one of the pass. `result` of the operation says {jti, show, expires_at}.
CREATE OR REPLACE FUNCTION operation_reissue(p_platform uuid, p_operation uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    -- Whoever asks for a first token holds this lock, too: what they have just made is seen and revoked here, or comes after and finds ours.
    PERFORM 1 FROM pass WHERE platform_id = p_platform AND id = o.pass_id FOR NO KEY UPDATE;
    UPDATE access_token SET state = 'revoked', revoked_at = p_now
    WHERE platform_id = p_platform AND pass_id = o.pass_id AND state <> 'revoked' AND show_id = (o.result->>'show')::uuid;
    INSERT INTO access_token (platform_id, jti, pass_id, show_id, state, issued_at, expires_at)
    VALUES (p_platform, (o.result->>'jti')::uuid, o.pass_id, (o.result->>'show')::uuid, 'active', p_now, (o.result->>'expires_at')::timestamptz);
    UPDATE operation SET state = 'DONE', due_at = NULL, ended_at = p_now WHERE platform_id = p_platform AND id = p_operation;
END $$;

-- The new pass is confirmed: from now on it admits, the old one and its tokens do not. Its holder is sent the new one by p_resend.
CREATE OR REPLACE FUNCTION operation_replaced(p_platform uuid, p_operation uuid, p_barcode text, p_resend uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    o operation;
    v_new uuid;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    v_new := (o.result->>'new_pass')::uuid;
    UPDATE pass SET status = 'void' WHERE platform_id = p_platform AND status = 'valid'
        AND line_id = (SELECT line_id FROM pass WHERE platform_id = p_platform AND id = o.pass_id);
    -- The platform's feed may have brought the new barcode before we knew it ourselves: then that pass is the new one.
    INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, replaces, created_at)
    SELECT p_platform, v_new, order_id, line_id, issuer, 'valid', p_barcode, id, p_now FROM pass WHERE platform_id = p_platform AND id = o.pass_id
    ON CONFLICT (platform_id, barcode) DO UPDATE SET status = 'valid', replaces = o.pass_id RETURNING id INTO v_new;
    UPDATE access_token SET state = 'revoked', revoked_at = p_now
    WHERE platform_id = p_platform AND pass_id = o.pass_id AND state <> 'revoked';
    UPDATE operation SET state = 'DONE', due_at = NULL, ended_at = p_now WHERE platform_id = p_platform AND id = p_operation;
    INSERT INTO operation (platform_id, id, case_id, order_id, decision_id, action, state, rail, pass_id, result, priority, due_at, created_at)
    VALUES (p_platform, p_resend, o.case_id, o.order_id, o.decision_id, 'resend_pass', 'READY', 'mail', v_new, '{"letter": "pass_replaced"}',
            o.priority, p_now, p_now);
    PERFORM tell(p_platform, o.order_id, o.case_id, 'pass.replaced', pass_told(p_platform, v_new) || jsonb_build_object('replaces', o.pass_id), p_now);
END $$;

-- A pass of our own that admits nobody any more, nor do its tokens.
CREATE OR REPLACE FUNCTION operation_voided(p_platform uuid, p_operation uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    o operation;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    UPDATE pass SET status = 'void' WHERE platform_id = p_platform AND id = o.pass_id;
    UPDATE access_token SET state = 'revoked', revoked_at = p_now
    WHERE platform_id = p_platform AND pass_id = o.pass_id AND state <> 'revoked';
    UPDATE operation SET state = 'DONE', due_at = NULL, ended_at = p_now WHERE platform_id = p_platform AND id = p_operation;
    PERFORM tell(p_platform, o.order_id, o.case_id, 'pass.voided', pass_told(p_platform, o.pass_id), p_now);
END $$;

-- Carries out an operation that our own tables do alone, under its lease. False: a brake is on, or the lease is lost.
CREATE OR REPLACE FUNCTION operation_here(p_platform uuid, p_operation uuid, p_epoch bigint, p_barcode text, p_resend uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    o operation;
    v_show uuid;
BEGIN
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation;
    PERFORM 1 FROM orders WHERE platform_id = p_platform AND id = o.order_id FOR NO KEY UPDATE;
    SELECT show_id INTO v_show FROM cases WHERE platform_id = p_platform AND id = o.case_id FOR NO KEY UPDATE;
    SELECT * INTO o FROM operation WHERE platform_id = p_platform AND id = p_operation FOR NO KEY UPDATE;
    IF o.lease_epoch <> p_epoch OR o.state <> 'READY' THEN RETURN false; END IF;
    IF braked(p_platform, o.action, o.rail, v_show) THEN
        UPDATE operation SET due_at = v_now + interval '30 seconds', lease_until = NULL WHERE platform_id = p_platform AND id = p_operation;
        RETURN false;
    END IF;
    IF o.action <> 'void_pass' AND pass_given_back(p_platform, o.pass_id) THEN
        UPDATE operation SET state = 'REFUSED', due_at = NULL, ended_at = v_now WHERE platform_id = p_platform AND id = p_operation;
        PERFORM order_fact_add(p_platform, o.order_id, o.action || '_refused', 'operation', v_now,
                               jsonb_build_object('operation', o.id, 'pass', o.pass_id, 'failure', 'given_back'), o.case_id);
        PERFORM case_after_operations(p_platform, o.case_id, v_now);
        RETURN true;
    END IF;
    IF o.action = 'reissue_access' THEN PERFORM operation_reissue(p_platform, p_operation, v_now);
    ELSIF o.action = 'replace_pass' THEN PERFORM operation_replaced(p_platform, p_operation, p_barcode, p_resend, v_now);
    ELSE PERFORM operation_voided(p_platform, p_operation, v_now);
    END IF;
    PERFORM order_fact_add(p_platform, o.order_id, o.action || '_done', 'operation', v_now,
                           jsonb_build_object('operation', o.id, 'pass', o.pass_id), o.case_id);
    PERFORM case_after_operations(p_platform, o.case_id, v_now);
    RETURN true;
END $$;

-- A pass that admits nobody any more, or whose position is promised back in full: nothing new is made for its holder.
CREATE OR REPLACE FUNCTION pass_given_back(p_platform uuid, p_pass uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pass JOIN line ON line.platform_id = p_platform AND line.id = pass.line_id
        WHERE pass.platform_id = p_platform AND pass.id = p_pass AND (pass.status <> 'valid' OR (line.price > 0 AND line.awarded >= line.price)))
$$;

-- The operations on passes that a decision asks for, [{id, action, pass, rail, result}]. One open operation a pass and action.
CREATE OR REPLACE FUNCTION passes_act(p_platform uuid, p_case uuid, p_order uuid, p_decision uuid, p_actions jsonb, p_hold text[], p_priority int,
                           p_now timestamptz) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    r record;
    v_show uuid;
    v_count int := 0;
    v_state text;
BEGIN
    SELECT show_id INTO v_show FROM cases WHERE platform_id = p_platform AND id = p_case;
    FOR r IN SELECT * FROM jsonb_to_recordset(p_actions) AS (id uuid, action text, pass uuid, rail text, result jsonb, resend uuid, barcode text)
             ORDER BY pass, action
    LOOP
        IF r.action <> 'void_pass' AND pass_given_back(p_platform, r.pass) THEN
            RAISE EXCEPTION USING ERRCODE = 'MG001', MESSAGE = 'the pass was given back';
        END IF;
        INSERT INTO operation (platform_id, id, case_id, order_id, decision_id, action, state, rail, pass_id, result, holds, approvals_needed, priority,
                               due_at, created_at)
        VALUES (p_platform, r.id, p_case, p_order, p_decision, r.action, CASE WHEN cardinality(p_hold) = 0 THEN 'READY' ELSE 'HELD' END, r.rail,
                r.pass, coalesce(r.result, '{}'), p_hold, CASE WHEN cardinality(p_hold) = 0 THEN 0 ELSE 1 END, p_priority,
                p_now + CASE WHEN cardinality(p_hold) = 0 THEN interval '0' ELSE interval '1 hour' END, p_now)
        ON CONFLICT (platform_id, pass_id, action) WHERE pass_id IS NOT NULL AND state NOT IN ('DONE', 'REFUSED', 'FAILED') DO NOTHING
        RETURNING state INTO v_state;
        CONTINUE WHEN NOT FOUND;
        v_count := v_count + 1;
        IF v_state = 'READY' AND r.rail = 'here' AND NOT braked(p_platform, r.action, 'here', v_show) THEN
            IF r.action = 'reissue_access' THEN PERFORM operation_reissue(p_platform, r.id, p_now);
            ELSIF r.action = 'replace_pass' THEN PERFORM operation_replaced(p_platform, r.id, r.barcode, r.resend, p_now);
            ELSE PERFORM operation_voided(p_platform, r.id, p_now);
            END IF;
        END IF;
    END LOOP;
    RETURN v_count;
END $$;

-- The active token of a valid pass for a show it admits to, made if there is none. Null: no such pass, or one that is being given back.
CREATE OR REPLACE FUNCTION access_issue(p_platform uuid, p_pass uuid, p_show text, p_jti uuid) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_show show;
    v_jti uuid;
BEGIN
    SELECT s.* INTO v_show FROM pass p JOIN line_show l ON l.platform_id = p_platform AND l.line_id = p.line_id
        JOIN show s ON s.platform_id = p_platform AND s.id = l.show_id
    WHERE p.platform_id = p_platform AND p.id = p_pass AND p.status = 'valid' AND s.ref = p_show FOR NO KEY UPDATE OF p;
    IF NOT FOUND OR pass_given_back(p_platform, p_pass) THEN RETURN NULL; END IF;
    -- One that would run out during its show, which was put off, gives way to another.
    UPDATE access_token SET state = 'revoked', revoked_at = v_now WHERE platform_id = p_platform AND pass_id = p_pass AND show_id = v_show.id
        AND state = 'active' AND expires_at > v_now AND expires_at < v_show.ends_at;
    SELECT jti INTO v_jti FROM access_token WHERE platform_id = p_platform AND pass_id = p_pass AND show_id = v_show.id AND state = 'active'
        AND expires_at > v_now;
    IF FOUND THEN RETURN v_jti; END IF;
    IF EXISTS (SELECT FROM access_token WHERE platform_id = p_platform AND pass_id = p_pass AND state = 'suspended') THEN RETURN NULL; END IF;
    INSERT INTO access_token (platform_id, jti, pass_id, show_id, state, issued_at, expires_at)
    VALUES (p_platform, p_jti, p_pass, v_show.id, 'active', v_now, greatest(v_show.ends_at, v_now) + interval '48 hours');
    RETURN p_jti;
END $$;
