-- The help widget's files as each release served them: pages pin them by their hash, and still load them after an upgrade.

CREATE TABLE widget_file (
    name text PRIMARY KEY,               -- with the hash of what is in it: the same name is the same bytes
    body bytea NOT NULL CHECK (length(body) BETWEEN 1 AND 262144),
    kept_at timestamptz NOT NULL,
    used_at timestamptz NOT NULL         -- to the day
);
CREATE INDEX widget_file_used ON widget_file (used_at);
