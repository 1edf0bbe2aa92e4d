-- What processors tell us: verified, kept once by the processor's own id, applied afterwards. The installation's own, as its rails are.
-- Of a body only references and amounts are kept: never a name, an address or card details.
CREATE TABLE webhook_inbox (
    rail text NOT NULL,
    event_id text NOT NULL,
    kind text NOT NULL,
    happened_at timestamptz,
    about jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    tries int NOT NULL DEFAULT 0,
    next_try_at timestamptz,             -- null once it is applied, or kept as unknown
    outcome text CHECK (outcome IN       -- nothing: unknown kinds are kept, not guessed; failed: given up, people were told
        ('applied', 'nothing', 'unknown_payment', 'failed')),
    PRIMARY KEY (rail, event_id)
);
CREATE INDEX webhook_inbox_due ON webhook_inbox (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_inbox_by_age ON webhook_inbox (received_at);

-- Each dispute that a processor told us of. A payment is disputed while one of its disputes is open; what is lost of it is their sum.
CREATE TABLE dispute (
    platform_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    ref text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'won', 'lost')),
    amount bigint NOT NULL CHECK (amount >= 0),
    told_at timestamptz NOT NULL,        -- of what was told last: an older ending never replaces a newer one
    PRIMARY KEY (platform_id, payment_id, ref),
    FOREIGN KEY (platform_id, payment_id) REFERENCES payment (platform_id, id)
);
