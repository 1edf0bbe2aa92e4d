-- What the figures are computed from: kept by triggers, so that no path of the flow can forget it. Definitions: README, "Figures of the desk".

-- The first end of a case, and its first return. Fires only when a case ends or opens again.
CREATE OR REPLACE FUNCTION case_end_counts() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'open' THEN
        NEW.returned_at := coalesce(NEW.returned_at, app_now());
    ELSIF NEW.state <> 'joined' AND NEW.ended_first_at IS NULL THEN
        NEW.ended_first_at := coalesce(NEW.ended_at, app_now());
        NEW.ended_first_as := NEW.state;
        NEW.ended_first_by_people := NEW.by_people;
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER case_end_is_counted BEFORE UPDATE OF state ON cases FOR EACH ROW WHEN (NEW.state <> OLD.state)
    EXECUTE FUNCTION case_end_counts();

-- Who has a case, from when to when. A program that takes it is nobody's handle time among people, but it is kept all the same.
CREATE OR REPLACE FUNCTION case_is_taken() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.by_people := NEW.by_people OR (SELECT role <> 'machine' FROM agent WHERE platform_id = NEW.platform_id AND id = NEW.agent_id);
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER case_is_taken_by_people BEFORE INSERT OR UPDATE OF owner, agent_id ON cases FOR EACH ROW
    WHEN (NEW.owner = 'agent' AND NOT NEW.by_people) EXECUTE FUNCTION case_is_taken();

CREATE OR REPLACE FUNCTION case_handling_counts() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
BEGIN
    UPDATE handling SET ended_at = v_now, ended_case = NEW.state NOT IN ('open', 'joined')
    WHERE platform_id = NEW.platform_id AND case_id = NEW.id AND ended_at IS NULL;
    IF NEW.owner = 'agent' THEN
        INSERT INTO handling (platform_id, case_id, agent_id, began_at) VALUES (NEW.platform_id, NEW.id, NEW.agent_id, v_now);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER case_handling_is_counted AFTER UPDATE OF owner, agent_id, state ON cases FOR EACH ROW
    WHEN (NEW.agent_id IS DISTINCT FROM OLD.agent_id) EXECUTE FUNCTION case_handling_counts();

-- A person's yes is a person's part in a case, whoever has it. The case's row is locked by who agrees.
CREATE OR REPLACE FUNCTION approval_counts() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cases SET by_people = true FROM operation o WHERE o.platform_id = NEW.platform_id AND o.id = NEW.operation_id
        AND cases.platform_id = NEW.platform_id AND cases.id = o.case_id AND NOT cases.by_people
        AND EXISTS (SELECT FROM agent WHERE platform_id = NEW.platform_id AND id = NEW.agent_id AND role <> 'machine');
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER approval_is_counted AFTER INSERT ON approval FOR EACH ROW EXECUTE FUNCTION approval_counts();

