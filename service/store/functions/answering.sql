-- Answering customers: what is said to them and by which way, what the desk keeps to itself, and how long people take.

-- Whose case it is, for letters: its buyer, or the holder who asked. Null while it is not known.
CREATE OR REPLACE FUNCTION case_person(p_platform uuid, p_case uuid) RETURNS uuid
LANGUAGE sql STABLE AS $$
    SELECT CASE c.requester WHEN 'holder' THEN (
        SELECT l.holder_id FROM case_subject q JOIN pass p ON p.platform_id = p_platform AND p.id = q.pass_id
        JOIN line l ON l.platform_id = p_platform AND l.id = p.line_id
        WHERE q.platform_id = p_platform AND q.case_id = c.id AND l.holder_id IS NOT NULL ORDER BY p.id LIMIT 1) ELSE d.buyer_id END
    FROM cases c JOIN orders d ON d.platform_id = p_platform AND d.id = c.order_id WHERE c.platform_id = p_platform AND c.id = p_case
$$;

-- By which ways an answer reaches the customer: those of the channel that they used last. Nobody is left without: where the platform should carry
-- it and has no endpoint that takes the event, mail goes too; where mail cannot go, the platform is told.
CREATE OR REPLACE FUNCTION reply_via(p_platform uuid, p_case uuid, p_channel text) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_mail boolean := EXISTS (SELECT FROM person WHERE platform_id = p_platform AND id = case_person(p_platform, p_case) AND email IS NOT NULL);
BEGIN
    IF p_channel = 'widget' THEN RETURN CASE WHEN v_mail THEN '{widget,mail}' ELSE '{widget}' END::text[]; END IF;
    IF p_channel = 'email' AND v_mail THEN RETURN '{mail}'; END IF;
    IF v_mail AND NOT EXISTS (SELECT FROM endpoint WHERE platform_id = p_platform AND kind = 'webhook' AND state = 'active'
                              AND (types IS NULL OR types && '{case.replied,case.*}')) THEN
        RETURN '{api,mail}';
    END IF;
    RETURN '{api}';
END $$;

-- A reply as the platform is told of it that carries it to its customer.
CREATE OR REPLACE FUNCTION reply_told(p_platform uuid, p_case uuid, p_message uuid, p_channel text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('problem', c.problem, 'channel', p_channel, 'message', m.id, 'agent', m.author, 'words', m.body,
        'locale', c.locale, 'show', (SELECT ref FROM show WHERE platform_id = p_platform AND id = c.show_id),
        'attachments', (SELECT jsonb_agg(jsonb_build_object('id', a.id, 'name', a.name, 'type', a.type, 'bytes', length(a.bytes)) ORDER BY a.id)
                        FROM attachment a WHERE a.platform_id = p_platform AND a.message_id = m.id)))
    FROM message m JOIN cases c ON c.platform_id = p_platform AND c.id = m.case_id
    WHERE m.platform_id = p_platform AND m.id = p_message AND m.kind = 'reply'
$$;

