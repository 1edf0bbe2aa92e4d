-- Caps: how much may go out in a window.

-- Takes p_amount from a cap. Shared caps have 16 rows: the first with room from a random start; if none has room for all of it,
-- all are locked in order and the amount is taken from several. False: the cap is reached, and nothing was taken.
CREATE OR REPLACE FUNCTION cap_take(p_platform uuid, p_kind text, p_ref text, p_currency text, p_window timestamptz, p_slots int,
                         p_most bigint, p_amount bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_start int := floor(random() * p_slots)::int;
    v_slot int;
    v_left bigint := p_amount;
    v_room record;
BEGIN
    FOR i IN 0 .. p_slots - 1 LOOP
        v_slot := (v_start + i) % p_slots;
        -- The row is there but for a window's first refund.
        UPDATE cap_use SET used = used + p_amount
        WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency AND window_start = p_window
          AND slot = v_slot AND most - used >= p_amount;
        IF FOUND THEN RETURN true; END IF;
        INSERT INTO cap_use (platform_id, kind, ref, currency, window_start, slot, used, most)
        VALUES (p_platform, p_kind, p_ref, p_currency, p_window, v_slot, 0, p_most / p_slots + CASE WHEN v_slot < p_most % p_slots THEN 1 ELSE 0 END)
        ON CONFLICT DO NOTHING;
        -- Again, whoever made it.
        UPDATE cap_use SET used = used + p_amount
        WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency AND window_start = p_window
          AND slot = v_slot AND most - used >= p_amount;
        IF FOUND THEN RETURN true; END IF;
    END LOOP;
    PERFORM 1 FROM cap_use WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency
        AND window_start = p_window ORDER BY slot FOR UPDATE;
    IF (SELECT coalesce(sum(most - used), 0) FROM cap_use WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref
        AND currency = p_currency AND window_start = p_window) < p_amount THEN RETURN false; END IF;
    FOR v_room IN SELECT slot, most - used AS room FROM cap_use WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref
        AND currency = p_currency AND window_start = p_window AND most > used ORDER BY slot
    LOOP
        UPDATE cap_use SET used = used + least(v_left, v_room.room)
        WHERE platform_id = p_platform AND kind = p_kind AND ref = p_ref AND currency = p_currency AND window_start = p_window
          AND slot = v_room.slot;
        v_left := v_left - least(v_left, v_room.room);
        EXIT WHEN v_left = 0;
    END LOOP;
    RETURN true;
END $$;

-- All caps that bind one refund, [{kind, ref, rail?, seconds, slots, most}]: one with a rail binds that rail alone.
-- What is taken stays taken only if all have room; else the kind that has none.
CREATE OR REPLACE FUNCTION caps_take(p_platform uuid, p_caps jsonb, p_rail text, p_currency text, p_amount bigint, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT * FROM jsonb_to_recordset(p_caps) AS (kind text, ref text, rail text, seconds int, slots int, most bigint)
             WHERE rail IS NULL OR rail = p_rail ORDER BY kind LOOP
        IF NOT cap_take(p_platform, c.kind, c.ref, p_currency,
                        date_bin(make_interval(secs => c.seconds), p_now, timestamptz '2020-01-01 00:00:00+00'), c.slots, c.most, p_amount)
        THEN RAISE EXCEPTION USING ERRCODE = 'MG003', MESSAGE = c.kind; END IF;
    END LOOP;
    RETURN NULL;
EXCEPTION WHEN SQLSTATE 'MG003' THEN
    RETURN SQLERRM;
END $$;
