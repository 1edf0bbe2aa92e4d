-- Promises of time: the hours of the desk, and the clocks that every case for people runs against.

-- The settings that say when people are at the desk: {days, opens, closes, zone}; null: round the clock.
CREATE OR REPLACE FUNCTION desk_hours(p_platform uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN settings ? 'desk_hours' AND NOT (coalesce(settings->'desk_hours'->>'opens', '00:00') = '00:00'
            AND coalesce(settings->'desk_hours'->>'closes', '23:59') = '23:59'
            AND coalesce(jsonb_array_length(settings->'desk_hours'->'days'), 7) = 7)
        THEN '{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "opens": "00:00", "closes": "23:59"}'::jsonb || (settings->'desk_hours')
            || jsonb_build_object('zone', coalesce(settings->>'zone', 'UTC')) END
    FROM platform WHERE id = p_platform
$$;

-- The opening of one day, in the desk's zone. 23:59 is the end of the day; null: closed all day.
CREATE OR REPLACE FUNCTION desk_day(p_hours jsonb, p_day date) RETURNS tstzrange
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_hours->'days' ? (ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow FROM p_day)::int] THEN tstzrange(
        (p_day + (p_hours->>'opens')::time) AT TIME ZONE (p_hours->>'zone'),
        CASE p_hours->>'closes' WHEN '23:59' THEN (p_day + 1)::timestamp ELSE p_day + (p_hours->>'closes')::time END AT TIME ZONE (p_hours->>'zone')) END
$$;

-- So many seconds of open desk after a moment. A desk that does not open within a year counts by the clock on the wall.
CREATE OR REPLACE FUNCTION desk_add(p_hours jsonb, p_from timestamptz, p_seconds float) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_left float := greatest(p_seconds, 0);
    v_day date := CASE WHEN p_hours IS NOT NULL THEN (p_from AT TIME ZONE (p_hours->>'zone'))::date END;
    v_open tstzrange;
    v_here float;
BEGIN
    IF p_hours IS NULL THEN RETURN p_from + make_interval(secs => v_left); END IF;
    FOR day IN 0..366 LOOP
        v_open := desk_day(p_hours, v_day + day);
        CONTINUE WHEN v_open IS NULL OR upper(v_open) <= p_from;
        v_here := extract(epoch FROM upper(v_open) - greatest(lower(v_open), p_from));
        IF v_left <= v_here THEN RETURN greatest(lower(v_open), p_from) + make_interval(secs => v_left); END IF;
        v_left := v_left - v_here;
    END LOOP;
    RETURN p_from + make_interval(secs => greatest(p_seconds, 0));
END $$;

-- How many seconds of open desk lie between two moments; 0 when the second is not later.
CREATE OR REPLACE FUNCTION desk_seconds(p_hours jsonb, p_from timestamptz, p_to timestamptz) RETURNS float
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_sum float := 0;
    v_day date := CASE WHEN p_hours IS NOT NULL THEN (p_from AT TIME ZONE (p_hours->>'zone'))::date END;
    v_open tstzrange;
BEGIN
    IF p_to <= p_from THEN RETURN 0; END IF;
    IF p_hours IS NULL THEN RETURN extract(epoch FROM p_to - p_from); END IF;
    FOR day IN 0..366 LOOP
        v_open := desk_day(p_hours, v_day + day) * tstzrange(p_from, p_to);
        IF v_open IS NOT NULL AND NOT isempty(v_open) THEN v_sum := v_sum + extract(epoch FROM upper(v_open) - lower(v_open)); END IF;
        EXIT WHEN (v_day + day)::timestamp AT TIME ZONE (p_hours->>'zone') > p_to;
    END LOOP;
    RETURN v_sum;
END $$;

