-- Platforms' own systems of orders, as far as we have read them.

-- How far one platform's has been read. `source`: which system, as it was set: after a change of its events or its mapping all is read again.
CREATE TABLE source_cursor (
    platform_id uuid PRIMARY KEY REFERENCES platform,
    source text NOT NULL,
    cursor text NOT NULL DEFAULT '',
    due_at timestamptz NOT NULL,
    lease_epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    read_at timestamptz,                -- when a reading last came to its end
    failing_since timestamptz,
    failure text NOT NULL DEFAULT ''
);
CREATE INDEX source_cursor_due ON source_cursor (due_at);

-- Orders that we were told of and have not read since; of those that cannot be understood, why.
CREATE TABLE source_news (
    platform_id uuid NOT NULL REFERENCES platform,
    ref text NOT NULL CHECK (length(ref) BETWEEN 1 AND 100),
    heard bigint NOT NULL DEFAULT 1,    -- how often we were told: what is heard while we read is read again
    heard_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    tries int NOT NULL DEFAULT 0,
    failure text NOT NULL DEFAULT '',
    PRIMARY KEY (platform_id, ref)
);
CREATE INDEX source_news_due ON source_news (due_at);

-- What the system last said of each show. It gives them no version; so only what has changed there is taken in.
CREATE TABLE source_show (
    platform_id uuid NOT NULL REFERENCES platform,
    ref text NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (platform_id, ref)
);
