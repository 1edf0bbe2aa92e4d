-- Sales that failed half-way: looked at again, and rolled back where the show asked for it.
CREATE TABLE rollback (
    platform_id uuid NOT NULL REFERENCES platform,
    payment_id uuid NOT NULL,
    show_id uuid NOT NULL,               -- whose switch it is, and whose wave
    kind text NOT NULL CHECK (kind IN ('refund', 'cancel')), -- charged without a pass; held on the card and not charged
    seen_at timestamptz NOT NULL,        -- when it was first seen without a pass
    next_look_at timestamptz,            -- null: it has ended
    looks int NOT NULL DEFAULT 0,
    asked_at timestamptz,                -- its place in the wave: a show and an hour
    amount bigint,
    held boolean,                        -- a person confirms it
    outcome text,                        -- refund_asked, cancelled, mended, people; unread: nobody can ask about that hold
    case_id uuid,
    PRIMARY KEY (platform_id, payment_id),
    FOREIGN KEY (platform_id, payment_id) REFERENCES payment (platform_id, id),
    FOREIGN KEY (platform_id, show_id) REFERENCES show (platform_id, id),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    CHECK ((next_look_at IS NULL) = (outcome IS NOT NULL))
);
CREATE INDEX rollback_due ON rollback (next_look_at) WHERE next_look_at IS NOT NULL;
CREATE INDEX rollback_by_wave ON rollback (platform_id, show_id, asked_at) WHERE asked_at IS NOT NULL;
-- The slow pass starts from the few shows that switched it on.
CREATE INDEX show_that_rolls_back ON show (ends_at) WHERE settings->>'rollback' = 'true';
