-- Sales that failed half-way: looked at again, and rolled back where the show asked for it.
CREATE TABLE rollback (
    platform_id uuid NOT NULL REFERENCES platform,
    payment_id uuid NOT NULL,
    seen_at timestamptz NOT NULL,        -- when it was first seen without a pass
    next_look_at timestamptz,            -- null: it has ended
    outcome text,                        -- refund_asked, cancelled, mended, people
    case_id uuid,
    PRIMARY KEY (platform_id, payment_id),
    FOREIGN KEY (platform_id, payment_id) REFERENCES payment (platform_id, id),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id)
);
CREATE INDEX rollback_due ON rollback (next_look_at) WHERE next_look_at IS NOT NULL;
