-- Comparing our books with a processor's, and finding back what a restored backup does not know.

-- A refund that we made, and that the database, put back to an earlier state, knows nothing of: neither its operation nor for what it was. It is
-- counted in refunded_elsewhere; and since nobody knows which harm it was paid for, further money of the order waits for a person.
CREATE TABLE recovered_refund (
    platform_id uuid NOT NULL REFERENCES platform,
    order_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    rail text NOT NULL,
    provider_ref text NOT NULL,
    lost_operation_id uuid,              -- as the processor kept it; there is no such row any more
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, order_id, rail, provider_ref),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id),
    FOREIGN KEY (platform_id, payment_id) REFERENCES payment (platform_id, id)
);

-- Audits read attempts by time. They are written in that order, so that the smallest of indexes does.
CREATE INDEX attempt_by_time ON attempt USING brin (first_sent_at) WITH (pages_per_range = 16);
CREATE INDEX refund_elsewhere_by_provider_ref ON refund_elsewhere (provider_ref) WHERE provider_ref IS NOT NULL;
