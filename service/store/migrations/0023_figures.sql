-- What the figures are computed from, where the tables of the flow do not keep it.

ALTER TABLE cases ADD COLUMN ended_first_at timestamptz;  -- the first end: what came after it is a return
ALTER TABLE cases ADD COLUMN ended_first_as text;         -- resolved, denied, closed
ALTER TABLE cases ADD COLUMN ended_first_by_people boolean; -- a person had had it by then
ALTER TABLE cases ADD COLUMN returned_at timestamptz;     -- first opened again after an end
ALTER TABLE cases ADD COLUMN by_people boolean NOT NULL DEFAULT false; -- a person, no program, has had it or agreed to something in it
UPDATE cases SET ended_first_at = ended_at, ended_first_as = state,
    by_people = acknowledged_at IS NOT NULL, ended_first_by_people = acknowledged_at IS NOT NULL
WHERE ended_at IS NOT NULL AND state <> 'joined';

CREATE TABLE satisfaction (
    platform_id uuid NOT NULL,
    case_id uuid NOT NULL,
    asked text NOT NULL CHECK (asked IN ('resolution', 'after_show')),
    asked_at timestamptz,                -- by letter; the case's own page asks whoever looks
    score int CHECK (score BETWEEN 1 AND 5),
    scored_at timestamptz,
    PRIMARY KEY (platform_id, case_id, asked),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    CONSTRAINT a_score_has_its_time CHECK ((score IS NULL) = (scored_at IS NULL))
);

-- A stretch in which an agent had a case: handle time is their sum.
CREATE TABLE handling (
    platform_id uuid NOT NULL,
    case_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_case boolean NOT NULL DEFAULT false, -- the case ended with it
    PRIMARY KEY (platform_id, case_id, agent_id, began_at),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    FOREIGN KEY (platform_id, agent_id) REFERENCES agent (platform_id, id)
);
CREATE UNIQUE INDEX one_open_handling_a_case ON handling (platform_id, case_id) WHERE ended_at IS NULL;
CREATE INDEX handling_by_agent ON handling (platform_id, agent_id, began_at);
CREATE INDEX cases_created ON cases (platform_id, created_at);
CREATE INDEX cases_ended ON cases (platform_id, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX cases_by_show ON cases (platform_id, show_id, created_at) WHERE show_id IS NOT NULL;
CREATE INDEX refunds_created ON operation (platform_id, created_at) WHERE action = 'refund';
CREATE INDEX show_ends ON show (ends_at);
