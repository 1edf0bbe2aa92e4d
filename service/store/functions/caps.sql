-- Caps: how much may go out in a window.

-- Takes p_amount from a cap. Shared caps have 16 rows: the first with room from a random start; if none has room for all of it,
-- all are locked in order and the amount is taken from several. Returns {slot: amount}; null: the cap is reached, and nothing was taken.
CREATE OR REPLACE FUNCTION cap_take(p_platform uuid, p_kind text, p_ref text, p_currency text, p_window timestamptz, p_slots int,
                         p_most bigint, p_amount bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_start int := floor(random() * p_slots)::int;
    v_slot int;
    v_left bigint := p_amount;
    v_taken jsonb := '{}';
    v_room record;
BEGIN
    FOR i IN 0 .. p_slots - 1 LOOP
        v_slot := (v_start + i) % p_slots;
        -- The row is there but for a window's first refund.
        UPDATE cap_use SET used = used + p_amount
        WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency AND window_start = p_window
          AND slot = v_slot AND most - used >= p_amount;
        IF FOUND THEN RETURN jsonb_build_object(v_slot, p_amount); END IF;
        INSERT INTO cap_use (platform_id, kind, ref, currency, window_start, slot, used, most)
        VALUES (p_platform, p_kind, p_ref, p_currency, p_window, v_slot, 0, p_most / p_slots + CASE WHEN v_slot < p_most % p_slots THEN 1 ELSE 0 END)
        ON CONFLICT DO NOTHING;
        -- Again, whoever made it.
        UPDATE cap_use SET used = used + p_amount
        WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency AND window_start = p_window
          AND slot = v_slot AND most - used >= p_amount;
        IF FOUND THEN RETURN jsonb_build_object(v_slot, p_amount); END IF;
    END LOOP;
    PERFORM 1 FROM cap_use WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency
        AND window_start = p_window ORDER BY slot FOR UPDATE;
    IF (SELECT coalesce(sum(most - used), 0) FROM cap_use WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref
        AND currency = p_currency AND window_start = p_window) < p_amount THEN RETURN NULL; END IF;
    FOR v_room IN SELECT slot, most - used AS room FROM cap_use WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref
        AND currency = p_currency AND window_start = p_window AND most > used ORDER BY slot
    LOOP
        UPDATE cap_use SET used = used + least(v_left, v_room.room)
        WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency AND window_start = p_window
          AND slot = v_room.slot;
        v_taken := v_taken || jsonb_build_object(v_room.slot, least(v_left, v_room.room));
        v_left := v_left - least(v_left, v_room.room);
        EXIT WHEN v_left = 0;
    END LOOP;
    RETURN v_taken;
END $$;

-- All caps that bind one refund, [{kind, ref, rail?, seconds, slots, most}]: one with a rail binds that rail alone. p_held: what it holds already
-- (operation.caps): in a window that still runs it is not counted twice. What is taken stays taken only if all have room; else `reached` is the
-- kind that has none, and `held` is as before.
CREATE OR REPLACE FUNCTION caps_take(p_platform uuid, p_held jsonb, p_caps jsonb, p_rail text, p_currency text, p_amount bigint, p_now timestamptz,
                          OUT reached text, OUT held jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    c record;
    v_start timestamptz;
    v_window jsonb;
    v_taken jsonb;
BEGIN
    held := CASE WHEN p_held = '[]' THEN p_held ELSE (SELECT coalesce(jsonb_agg(h), '[]') FROM jsonb_array_elements(p_held) AS h
                                                     WHERE (h->>'until')::float > extract(epoch FROM p_now)) END;
    FOR c IN SELECT * FROM jsonb_to_recordset(p_caps) AS (kind text, ref text, rail text, seconds int, slots int, most bigint)
             WHERE rail IS NULL OR rail = p_rail ORDER BY kind LOOP
        v_start := date_bin(make_interval(secs => c.seconds), p_now, timestamptz '2020-01-01 00:00:00+00');
        v_window := jsonb_build_object('kind', c.kind, 'ref', c.ref, 'from', extract(epoch FROM v_start)::bigint);
        CONTINUE WHEN held @> jsonb_build_array(v_window);
        v_taken := cap_take(p_platform, c.kind, c.ref, p_currency, v_start, c.slots, c.most, p_amount);
        IF v_taken IS NULL THEN RAISE EXCEPTION USING ERRCODE = 'MG003', MESSAGE = c.kind; END IF;
        held := held || jsonb_build_array(v_window || jsonb_build_object('until', extract(epoch FROM v_start)::bigint + c.seconds, 'slots', v_taken));
    END LOOP;
EXCEPTION WHEN SQLSTATE 'MG003' THEN
    reached := SQLERRM;
    held := p_held;
END $$;

-- Gives back what a refund held of the caps and will not pay; of a window that is over nothing is left to give. The caller has locked the
-- operation, and writes there what it still holds: so nothing is given back twice.
CREATE OR REPLACE FUNCTION caps_give_back(p_platform uuid, p_held jsonb, p_currency text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    h record;
BEGIN
    -- In the order in which they are taken.
    FOR h IN SELECT x.kind, x.ref, x."from", s.key::int AS slot, s.value::bigint AS amount
             FROM jsonb_to_recordset(p_held) AS x (kind text, ref text, "from" bigint, until bigint, slots jsonb), jsonb_each_text(x.slots) AS s
             WHERE x.until > extract(epoch FROM p_now) ORDER BY x.kind, x.ref, slot
    LOOP
        UPDATE cap_use SET used = greatest(used - h.amount, 0)
        WHERE platform_id = p_platform AND kind = h.kind AND ref = h.ref AND currency = p_currency AND window_start = to_timestamp(h."from")
          AND slot = h.slot;
    END LOOP;
END $$;
