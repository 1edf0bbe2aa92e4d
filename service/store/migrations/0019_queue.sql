-- The queue: who is first, who may take what, and the clocks that run.

-- none: every language
ALTER TABLE agent ADD COLUMN languages text[] NOT NULL DEFAULT '{}';
-- how many cases at a time
ALTER TABLE agent ADD COLUMN capacity int NOT NULL DEFAULT 5 CHECK (capacity BETWEEN 1 AND 100);
ALTER TABLE agent ADD COLUMN available boolean NOT NULL DEFAULT true;
-- when the agent's console, or program, was last heard of
ALTER TABLE agent ADD COLUMN seen_at timestamptz;

-- Who is first is a deadline: the one that is to be looked at soonest. It stands still while time passes, so one index gives the best case
-- and nobody starves: what comes later has, sooner or later, a later one.
ALTER TABLE cases ADD COLUMN look_by timestamptz;
-- when it came to the place that it has: routing.yaml counts from here
ALTER TABLE cases ADD COLUMN placed_at timestamptz;
-- when routing.yaml last looked; null while a case that came to the queue has not been looked at and its place is only provisional
ALTER TABLE cases ADD COLUMN routed_at timestamptz;
ALTER TABLE cases ADD COLUMN route jsonb NOT NULL DEFAULT '{}';       -- what routing.yaml said: {rule, pack, facts}
ALTER TABLE cases ADD COLUMN playbook text;
-- who had it when it was parked, or last: an answer comes back to them
ALTER TABLE cases ADD COLUMN for_agent uuid;
-- the customer wrote and no person has answered since
ALTER TABLE cases ADD COLUMN unanswered_at timestamptz;
ALTER TABLE cases ADD FOREIGN KEY (platform_id, for_agent) REFERENCES agent (platform_id, id);

CREATE INDEX cases_next ON cases (platform_id, look_by, id) WHERE owner = 'queue';
CREATE INDEX cases_to_route ON cases (coalesce(routed_at, '-infinity')) WHERE owner = 'queue';
CREATE INDEX cases_of_agent ON cases (platform_id, agent_id) WHERE owner = 'agent';
CREATE INDEX cases_of_desk ON cases (platform_id, id) WHERE state = 'open' AND queued_at IS NOT NULL;
DROP INDEX cases_queued;
UPDATE cases SET look_by = queued_at + interval '15 minutes', placed_at = queued_at WHERE owner IN ('queue', 'agent');
ALTER TABLE cases ADD CONSTRAINT a_queued_case_has_its_place CHECK (owner IS DISTINCT FROM 'queue' OR look_by IS NOT NULL);

-- One running or ended clock: to be acknowledged, to be answered, to be resolved. Each time it starts anew is a row of its own.
CREATE TABLE sla_clock (
    platform_id uuid NOT NULL,
    case_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('acknowledge', 'next_answer', 'resolve')),
    seq int NOT NULL,
    target_seconds int NOT NULL CHECK (target_seconds > 0),
    started_at timestamptz NOT NULL,
    due_at timestamptz,                  -- null while it is paused
    left_seconds float,                  -- while it is paused
    paused_for text,                     -- customer, referral, desk_closed, hold
    warn_seconds int NOT NULL,           -- so long before it is due, it warns
    next_at timestamptz,                 -- when it is looked at: to warn, then to escalate; null while paused, and at its end
    warned_at timestamptz,
    breached_at timestamptz,
    ended_at timestamptz,                -- stopped: what it asked for happened, or the case ended
    met boolean,                         -- at its end: in time
    PRIMARY KEY (platform_id, case_id, kind, seq),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    CONSTRAINT a_clock_runs_or_is_paused_or_has_ended CHECK (ended_at IS NOT NULL OR (due_at IS NULL) = (left_seconds IS NOT NULL))
);
CREATE UNIQUE INDEX one_running_clock_of_a_kind ON sla_clock (platform_id, case_id, kind) WHERE ended_at IS NULL;
CREATE INDEX sla_clock_next ON sla_clock (next_at) WHERE next_at IS NOT NULL;

-- it takes the skills from the agent's row now, and says why there is nothing to take
DROP FUNCTION IF EXISTS case_take(uuid, uuid, text, uuid, text[], float);
