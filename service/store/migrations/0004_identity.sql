-- also applied as d9c78b774827442e7b9c0d137b0dd49ab7c55562634592c204ff820e7440a46b (with the functions that are in functions/ now)
-- Proving who is asking: limits, one-time codes, what a proven address opens.

ALTER TABLE one_time_code
    ADD COLUMN sealed bytea,                     -- the digits on their way to the mail, readable only with the installation's secret
    ADD COLUMN only_pass uuid,                   -- becomes the session's when the code is proven
    ADD COLUMN language text NOT NULL DEFAULT 'en',
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX one_time_code_by_age ON one_time_code (expires_at);
CREATE INDEX rate_by_age ON rate (window_start);
CREATE INDEX session_by_age ON session (expires_at);
