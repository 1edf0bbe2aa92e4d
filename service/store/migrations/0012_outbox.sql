-- What the platform is told gets an id of its own, its case, and its place in the feed. Nobody has read the rows that there are: they were
-- written before there was a feed, and say less than those that follow.
DELETE FROM outbox;
ALTER TABLE outbox ADD COLUMN event_id uuid NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE outbox ADD COLUMN case_id uuid;
CREATE UNIQUE INDEX outbox_by_event ON outbox (platform_id, event_id);
CREATE INDEX outbox_by_age ON outbox (created_at);
-- Ids are drawn under the row lock of their order or case, so they alone give the order of its facts.
DROP INDEX outbox_unplaced;
CREATE INDEX outbox_unplaced ON outbox (id) WHERE position IS NULL;

-- The last position given on each platform's feed, and the last one that is no longer kept.
CREATE TABLE outbox_head (
    platform_id uuid PRIMARY KEY REFERENCES platform,
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    forgotten bigint NOT NULL DEFAULT 0 CHECK (forgotten <= position)
);
