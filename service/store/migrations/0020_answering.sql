-- Answering: what agents attach, and what they have typed and not sent yet.

CREATE TABLE attachment (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    case_id uuid NOT NULL,
    message_id uuid,                     -- null: not sent with anything yet
    author text NOT NULL,
    name text NOT NULL,
    type text NOT NULL,
    bytes bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    FOREIGN KEY (platform_id, message_id) REFERENCES message (platform_id, id)
);
-- Pictures and PDFs are compressed already.
ALTER TABLE attachment ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE INDEX attachment_by_case ON attachment (platform_id, case_id);
CREATE INDEX attachment_by_message ON attachment (platform_id, message_id);

-- What an agent is typing, kept so that nothing is lost with a browser, a session or a claim. It is nobody's message until it is sent.
CREATE TABLE draft (
    platform_id uuid NOT NULL,
    case_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('reply', 'note')),
    body text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, case_id, agent_id, kind),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    FOREIGN KEY (platform_id, agent_id) REFERENCES agent (platform_id, id)
);
CREATE INDEX draft_by_agent ON draft (platform_id, agent_id);

-- How a reply went: to the page of the case (widget), by mail, or told to the platform, which carries it (api); and the macro it was made from.
ALTER TABLE message ADD COLUMN via text[] NOT NULL DEFAULT '{}';
ALTER TABLE message ADD COLUMN macro text;

CREATE INDEX cases_joined ON cases (platform_id, joined_to) WHERE joined_to IS NOT NULL;
-- What the wait is quoted from: whom people looked at within the last half hour.
CREATE INDEX cases_acknowledged ON cases (platform_id, acknowledged_at) WHERE acknowledged_at IS NOT NULL;
-- Files and drafts that nobody sent are forgotten.
CREATE INDEX attachment_unsent ON attachment (created_at) WHERE message_id IS NULL;
CREATE INDEX draft_by_age ON draft (updated_at);

-- message_send() takes their place.
DROP FUNCTION IF EXISTS reply_add(uuid, uuid, uuid, text, text, float);
DROP FUNCTION IF EXISTS message_add(uuid, uuid, uuid, text, text, text, float);
