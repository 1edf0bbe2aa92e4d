-- How each rail is doing, shared by all processes. The installation's own, as its rails are.
CREATE TABLE rail_state (
    rail text PRIMARY KEY,
    failed_at timestamptz[] NOT NULL DEFAULT '{}', -- the newest failures in a row; a success empties it
    last_failure text NOT NULL DEFAULT '',
    last_failure_at timestamptz,
    opened_at timestamptz,               -- since when the breaker has not been closed
    open_until timestamptz,              -- not null: the breaker is open; past: one probe may go
    open_seconds double precision NOT NULL DEFAULT 0,
    probe_until timestamptz,             -- somebody is probing until then
    next_slot_at timestamptz NOT NULL DEFAULT '-infinity', -- the pace: when the next call may go
    not_before timestamptz               -- the processor asked to wait (Retry-After)
);
