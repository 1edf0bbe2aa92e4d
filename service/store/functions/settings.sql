-- Versions of what a platform decides for itself: its settings, and its own packs. Each is a row for good, with who and why.

-- Stores a version. Returns {result, version}: `changed`; `unchanged`: it says what is there; `moved`: somebody was faster than p_expected.
-- p_kind: `settings` or `packs`; p_expected: the version that the writer has seen (null: whichever); p_back_to: the version brought back.
CREATE OR REPLACE FUNCTION setting_put(p_platform uuid, p_kind text, p_expected bigint, p_body jsonb, p_back_to bigint, p_actor text, p_why text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_was jsonb;
    v_version bigint;
BEGIN
    SELECT CASE WHEN p_kind = 'packs' THEN packs ELSE settings END, CASE WHEN p_kind = 'packs' THEN packs_version ELSE version END
    INTO v_was, v_version FROM platform AS p WHERE p.id = p_platform FOR NO KEY UPDATE;  -- every platform: its id is platform_id
    IF p_expected IS NOT NULL AND p_expected <> v_version THEN
        RETURN jsonb_build_object('result', 'moved', 'version', v_version);
    ELSIF v_was = p_body THEN
        RETURN jsonb_build_object('result', 'unchanged', 'version', v_version);
    END IF;
    v_version := v_version + 1;
    INSERT INTO setting_version (platform_id, kind, version, body, back_to, actor, why, at)
    VALUES (p_platform, p_kind, v_version, p_body, p_back_to, p_actor, p_why, v_now);
    UPDATE platform SET
        settings = CASE WHEN p_kind = 'settings' THEN p_body ELSE settings END,
        version = CASE WHEN p_kind = 'settings' THEN v_version ELSE version END,
        packs = CASE WHEN p_kind = 'packs' THEN p_body ELSE packs END,
        packs_version = CASE WHEN p_kind = 'packs' THEN v_version ELSE packs_version END
    WHERE id = p_platform;  -- every platform: its id is platform_id
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    VALUES (p_platform, v_now, p_actor, CASE WHEN p_kind = 'packs' THEN 'packs_changed' ELSE 'platform_changed' END, p_why,
            jsonb_strip_nulls(jsonb_build_object('version', v_version, 'back_to', p_back_to)));
    RETURN jsonb_build_object('result', 'changed', 'version', v_version);
END $$;

-- A platform with its first settings. False: the short name is taken, and nothing happened.
CREATE OR REPLACE FUNCTION platform_add(p_platform uuid, p_slug text, p_settings jsonb, p_actor text, p_why text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    INSERT INTO platform (id, slug, settings, created_at) VALUES (p_platform, p_slug, p_settings, v_now) ON CONFLICT (slug) DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO setting_version (platform_id, kind, version, body, actor, why, at)
    VALUES (p_platform, 'settings', 1, p_settings, p_actor, p_why, v_now);
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    VALUES (p_platform, v_now, p_actor, 'platform_added', p_why, '{"version": 1}');
    RETURN true;
END $$;
