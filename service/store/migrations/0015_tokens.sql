-- An edge that checks access tokens by itself is told of each one that stops or starts again, however that came about.

-- The place of a token's last change among those of its platform; null: it never changed. `told` is false until a change has its place.
ALTER TABLE access_token ADD COLUMN position bigint;
ALTER TABLE access_token ADD COLUMN told boolean NOT NULL DEFAULT true;
UPDATE access_token SET told = false WHERE state <> 'active' AND expires_at > app_now();
CREATE INDEX access_token_untold ON access_token (platform_id) WHERE NOT told;
CREATE UNIQUE INDEX access_token_by_position ON access_token (platform_id, position) WHERE position IS NOT NULL;
CREATE INDEX access_token_placed_by_expiry ON access_token (platform_id, expires_at) WHERE position IS NOT NULL;

-- The last position given on each platform.
CREATE TABLE access_head (
    platform_id uuid PRIMARY KEY REFERENCES platform,
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0)
);

-- By trigger, because many functions change a token's state, and one that forgot to tell would leave a door open.
CREATE FUNCTION access_token_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.told := false;
    RETURN NEW;
END $$;
CREATE TRIGGER access_token_changed BEFORE UPDATE OF state ON access_token
    FOR EACH ROW WHEN (NEW.state IS DISTINCT FROM OLD.state) EXECUTE FUNCTION access_token_changed();

-- Our own check looks at the pass, too; an edge knows only tokens. So a pass that stops admitting ends its tokens, whoever ends it.
CREATE FUNCTION pass_ends_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE access_token SET state = 'revoked', revoked_at = app_now()
    WHERE platform_id = NEW.platform_id AND pass_id = NEW.id AND state <> 'revoked';
    RETURN NULL;
END $$;
CREATE TRIGGER pass_ends_tokens AFTER UPDATE OF status ON pass
    FOR EACH ROW WHEN (OLD.status = 'valid' AND NEW.status <> 'valid') EXECUTE FUNCTION pass_ends_tokens();
