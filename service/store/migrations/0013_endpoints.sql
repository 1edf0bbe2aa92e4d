-- Where what platforms are told is sent, and what of it is not there yet.

CREATE TABLE endpoint (
    platform_id uuid NOT NULL REFERENCES platform,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('webhook', 'adapter')),
    name text NOT NULL,                  -- of an adapter: by which name a process knows it
    url text,
    types text[],                        -- as they were asked for, `refund.*` too; null: all
    sealed_secret bytea,
    sealed_former bytea,                 -- signs beside the new one until then, so that a receiver can change over
    former_until timestamptz,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'disabled')),
    state_why text NOT NULL DEFAULT '',
    state_since timestamptz NOT NULL,
    position bigint NOT NULL CHECK (position >= 0), -- everything up to here is delivered, parked or dead
    replay_after bigint CHECK (replay_after >= 0),  -- where the next round begins instead
    succeeded_at timestamptz,
    failing_since timestamptz,           -- not of one event: of the endpoint
    failures int NOT NULL DEFAULT 0,     -- of its probes, one after the other
    next_try_at timestamptz NOT NULL,
    lease_epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id),
    CHECK ((kind = 'webhook') = (url IS NOT NULL)),
    CHECK ((kind = 'webhook') = (sealed_secret IS NOT NULL)),
    CHECK ((sealed_former IS NULL) = (former_until IS NULL))
);
CREATE INDEX endpoint_due ON endpoint (next_try_at) WHERE state = 'active';
CREATE UNIQUE INDEX one_endpoint_for_each_adapter ON endpoint (platform_id, name) WHERE kind = 'adapter';

-- What an endpoint's position has passed and it has not taken. `key`: the order, else the case, else the event itself; events of one key go in order.
-- Only the first that is parked of a key has a next_try_at.
CREATE TABLE endpoint_delivery (
    platform_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    position bigint NOT NULL,
    event_id uuid NOT NULL,
    key uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('parked', 'dead')),
    tries int NOT NULL DEFAULT 0,
    first_failed_at timestamptz,
    next_try_at timestamptz,
    last_status int,
    last_detail text NOT NULL DEFAULT '',
    PRIMARY KEY (platform_id, endpoint_id, position),
    FOREIGN KEY (platform_id, endpoint_id) REFERENCES endpoint (platform_id, id) ON DELETE CASCADE,
    FOREIGN KEY (platform_id, event_id) REFERENCES outbox (platform_id, event_id) ON DELETE CASCADE,
    CHECK (state = 'parked' OR next_try_at IS NULL)
);
CREATE INDEX endpoint_delivery_due ON endpoint_delivery (platform_id, endpoint_id, next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX endpoint_delivery_by_key ON endpoint_delivery (platform_id, endpoint_id, key, position) WHERE state = 'parked';
CREATE INDEX endpoint_delivery_by_event ON endpoint_delivery (platform_id, event_id);

-- What went wrong lately, and what came of tests: for whoever mends an endpoint. Deliveries that went well are not written down.
CREATE TABLE delivery_log (
    platform_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    status int,
    detail text NOT NULL,
    milliseconds int NOT NULL,
    PRIMARY KEY (platform_id, endpoint_id, id),
    FOREIGN KEY (platform_id, endpoint_id) REFERENCES endpoint (platform_id, id) ON DELETE CASCADE
);
CREATE INDEX delivery_log_by_age ON delivery_log (at);