-- A note or a reply: {platform, case, message, kind, actor, agent, body, attachments, macro?, lease_seconds, only_taken}, with what was attached, its
-- place on the timeline, the letter and the event that carry it, together or not at all. A reply is for the customer and acknowledges; a note never leaves.
-- sent | no_attachment: one is of another case, or was sent before | not_yours: `only_taken`, and this agent does not have the case.
-- Of a joined case it is said on the case that it joined.
CREATE OR REPLACE FUNCTION message_send(doc jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_platform uuid := (doc->>'platform')::uuid;
    v_message uuid := (doc->>'message')::uuid;
    v_files uuid[] := ARRAY(SELECT (jsonb_array_elements_text(doc->'attachments'))::uuid);
    v_channel text;
    v_via text[] := '{}';
    c record;
BEGIN
    SELECT coalesce(joined_to, id) AS id INTO c FROM cases WHERE platform_id = v_platform AND id = (doc->>'case')::uuid;
    PERFORM 1 FROM orders WHERE platform_id = v_platform AND id = (SELECT order_id FROM cases WHERE platform_id = v_platform AND id = c.id)
        FOR NO KEY UPDATE;
    SELECT id, order_id, channel, owner, agent_id INTO c FROM cases WHERE platform_id = v_platform AND id = c.id FOR NO KEY UPDATE;
    IF (doc->>'only_taken')::boolean AND (c.owner, c.agent_id) IS DISTINCT FROM ('agent', (doc->>'agent')::uuid) THEN RETURN 'not_yours'; END IF;
    IF cardinality(v_files) > (SELECT count(*) FROM attachment WHERE platform_id = v_platform AND case_id = c.id AND id = ANY (v_files)
                               AND message_id IS NULL) THEN
        RETURN 'no_attachment';
    END IF;
    IF doc->>'kind' = 'reply' THEN
        v_channel := coalesce((SELECT channel FROM contact WHERE platform_id = v_platform AND case_id = c.id
                               ORDER BY created_at DESC, id DESC LIMIT 1), c.channel);
        v_via := reply_via(v_platform, c.id, v_channel);
    END IF;
    INSERT INTO message (platform_id, id, case_id, kind, author, body, via, macro, created_at)
    VALUES (v_platform, v_message, c.id, doc->>'kind', doc->>'actor', doc->>'body', v_via, doc->>'macro', v_now);
    UPDATE attachment SET message_id = v_message WHERE platform_id = v_platform AND id = ANY (v_files);
    PERFORM timeline_add(v_platform, c.id, jsonb_build_array(jsonb_build_object('kind', CASE doc->>'kind' WHEN 'note' THEN 'noted' ELSE 'replied' END,
        'source', 'agent', 'actor', doc->>'actor', 'data', jsonb_strip_nulls(jsonb_build_object('message', v_message, 'macro', doc->>'macro',
        'via', CASE WHEN v_via <> '{}' THEN to_jsonb(v_via) END)))), v_now);
    UPDATE cases SET acknowledged_at = CASE WHEN doc->>'kind' = 'reply' THEN coalesce(acknowledged_at, v_now) ELSE acknowledged_at END,
        due_at = CASE WHEN owner = 'agent' AND agent_id = (doc->>'agent')::uuid
            THEN greatest(due_at, v_now + make_interval(secs => (doc->>'lease_seconds')::float)) ELSE due_at END
    WHERE platform_id = v_platform AND id = c.id;
    DELETE FROM draft WHERE platform_id = v_platform AND case_id = c.id AND agent_id = (doc->>'agent')::uuid AND kind = doc->>'kind';
    IF 'api' = ANY (v_via) THEN
        PERFORM tell(v_platform, c.order_id, c.id, 'case.replied', reply_told(v_platform, c.id, v_message, v_channel), v_now);
    END IF;
    IF 'mail' = ANY (v_via) THEN
        -- A person waits at both ends: before letters that nobody watches for.
        PERFORM job_add('send_reply', jsonb_build_object('platform', v_platform, 'message', v_message), 5);
    END IF;
    RETURN 'sent';
END $$;

-- Keeps a file until it is sent with a message. added | too_many: so many wait to be sent, or the case has so many already.
CREATE OR REPLACE FUNCTION attachment_add(p_platform uuid, p_case uuid, p_id uuid, p_actor text, p_name text, p_type text, p_bytes bytea,
                                          p_unsent_max int, p_of_case_max int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_case uuid := (SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = p_platform AND id = p_case);
BEGIN
    PERFORM 1 FROM cases WHERE platform_id = p_platform AND id = v_case FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM attachment WHERE platform_id = p_platform AND case_id = v_case
               HAVING count(*) >= p_of_case_max OR count(*) FILTER (WHERE message_id IS NULL) >= p_unsent_max) THEN
        RETURN 'too_many';
    END IF;
    INSERT INTO attachment (platform_id, id, case_id, author, name, type, bytes, created_at)
    VALUES (p_platform, p_id, v_case, p_actor, p_name, p_type, p_bytes, app_now());
    RETURN 'added';
END $$;

-- How long people took to look at a case, of those that they looked at since p_since: 10th, 50th and 90th percentile in seconds, and of how many.
-- Beside it what the places of those that wait promise: from coming to the queue until they are to be looked at.
CREATE OR REPLACE FUNCTION wait_seen(p_platform uuid, p_skill text, p_since timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('answered', seen.n, 'seen', seen.seconds, 'waiting', places.n, 'promised', places.seconds)
    FROM (SELECT count(*) AS n, percentile_cont(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (
              ORDER BY greatest(0, extract(epoch FROM acknowledged_at - queued_at))::float) AS seconds
          FROM cases WHERE platform_id = p_platform AND acknowledged_at > p_since AND queued_at IS NOT NULL
            AND (p_skill IS NULL OR skill = ANY (skills_widened(ARRAY[p_skill], '')))) seen,
         (SELECT count(*) AS n, percentile_cont(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (
              ORDER BY greatest(0, extract(epoch FROM look_by - placed_at))::float) AS seconds
          FROM (SELECT look_by, coalesce(placed_at, queued_at) AS placed_at FROM cases WHERE platform_id = p_platform AND owner = 'queue'
                  AND (p_skill IS NULL OR skill = ANY (skills_widened(ARRAY[p_skill], '')))
                ORDER BY look_by LIMIT 1000) one) places
$$;