CREATE OR REPLACE FUNCTION share_of(p_part numeric, p_of bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('share', CASE WHEN p_of > 0 THEN round(coalesce(p_part, 0) / p_of, 4) END, 'of', p_of)
$$;

-- What the customers of one show, or of all, were given. p_seconds_assumed: a person's time for a case where too few were measured.
-- Planned anew each time, as the two below: an hour and a year want different joins.
CREATE OR REPLACE FUNCTION figures(p_platform uuid, p_show uuid, p_from timestamptz, p_to timestamptz, p_seconds_assumed float, p_measured_min int)
RETURNS jsonb LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN (
    WITH c AS MATERIALIZED (
        SELECT id, state, order_id, problem, channel, queued_at, acknowledged_at, by_people, ended_first_at, ended_first_as, ended_first_by_people,
            returned_at
        FROM cases WHERE platform_id = p_platform AND created_at >= p_from AND created_at < p_to AND (p_show IS NULL OR show_id = p_show)
            AND opened_by IS NOT NULL AND state <> 'joined'
    ), again AS MATERIALIZED (
        SELECT DISTINCT c.id FROM c JOIN cases later ON later.platform_id = p_platform AND later.created_at > p_from
            AND later.order_id = c.order_id AND later.problem = c.problem AND later.id <> c.id AND later.opened_by IS NOT NULL
            AND later.created_at > c.ended_first_at AND later.created_at <= c.ended_first_at + interval '72 hours'
    ), written AS MATERIALIZED (
        SELECT c.id, c.ended_first_at IS NOT NULL AND NOT c.ended_first_by_people AS alone, c.ended_first_at IS NOT NULL OR c.by_people AS over
        FROM c JOIN contact k ON k.platform_id = p_platform AND k.case_id = c.id
    ), handled AS MATERIALIZED (
        SELECT sum(extract(epoch FROM h.ended_at - h.began_at)) AS seconds
        FROM c JOIN handling h ON h.platform_id = p_platform AND h.case_id = c.id
        WHERE c.state <> 'open' AND c.by_people AND h.ended_at IS NOT NULL GROUP BY c.id
    ), handle AS (
        SELECT count(*) AS n, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seconds) AS p FROM handled
    ), ack AS (
        SELECT percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY extract(epoch FROM acknowledged_at - queued_at)) AS p
        FROM c WHERE acknowledged_at >= queued_at
    ), sla AS (
        SELECT count(*) FILTER (WHERE k.met) AS met, count(*) AS of
        FROM c JOIN sla_clock k ON k.platform_id = p_platform AND k.case_id = c.id WHERE k.met IS NOT NULL OR k.breached_at IS NOT NULL
    ), pleased AS (
        SELECT round(avg(s.score), 2) AS average, count(s.score) AS answers, count(s.asked_at) AS letters
        FROM c JOIN satisfaction s ON s.platform_id = p_platform AND s.case_id = c.id
    ), sent AS (
        SELECT o.currency, sum(o.amount) AS amount FROM c JOIN operation o ON o.platform_id = p_platform AND o.case_id = c.id
        WHERE o.action = 'refund' AND (o.state = 'DONE' OR (o.accepted_at IS NOT NULL AND o.state NOT IN ('FAILED', 'REFUSED'))) GROUP BY o.currency
    ), ended AS (
        SELECT count(*) AS n, count(*) FILTER (WHERE NOT ended_first_by_people) AS alone, count(*) FILTER (WHERE ended_first_by_people) AS people,
            sum(first_time) AS first_time, sum(first_time) FILTER (WHERE NOT ended_first_by_people) AS first_alone,
            sum(first_time) FILTER (WHERE ended_first_by_people) AS first_people,
            count(*) FILTER (WHERE ended_first_as IN ('resolved', 'denied') AND channel IN ('widget', 'email', 'chat')) AS asked
        FROM (SELECT c.*, CASE WHEN ended_first_as IN ('resolved', 'denied') AND again.id IS NULL
                  AND coalesce(returned_at > ended_first_at + interval '72 hours', true) THEN 1 ELSE 0 END AS first_time
              FROM c LEFT JOIN again USING (id) WHERE ended_first_at IS NOT NULL) first
    )
    SELECT jsonb_build_object(
        'contacts', (SELECT count(*) FROM written),
        'cases', (SELECT count(*) FROM c),
        'resolved', (SELECT count(*) FROM c WHERE state IN ('resolved', 'denied')),
        'fcr', (SELECT jsonb_build_object('automated', share_of(first_alone, alone), 'human', share_of(first_people, people),
                                          'overall', share_of(first_time, n)) FROM ended),
        'acknowledge_seconds', (SELECT jsonb_build_object('median', p[1], 'p90', p[2]) FROM ack),
        'handle_seconds', (SELECT jsonb_build_object('median', p[1], 'p90', p[2]) FROM handle),
        'backlog', (SELECT count(*) FROM cases WHERE platform_id = p_platform AND state = 'open' AND queued_at IS NOT NULL
                    AND (p_show IS NULL OR show_id = p_show) AND case_is_with_people(owner, wait_for)),
        'sla', (SELECT jsonb_build_object('met', met, 'of', of) FROM sla),
        'satisfaction', (SELECT jsonb_build_object('average', average, 'answers', answers, 'of_asked', greatest(answers, letters + asked))
                         FROM pleased, ended),
        'answered_without_person', (SELECT share_of(count(*) FILTER (WHERE alone), count(*) FILTER (WHERE over)) FROM written),
        'money_sent', (SELECT coalesce(jsonb_object_agg(currency, amount), '{}') FROM sent),
        'hours_saved', (SELECT round((alone * CASE WHEN handle.n >= p_measured_min THEN p[1] ELSE p_seconds_assumed END / 3600)::numeric, 2)
                        FROM ended, handle),
        'seconds_saved_each', (SELECT CASE WHEN n >= p_measured_min THEN p[1] ELSE p_seconds_assumed END FROM handle),
        'measured', (SELECT n >= p_measured_min FROM handle)));
