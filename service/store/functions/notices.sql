-- Notices of shows: said, said anew, over; who follows them, and when those are written to.

-- When followers are to hear of a change that is made now: not within 5 minutes of the letter before, and after 8 letters no more, so that nobody's
-- mailbox is filled on a bad night. (That it is over is told at once, once.)
CREATE OR REPLACE FUNCTION notice_tell_at(p_planned timestamptz, p_told timestamptz, p_rounds int, p_now timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_planned IS NOT NULL THEN p_planned
                WHEN p_rounds >= 8 THEN NULL
                ELSE greatest(p_now, p_told + interval '5 minutes') END
$$;

-- Says something on every widget of a show: begins its notice, or changes the words of the one that is there. The same words again change nothing.
-- Returns {status, show}: begun, updated, same; unknown: no such show; full: it was changed too often.
CREATE OR REPLACE FUNCTION notice_say(p_platform uuid, p_show text, p_id uuid, p_text jsonb, p_actor text, p_why text, p_most int) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_show uuid;
    v_now timestamptz;
    v_kind text := 'updated';
    n record;
BEGIN
    -- One at a time a show: of two leads who begin at once, one begins and the other says more.
    SELECT id INTO v_show FROM show WHERE platform_id = p_platform AND ref = p_show FOR NO KEY UPDATE;
    IF v_show IS NULL THEN RETURN jsonb_build_object('status', 'unknown'); END IF;
    v_now := app_now();
    SELECT * INTO n FROM notice WHERE platform_id = p_platform AND show_id = v_show AND over_at IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        v_kind := 'begun';
        INSERT INTO notice (platform_id, id, show_id, text, seq, begun_at, updated_at) VALUES (p_platform, p_id, v_show, p_text, 1, v_now, v_now)
        RETURNING * INTO n;
    ELSIF n.text = p_text THEN
        RETURN jsonb_build_object('status', 'same', 'show', v_show);
    ELSIF n.seq >= p_most THEN
        RETURN jsonb_build_object('status', 'full', 'show', v_show);
    ELSE
        UPDATE notice SET text = p_text, seq = seq + 1, updated_at = v_now, tell_at = notice_tell_at(tell_at, told_at, rounds, v_now)
        WHERE platform_id = p_platform AND id = n.id RETURNING * INTO n;
    END IF;
    PERFORM notice_noted(p_platform, n.id, n.seq, v_kind, p_show, p_text, n.begun_at, p_actor, p_why, v_now);
    RETURN jsonb_build_object('status', v_kind, 'show', v_show);
END $$;

-- It is over. Returns {status, show}: over; unknown: no such show; none: there is no notice on it.
CREATE OR REPLACE FUNCTION notice_end(p_platform uuid, p_show text, p_actor text, p_why text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_show uuid;
    v_now timestamptz;
    n record;
BEGIN
    SELECT id INTO v_show FROM show WHERE platform_id = p_platform AND ref = p_show FOR NO KEY UPDATE;
    IF v_show IS NULL THEN RETURN jsonb_build_object('status', 'unknown'); END IF;
    v_now := app_now();
    UPDATE notice SET over_at = v_now, updated_at = v_now, seq = seq + 1, tell_at = v_now
    WHERE platform_id = p_platform AND show_id = v_show AND over_at IS NULL RETURNING * INTO n;
    IF NOT FOUND THEN RETURN jsonb_build_object('status', 'none', 'show', v_show); END IF;
    PERFORM notice_noted(p_platform, n.id, n.seq, 'over', p_show, '{}', n.begun_at, p_actor, p_why, v_now);
    RETURN jsonb_build_object('status', 'over', 'show', v_show);
END $$;

-- Who changed it, how and why; and the platform is told.
CREATE OR REPLACE FUNCTION notice_noted(p_platform uuid, p_id uuid, p_seq int, p_kind text, p_show text, p_text jsonb, p_begun timestamptz,
                                        p_actor text, p_why text, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO notice_update (platform_id, notice_id, seq, kind, text, at, actor, why)
    VALUES (p_platform, p_id, p_seq, p_kind, p_text, p_now, p_actor, p_why);
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    VALUES (p_platform, p_now, p_actor, 'notice_' || p_kind, p_why, jsonb_build_object('show', p_show, 'text', p_text));
    SELECT tell(p_platform, NULL, NULL, 'notice.' || p_kind, jsonb_build_object('show', p_show, 'text', p_text, 'since', p_begun, 'at', p_now), p_now);
$$;

-- Writes a customer down for news of the notice that is on a show, under the address that they have proven themselves: what an order says of its
-- buyer's address, whoever it was sold to, is nobody's word that the mailbox is theirs. One address once. Returns following, unknown, none, no_address.
CREATE OR REPLACE FUNCTION notice_follow(p_platform uuid, p_show text, p_email text, p_caller text, p_locale text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_person uuid;
    n record;
BEGIN
    SELECT notice.id, notice.seq INTO n FROM show LEFT JOIN notice ON notice.platform_id = p_platform AND notice.show_id = show.id
        AND notice.over_at IS NULL WHERE show.platform_id = p_platform AND show.ref = p_show;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    -- It ends before or after this, and is not changed in between: whoever is written down has been told of all up to `seq`.
    SELECT id, seq INTO n FROM notice WHERE platform_id = p_platform AND id = n.id AND over_at IS NULL FOR SHARE;
    IF NOT FOUND THEN RETURN 'none'; END IF;
    SELECT id INTO v_person FROM person WHERE platform_id = p_platform AND lower(email) = lower(p_email)
        AND address_folded(email) = address_folded(p_email) ORDER BY id LIMIT 1;
    IF NOT FOUND THEN RETURN 'no_address'; END IF;
    INSERT INTO notice_follower (platform_id, notice_id, person_id, locale, caller, told_seq, created_at)
    SELECT p_platform, n.id, v_person, coalesce(p_locale, (SELECT o.locale FROM orders o WHERE o.platform_id = p_platform AND o.buyer_id = v_person
        ORDER BY o.placed_at DESC LIMIT 1), 'en'), p_caller, n.seq, app_now()
    WHERE NOT EXISTS (SELECT FROM notice_follower f JOIN person p ON p.platform_id = p_platform AND p.id = f.person_id
        WHERE f.platform_id = p_platform AND f.notice_id = n.id AND address_folded(p.email) = address_folded(p_email))
    ON CONFLICT DO NOTHING;
    RETURN 'following';
END $$;

-- Takes that back: what is under an address that the caller has proven, and what they wrote down themselves.
CREATE OR REPLACE FUNCTION notice_unfollow(p_platform uuid, p_show text, p_email text, p_caller text) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM notice_follower f USING notice n, show s, person p
    WHERE f.platform_id = p_platform AND n.platform_id = p_platform AND n.id = f.notice_id AND s.platform_id = p_platform AND s.id = n.show_id
      AND s.ref = p_show AND p.platform_id = p_platform AND p.id = f.person_id
      AND (address_folded(p.email) = address_folded(p_email) OR f.caller = p_caller)
$$;

-- Enqueues a letter for up to p_most followers of the notice that has waited longest; how many. Two processes at once take different notices.
CREATE OR REPLACE FUNCTION notices_tell(p_most int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    n record;
    f record;
    v_count int := 0;
BEGIN
    -- every platform: the sweep is the installation's own
    SELECT * INTO n FROM notice WHERE tell_at <= (SELECT app_now()) ORDER BY tell_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN 0; END IF;
    FOR f IN
        UPDATE notice_follower SET told_seq = n.seq FROM (
            SELECT person_id FROM notice_follower WHERE platform_id = n.platform_id AND notice_id = n.id AND told_seq < n.seq
            LIMIT p_most FOR NO KEY UPDATE SKIP LOCKED) AS due
        WHERE notice_follower.platform_id = n.platform_id AND notice_follower.notice_id = n.id AND notice_follower.person_id = due.person_id
        RETURNING notice_follower.person_id
    LOOP
        -- After everything that one customer waits for.
        PERFORM job_add('tell_follower', jsonb_build_object('platform', n.platform_id, 'notice', n.id, 'person', f.person_id, 'seq', n.seq), -1);
        v_count := v_count + 1;
    END LOOP;
    IF v_count < p_most THEN
        UPDATE notice SET tell_at = NULL, told_at = app_now(), rounds = rounds + 1 WHERE platform_id = n.platform_id AND id = n.id;
    ELSE
        -- The others' turn: a hundred thousand followers of one show hold up nobody else's.
        UPDATE notice SET tell_at = app_now() WHERE platform_id = n.platform_id AND id = n.id;
    END IF;
    RETURN v_count;
END $$;
