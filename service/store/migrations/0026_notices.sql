-- Notices: what a platform tells everyone of a show at once ("we know"), and who wants to hear how it goes on.

CREATE TABLE notice (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    show_id uuid NOT NULL,
    text jsonb NOT NULL,                 -- language -> what is said now
    seq int NOT NULL,                    -- of the newest change: its row in notice_update
    begun_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    over_at timestamptz,
    tell_at timestamptz,                 -- when followers are to be written to; null: they know
    told_at timestamptz,                 -- when the last round of letters was planned for
    rounds int NOT NULL DEFAULT 0,       -- of letters
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, show_id) REFERENCES show (platform_id, id)
);
CREATE UNIQUE INDEX one_notice_a_show ON notice (platform_id, show_id) WHERE over_at IS NULL;
CREATE INDEX notice_by_show ON notice (platform_id, show_id, begun_at);
CREATE INDEX notice_by_time ON notice (platform_id, updated_at);
CREATE INDEX notice_to_tell ON notice (tell_at) WHERE tell_at IS NOT NULL;
CREATE INDEX notice_over ON notice (over_at) WHERE over_at IS NOT NULL;

-- Each change of it, with who and why.
CREATE TABLE notice_update (
    platform_id uuid NOT NULL,
    notice_id uuid NOT NULL,
    seq int NOT NULL,
    kind text NOT NULL CHECK (kind IN ('begun', 'updated', 'over')),
    text jsonb NOT NULL,                 -- of `over`: empty
    at timestamptz NOT NULL,
    actor text NOT NULL,
    why text NOT NULL,
    PRIMARY KEY (platform_id, notice_id, seq),
    FOREIGN KEY (platform_id, notice_id) REFERENCES notice (platform_id, id)
);

-- Proven customers who asked to be told. The address stays where it is: in `person`.
CREATE TABLE notice_follower (
    platform_id uuid NOT NULL,
    notice_id uuid NOT NULL,
    person_id uuid NOT NULL,
    locale text NOT NULL,
    caller text NOT NULL,                -- who wrote it down, and may take it back without the address
    told_seq int NOT NULL,               -- of the notice: what they saw when they asked, or were last written to about
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, notice_id, person_id),
    FOREIGN KEY (platform_id, notice_id) REFERENCES notice (platform_id, id),
    FOREIGN KEY (platform_id, person_id) REFERENCES person (platform_id, id)
);
CREATE INDEX notice_follower_by_told ON notice_follower (platform_id, notice_id, told_seq);
CREATE INDEX notice_follower_by_person ON notice_follower (platform_id, person_id);
