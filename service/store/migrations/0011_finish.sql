-- What a refund has taken of the caps, so that one that ends without paying gives it back: [{kind, ref, from, until, slots: {slot: amount}}], the
-- window in seconds since 1970.
ALTER TABLE operation ADD COLUMN caps jsonb NOT NULL DEFAULT '[]';

-- Functions of other results or arguments, replaced by those in functions/.
DROP FUNCTION IF EXISTS cap_take(uuid, text, text, text, timestamptz, int, bigint, bigint);
DROP FUNCTION IF EXISTS caps_take(uuid, jsonb, text, text, bigint, timestamptz);

-- How many questions each address may still put to a processor through us, by posts that only the processor can tell from its own. A bucket that is
-- full again is as good as none. The installation's own, as its rails are.
CREATE TABLE question_bucket (
    rail text NOT NULL,
    client text NOT NULL,                -- the address, hashed with the installation's secret
    tokens double precision NOT NULL CHECK (tokens >= 0),
    at timestamptz NOT NULL,             -- when it held so many
    PRIMARY KEY (rail, client)
);
CREATE INDEX question_bucket_by_age ON question_bucket (at);
