-- What an agent was shown before saying yes, and the facts that it stood on.

CREATE TABLE preview (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    case_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    action jsonb NOT NULL,               -- what was asked for
    shown jsonb NOT NULL,                -- what the agent saw
    facts jsonb NOT NULL,                -- what it stood on; no personal data
    facts_hash text NOT NULL,
    order_mark text NOT NULL,            -- of the order when it was read: see order_mark()
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    FOREIGN KEY (platform_id, agent_id) REFERENCES agent (platform_id, id)
);
CREATE INDEX preview_by_case ON preview (platform_id, case_id);
CREATE INDEX preview_by_agent ON preview (platform_id, agent_id);
CREATE INDEX preview_unused ON preview (expires_at) WHERE used_at IS NULL;

-- the preview that an operation was proposed with, so that a second person sees what the first saw
ALTER TABLE operation ADD COLUMN preview_id uuid;
ALTER TABLE operation ADD FOREIGN KEY (platform_id, preview_id) REFERENCES preview (platform_id, id);

-- It takes what the person saw as well; made anew with the functions.
DROP FUNCTION IF EXISTS operation_approve(uuid, uuid, uuid, text, text, int, jsonb);