END $$;

-- The lead's board, as it is now.
CREATE OR REPLACE FUNCTION board(p_platform uuid, p_ages int[], p_minutes int, p_seen_seconds float) RETURNS jsonb
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN (
    WITH clock AS MATERIALIZED (SELECT app_now() AS now, date_trunc('minute', app_now()) AS minute),
    desk AS MATERIALIZED (
        SELECT id, owner, skill, agent_id, extract(epoch FROM (SELECT now FROM clock) - queued_at) AS age FROM cases
        WHERE platform_id = p_platform AND state = 'open' AND queued_at IS NOT NULL AND case_is_with_people(owner, wait_for)
    ), aged AS (
        SELECT (SELECT min(up_to) FROM unnest(p_ages) AS up_to WHERE desk.age < up_to) AS up_to, count(*) AS n FROM desk GROUP BY 1
    ), minutes AS (
        SELECT (SELECT minute FROM clock) - make_interval(mins => back) AS at FROM generate_series(p_minutes - 1, 0, -1) AS back
    ), came AS MATERIALIZED (
        SELECT date_trunc('minute', created_at) AS at, count(*) AS n FROM cases WHERE platform_id = p_platform AND opened_by IS NOT NULL
            AND created_at >= (SELECT minute FROM clock) - make_interval(mins => p_minutes - 1) GROUP BY 1
    ), went AS MATERIALIZED (
        SELECT date_trunc('minute', ended_at) AS at, count(*) AS n FROM cases WHERE platform_id = p_platform AND state IN ('resolved', 'denied')
            AND ended_at >= (SELECT minute FROM clock) - make_interval(mins => p_minutes - 1) GROUP BY 1
    ), money AS MATERIALIZED (
        SELECT coalesce(rail, 'manual') AS rail, CASE WHEN state IN ('FAILED', 'REFUSED') THEN 'failed'
                WHEN state = 'DONE' OR accepted_at IS NOT NULL THEN 'sent' WHEN state IN ('READY', 'SENT') THEN 'working' ELSE 'held' END AS state,
            date_trunc('minute', created_at) AS at, count(*) AS n
        FROM operation WHERE platform_id = p_platform AND action = 'refund'
            AND created_at >= (SELECT minute FROM clock) - make_interval(mins => p_minutes - 1) GROUP BY 1, 2, 3
    ), running AS MATERIALIZED (
        SELECT k.case_id, bool_or(k.breached_at IS NOT NULL) AS breached, bool_or(k.warned_at IS NOT NULL) AS warned
        FROM sla_clock k JOIN desk ON desk.id = k.case_id WHERE k.platform_id = p_platform AND k.ended_at IS NULL GROUP BY 1
    )
    SELECT jsonb_build_object('at', (SELECT now FROM clock),
        'backlog', (SELECT count(*) FROM desk),
        'by_age', (SELECT jsonb_agg(jsonb_build_object('up_to', ages.up_to, 'cases', coalesce(aged.n, 0)) ORDER BY ages.up_to NULLS LAST)
                   FROM (SELECT unnest(p_ages || NULL::int) AS up_to) ages LEFT JOIN aged ON aged.up_to IS NOT DISTINCT FROM ages.up_to),
        'by_skill', (SELECT coalesce(jsonb_agg(jsonb_build_object('skill', skill, 'cases', n) ORDER BY n DESC, skill), '[]')
                     FROM (SELECT coalesce(skill, 'core') AS skill, count(*) AS n FROM desk GROUP BY 1) s),
        'arrivals', (SELECT jsonb_agg(jsonb_build_object('at', minutes.at, 'cases', coalesce(n, 0)) ORDER BY minutes.at)
                     FROM minutes LEFT JOIN came USING (at)),
        'resolutions', (SELECT jsonb_agg(jsonb_build_object('at', minutes.at, 'cases', coalesce(n, 0)) ORDER BY minutes.at)
                        FROM minutes LEFT JOIN went USING (at)),
        'refunds', (SELECT coalesce(jsonb_agg(jsonb_build_object('rail', rail, 'state', state, 'per_minute', per) ORDER BY rail, state), '[]') FROM (
            SELECT kind.rail, kind.state, (SELECT jsonb_agg(coalesce(money.n, 0) ORDER BY minutes.at) FROM minutes LEFT JOIN money
                ON money.at = minutes.at AND money.rail = kind.rail AND money.state = kind.state) AS per
            FROM (SELECT DISTINCT rail, state FROM money) kind) series),
        'sla_at_risk', (SELECT count(*) FROM running WHERE warned AND NOT breached),
        'sla_breached', (SELECT count(*) FROM running WHERE breached),
        'agents', (SELECT jsonb_build_object('on_shift', count(*), 'available', count(*) FILTER (WHERE available),
                       'holding', (SELECT count(*) FROM desk WHERE owner = 'agent'))
                   FROM agent WHERE platform_id = p_platform AND disabled_at IS NULL
                   AND seen_at >= (SELECT now FROM clock) - make_interval(secs => p_seen_seconds))));