-- A clock warns when a quarter of its time is left, at most half an hour before its end.
CREATE OR REPLACE FUNCTION clock_warns(p_target int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT greatest(1, least(p_target / 4, 1800))';

-- How soon somebody looks at a case of a priority, until routing.yaml has said so (first_look_within_seconds in guards.yaml).
CREATE OR REPLACE FUNCTION look_within(p_priority int) RETURNS int
LANGUAGE sql IMMUTABLE AS 'SELECT (ARRAY[120, 300, 900, 3600, 28800])[greatest(1, least(5, p_priority))]';

-- What stops the clocks of a case: nobody at the desk can do anything about it.
CREATE OR REPLACE FUNCTION clock_pause(p_owner text, p_wait_for text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_owner <> 'timer' OR p_wait_for = 'hold' THEN NULL WHEN p_wait_for = 'referral' THEN 'referral'
        WHEN p_wait_for IN ('customer', 'identity') OR p_wait_for LIKE 'answer:%' THEN 'customer' ELSE 'outside' END
$$;

-- Starts a clock unless one of its kind runs: the target that routing.yaml gave, else one by the case's priority.
CREATE OR REPLACE FUNCTION clock_start(p_case cases, p_kind text, p_hours jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_priority int := greatest(1, least(5, p_case.priority));
    v_target int := coalesce((p_case.route->'targets'->>p_kind)::int, CASE p_kind
        WHEN 'acknowledge' THEN look_within(v_priority)
        WHEN 'next_answer' THEN (ARRAY[900, 1800, 3600, 14400, 28800])[v_priority]
        ELSE (ARRAY[14400, 28800, 86400, 172800, 259200])[v_priority] END);
    v_pause text := clock_pause(p_case.owner, p_case.wait_for);
BEGIN
    INSERT INTO sla_clock (platform_id, case_id, kind, seq, target_seconds, started_at, due_at, left_seconds, paused_for, warn_seconds, next_at)
    SELECT p_case.platform_id, p_case.id, p_kind, coalesce(max(seq), 0) + 1, v_target, p_now,
        CASE WHEN v_pause IS NULL THEN desk_add(p_hours, p_now, v_target) END, CASE WHEN v_pause IS NOT NULL THEN v_target END, v_pause,
        clock_warns(v_target), CASE WHEN v_pause IS NULL THEN desk_add(p_hours, p_now, v_target - clock_warns(v_target)) END
    FROM sla_clock WHERE platform_id = p_case.platform_id AND case_id = p_case.id AND kind = p_kind
    ON CONFLICT DO NOTHING;
END $$;

-- Ends a case's running clocks of one kind, or (null) all of them; kept when it ends in time, and always while it was paused with time left.
CREATE OR REPLACE FUNCTION clock_end(p_platform uuid, p_case uuid, p_kind text, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE sla_clock SET ended_at = p_now, next_at = NULL, met = breached_at IS NULL AND coalesce(due_at >= p_now, left_seconds > 0)
    WHERE platform_id = p_platform AND case_id = p_case AND ended_at IS NULL AND (p_kind IS NULL OR kind = p_kind)
$$;

-- The one trigger on cases that starts, pauses, resumes and ends clocks, whatever moves the case:
-- `acknowledge` runs while it waits in the queue, `next_answer` while the customer's words have no answer, `resolve` from the queue to the end.
CREATE OR REPLACE FUNCTION clocks_follow() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_hours jsonb;
    v_pause text := clock_pause(NEW.owner, NEW.wait_for);
    v_came boolean := NEW.owner = 'queue' AND (TG_OP = 'INSERT' OR OLD.owner IS NULL OR OLD.owner NOT IN ('queue', 'agent'));
BEGIN
    IF NEW.state <> 'open' THEN
        PERFORM clock_end(NEW.platform_id, NEW.id, NULL, v_now);
        RETURN NULL;
    END IF;
    v_hours := desk_hours(NEW.platform_id);
    IF TG_OP = 'UPDATE' AND v_pause IS DISTINCT FROM clock_pause(OLD.owner, OLD.wait_for) THEN
        IF v_pause IS NOT NULL THEN
            UPDATE sla_clock SET left_seconds = coalesce(left_seconds, desk_seconds(v_hours, v_now, due_at)), due_at = NULL, next_at = NULL, paused_for = v_pause
            WHERE platform_id = NEW.platform_id AND case_id = NEW.id AND ended_at IS NULL;
        ELSE
            UPDATE sla_clock SET due_at = desk_add(v_hours, v_now, left_seconds), left_seconds = NULL, paused_for = NULL,
                next_at = CASE WHEN breached_at IS NOT NULL THEN NULL WHEN warned_at IS NOT NULL THEN desk_add(v_hours, v_now, left_seconds)
                    ELSE desk_add(v_hours, v_now, left_seconds - warn_seconds) END
            WHERE platform_id = NEW.platform_id AND case_id = NEW.id AND ended_at IS NULL AND due_at IS NULL;
        END IF;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.owner = 'queue' AND NEW.owner <> 'queue' THEN PERFORM clock_end(NEW.platform_id, NEW.id, 'acknowledge', v_now); END IF;
    IF NEW.unanswered_at IS NULL AND TG_OP = 'UPDATE' AND OLD.unanswered_at IS NOT NULL THEN
        PERFORM clock_end(NEW.platform_id, NEW.id, 'next_answer', v_now);
    END IF;
    IF v_came THEN
        PERFORM clock_start(NEW, 'acknowledge', v_hours, v_now);
        PERFORM clock_start(NEW, 'resolve', v_hours, v_now);
    END IF;
    IF NEW.unanswered_at IS NOT NULL THEN PERFORM clock_start(NEW, 'next_answer', v_hours, v_now); END IF;
    -- What was promised before routing.yaml had looked was provisional.
    IF TG_OP = 'UPDATE' AND OLD.routed_at IS NULL AND NEW.routed_at IS NOT NULL THEN
        UPDATE sla_clock SET target_seconds = said, warn_seconds = clock_warns(said), due_at = desk_add(v_hours, started_at, said),
            next_at = desk_add(v_hours, started_at, said - clock_warns(said))
        FROM (SELECT key, value::int AS said FROM jsonb_each_text(NEW.route->'targets')) target
        WHERE platform_id = NEW.platform_id AND case_id = NEW.id AND kind = target.key AND ended_at IS NULL AND warned_at IS NULL
          AND due_at IS NOT NULL AND started_at >= NEW.placed_at AND target_seconds <> said;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER clocks_of_a_new_case AFTER INSERT ON cases FOR EACH ROW WHEN (NEW.owner = 'queue') EXECUTE FUNCTION clocks_follow();
-- Cases that never come to people pass by without a look.
CREATE OR REPLACE TRIGGER clocks_of_a_case AFTER UPDATE ON cases FOR EACH ROW
    WHEN (NEW.queued_at IS NOT NULL AND (NEW.owner IS DISTINCT FROM OLD.owner OR NEW.state <> OLD.state OR NEW.wait_for IS DISTINCT FROM OLD.wait_for
          OR NEW.unanswered_at IS DISTINCT FROM OLD.unanswered_at OR (OLD.routed_at IS NULL AND NEW.routed_at IS NOT NULL)))
    EXECUTE FUNCTION clocks_follow();

-- Words: those of a customer wait for an answer, which a reply is; a reply acknowledges as well, without the case being taken.
CREATE OR REPLACE FUNCTION clocks_hear() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind = 'customer' THEN
        UPDATE cases SET unanswered_at = NEW.created_at WHERE platform_id = NEW.platform_id AND id = NEW.case_id AND state = 'open'
            AND queued_at IS NOT NULL AND unanswered_at IS NULL;
    ELSE
        UPDATE cases SET unanswered_at = NULL WHERE platform_id = NEW.platform_id AND id = NEW.case_id;
        PERFORM clock_end(NEW.platform_id, NEW.case_id, 'acknowledge', NEW.created_at);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER clocks_hear_words AFTER INSERT ON message FOR EACH ROW WHEN (NEW.kind IN ('customer', 'reply')) EXECUTE FUNCTION clocks_hear();

-- Looks at the clocks whose time has come: each warns once before its end, and at its end the case escalates; a case that nobody has taken in time
-- is promised anew to whom it goes. Locks cases, then clocks, and passes over cases that are being worked on: they are looked at a second later.
CREATE OR REPLACE FUNCTION clocks_look(p_most int) RETURNS TABLE (platform_id uuid, case_id uuid, kind text, breached boolean, late_seconds float)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := app_now();
    d record;
    k record;
    v_entries jsonb;
    v_case cases;
BEGIN
    FOR d IN SELECT s.platform_id, s.case_id, s.kind, s.seq, s.next_at FROM sla_clock s
                 JOIN cases c ON c.platform_id = s.platform_id AND c.id = s.case_id
             WHERE s.next_at <= v_now ORDER BY s.next_at LIMIT p_most FOR NO KEY UPDATE OF c SKIP LOCKED
    LOOP
        SELECT s.*, s.warned_at IS NULL AS warns, s.due_at <= v_now AS breaks INTO k FROM sla_clock s
        WHERE s.platform_id = d.platform_id AND s.case_id = d.case_id AND s.kind = d.kind AND s.seq = d.seq AND s.next_at <= v_now;
        CONTINUE WHEN NOT FOUND;
        UPDATE sla_clock s SET warned_at = coalesce(s.warned_at, v_now), breached_at = CASE WHEN k.breaks THEN v_now END,
            next_at = CASE WHEN NOT k.breaks THEN s.due_at END
        WHERE s.platform_id = d.platform_id AND s.case_id = d.case_id AND s.kind = d.kind AND s.seq = d.seq;
        v_entries := CASE WHEN k.warns THEN '[{"kind": "sla_warned", "source": "queue"}]'::jsonb ELSE '[]' END
            || CASE WHEN k.breaks THEN '[{"kind": "sla_breached", "source": "queue"}]'::jsonb ELSE '[]' END;
        SELECT jsonb_agg(e || jsonb_build_object('data', jsonb_build_object('clock', k.kind, 'due_at', k.due_at, 'target_seconds', k.target_seconds)))
            INTO v_entries FROM jsonb_array_elements(v_entries) e;
        PERFORM timeline_add(d.platform_id, d.case_id, v_entries, v_now);
        IF k.breaks AND case_escalates(d.platform_id, d.case_id, v_now) IS NOT NULL AND k.kind = 'acknowledge' THEN
            PERFORM clock_end(d.platform_id, d.case_id, 'acknowledge', v_now);
            SELECT * INTO v_case FROM cases c WHERE c.platform_id = d.platform_id AND c.id = d.case_id;
            PERFORM clock_start(v_case, 'acknowledge', desk_hours(d.platform_id), v_now);
        END IF;
        platform_id := d.platform_id;
        case_id := d.case_id;
        kind := d.kind;
        breached := k.breaks;
        late_seconds := extract(epoch FROM v_now - d.next_at);
        RETURN NEXT;
    END LOOP;
END $$;
