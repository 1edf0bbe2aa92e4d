-- Settings with their history, packs of a platform's own, keys that rotate, and the life of the signing keys.

-- Nobody works with an agent's keys any more; what the agent did stays theirs.
ALTER TABLE agent ADD COLUMN disabled_at timestamptz;

-- A rotated key keeps its identity: the token before the present one works until `old_until`.
ALTER TABLE api_key
    ADD COLUMN old_hash bytea UNIQUE,
    ADD COLUMN old_until timestamptz,
    ADD COLUMN rotated_at timestamptz,
    ADD CONSTRAINT an_old_token_has_an_end CHECK ((old_hash IS NULL) = (old_until IS NULL));

-- When the key came into its state; a `next` signs from `ready_at` on, an `old` may go from `gone_at` on.
ALTER TABLE signing_key
    ADD COLUMN since timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN ready_at timestamptz,
    ADD COLUMN gone_at timestamptz;
CREATE UNIQUE INDEX one_next_signing_key ON signing_key (state) WHERE state = 'next';

-- What was changed about the installation itself: its packs, its signing keys. Who and why.
CREATE TABLE installation_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    what text NOT NULL,
    why text NOT NULL DEFAULT '',
    data jsonb NOT NULL DEFAULT '{}'
);

-- Which version of its settings and of its own packs (name -> hash of policy_text; empty: the installation's) a platform has now.
ALTER TABLE platform
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD COLUMN packs jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN packs_version bigint NOT NULL DEFAULT 0;

-- Every version there was, as it was stored: secrets sealed. Never changed.
CREATE TABLE setting_version (
    platform_id uuid NOT NULL REFERENCES platform,
    kind text NOT NULL CHECK (kind IN ('settings', 'packs')),
    version bigint NOT NULL CHECK (version > 0),
    body jsonb NOT NULL,
    back_to bigint,                      -- the version that this one brought back
    actor text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, kind, version),
    FOREIGN KEY (platform_id, kind, back_to) REFERENCES setting_version (platform_id, kind, version)
);
INSERT INTO setting_version (platform_id, kind, version, body, actor, why, at)
SELECT id, 'settings', 1, settings, 'makegood', 'as they were before versions were kept', created_at FROM platform;
