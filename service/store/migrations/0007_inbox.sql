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
    outcome text,                        -- applied, nothing (unknown kinds are kept, not guessed), unknown_payment
    PRIMARY KEY (rail, event_id)
);
CREATE INDEX webhook_inbox_due ON webhook_inbox (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_inbox_by_age ON webhook_inbox (received_at);
