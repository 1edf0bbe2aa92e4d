-- How people sign in to the console; and what its policy page counts.

-- how the platform's identity provider names the agent: a verified e-mail address, lower case, or `sub:` and the subject
ALTER TABLE agent ADD COLUMN sign_in text;
CREATE UNIQUE INDEX one_agent_a_sign_in ON agent (platform_id, sign_in) WHERE sign_in IS NOT NULL;

CREATE TABLE desk_session (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    hash bytea NOT NULL UNIQUE,          -- SHA-256 of the cookie's random 256 bits
    way text NOT NULL CHECK (way IN ('oidc', 'link', 'token')),
    role text NOT NULL,                  -- the agent's when it began: another role ends it
    scopes text[] NOT NULL,
    key_id uuid,                         -- of the token it began with: it ends with that
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, agent_id) REFERENCES agent (platform_id, id),
    FOREIGN KEY (platform_id, key_id) REFERENCES api_key (platform_id, id)
);
CREATE INDEX desk_session_by_agent ON desk_session (platform_id, agent_id);
CREATE INDEX desk_session_expires ON desk_session (expires_at);

-- A link that signs an agent in once, within two minutes; or the state of a sign-in that is under way at the identity provider.
CREATE TABLE sign_in_once (
    hash bytea PRIMARY KEY,
    platform_id uuid NOT NULL REFERENCES platform,
    agent_id uuid,                       -- of a link
    state jsonb NOT NULL DEFAULT '{}',   -- of a sign-in elsewhere: sealed verifier, nonce, where to go
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    FOREIGN KEY (platform_id, agent_id) REFERENCES agent (platform_id, id)
);
CREATE INDEX sign_in_once_expires ON sign_in_once (expires_at);

-- What each rule decided today: rows come in the order of time.
CREATE INDEX decision_by_time ON decision USING brin (created_at) WITH (pages_per_range = 16);