END $$;

-- One agent's day, by the platform's own clock on the wall.
CREATE OR REPLACE FUNCTION shift_of(p_platform uuid, p_agent uuid, p_actor text, p_zone text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN (
    WITH day AS MATERIALIZED (SELECT date_trunc('day', app_now() AT TIME ZONE p_zone) AT TIME ZONE p_zone AS began, app_now() AS now),
    mine AS MATERIALIZED (
        SELECT h.case_id, h.began_at, h.ended_at, h.ended_case FROM handling h WHERE h.platform_id = p_platform AND h.agent_id = p_agent
            AND h.began_at >= (SELECT began - interval '1 day' FROM day)
            AND coalesce(h.ended_at, (SELECT now FROM day)) >= (SELECT began FROM day)
    ), had AS MATERIALIZED (SELECT DISTINCT case_id FROM mine), spent AS (
        SELECT sum(extract(epoch FROM ended_at - began_at)) AS seconds FROM mine WHERE ended_at IS NOT NULL GROUP BY case_id
    ), sla AS (
        SELECT count(*) FILTER (WHERE k.met) AS met, count(*) AS of FROM had JOIN sla_clock k ON k.platform_id = p_platform AND k.case_id = had.case_id
        WHERE (k.met IS NOT NULL AND k.ended_at >= (SELECT began FROM day))
           OR (k.ended_at IS NULL AND k.breached_at >= (SELECT began FROM day))
    ), pleased AS (
        SELECT round(avg(s.score), 2) AS average, count(s.score) AS answers FROM satisfaction s
        WHERE s.platform_id = p_platform AND s.score IS NOT NULL AND s.case_id IN (SELECT h.case_id FROM handling h WHERE h.platform_id = p_platform
            AND h.agent_id = p_agent AND h.ended_case AND h.began_at >= (SELECT now - interval '30 days' FROM day))
    )
    SELECT jsonb_build_object('since', (SELECT began FROM day),
        'holding', (SELECT count(*) FROM cases WHERE platform_id = p_platform AND agent_id = p_agent AND owner = 'agent'),
        'taken', (SELECT count(DISTINCT case_id) FROM mine WHERE began_at >= (SELECT began FROM day)),
        'resolved', (SELECT count(DISTINCT case_id) FROM mine WHERE ended_case AND ended_at >= (SELECT began FROM day)),
        'replies', (SELECT count(*) FROM had JOIN message m ON m.platform_id = p_platform AND m.case_id = had.case_id
                    WHERE m.kind = 'reply' AND m.author = p_actor AND m.created_at >= (SELECT began FROM day)),
        'handle', (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FROM spent),
        'sla', (SELECT jsonb_build_object('met', met, 'of', of) FROM sla),
        'satisfaction', (SELECT jsonb_build_object('average', average, 'answers', answers) FROM pleased)));
END $$;

-- ------------------------------------------------------------------------------------------------------------------- satisfaction

-- Takes up to p_most cases whose show is over for a day, and enqueues one letter each; how many. Never twice, never without an address; not for
-- what the platform opened in bulk. Two processes at once take different ones, and what is older than p_late_seconds is asked no more.
CREATE OR REPLACE FUNCTION ask_after_shows(p_most int, p_after_seconds float, p_late_seconds float) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    c record;
    n int := 0;
BEGIN
    -- every platform: the pass is the installation's own
    FOR c IN
        INSERT INTO satisfaction (platform_id, case_id, asked, asked_at)
        SELECT cases.platform_id, cases.id, 'after_show', v_now
        FROM show JOIN cases ON cases.platform_id = show.platform_id AND cases.show_id = show.id
        WHERE show.ends_at <= v_now - make_interval(secs => p_after_seconds) AND show.ends_at > v_now - make_interval(secs => p_late_seconds)
          AND show.status = 'scheduled' AND cases.state IN ('resolved', 'denied')
          AND (cases.requester IN ('buyer', 'holder') OR cases.channel <> 'api')
          AND NOT EXISTS (SELECT FROM satisfaction s WHERE s.platform_id = cases.platform_id AND s.case_id = cases.id AND s.asked = 'after_show')
          AND EXISTS (SELECT FROM person w WHERE w.platform_id = cases.platform_id AND w.id = case_person(cases.platform_id, cases.id)
                      AND w.email IS NOT NULL)
        LIMIT p_most
        ON CONFLICT DO NOTHING RETURNING platform_id, case_id
    LOOP
        PERFORM job_add('ask_after_show', jsonb_build_object('platform', c.platform_id, 'case', c.case_id), 0);
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;

-- One tap: {scored|same|scored_before|not_yet}. A case is judged once for each time that it is asked.
CREATE OR REPLACE FUNCTION satisfaction_put(p_platform uuid, p_case uuid, p_asked text, p_score int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := app_now();
    v_score int;
BEGIN
    IF p_asked = 'resolution' AND NOT EXISTS (SELECT FROM cases WHERE platform_id = p_platform AND id = p_case AND ended_first_at IS NOT NULL) THEN
        RETURN 'not_yet';
    ELSIF p_asked = 'after_show' AND NOT EXISTS (SELECT FROM cases JOIN show ON show.platform_id = p_platform AND show.id = cases.show_id
            WHERE cases.platform_id = p_platform AND cases.id = p_case AND show.ends_at <= v_now) THEN
        RETURN 'not_yet';
    END IF;
    INSERT INTO satisfaction AS s (platform_id, case_id, asked, score, scored_at) VALUES (p_platform, p_case, p_asked, p_score, v_now)
    ON CONFLICT (platform_id, case_id, asked) DO UPDATE SET score = excluded.score, scored_at = excluded.scored_at WHERE s.score IS NULL;
    IF FOUND THEN RETURN 'scored'; END IF;
    SELECT score INTO v_score FROM satisfaction WHERE platform_id = p_platform AND case_id = p_case AND asked = p_asked;
    RETURN CASE WHEN v_score = p_score THEN 'same' ELSE 'scored_before' END;
END $$;
