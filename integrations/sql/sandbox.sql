-- The sandbox processor's own books: what was charged, what was refunded, and how it was told to misbehave.
-- One function is one request, so that a request is one commit and needs one round trip.

CREATE SCHEMA IF NOT EXISTS sandbox;

CREATE TABLE IF NOT EXISTS sandbox.version (hash text PRIMARY KEY);

CREATE TABLE IF NOT EXISTS sandbox.charge (
    account     text    NOT NULL,
    payment_ref text    NOT NULL,
    currency    text    NOT NULL,
    captured    bigint  NOT NULL CHECK (captured >= 0),
    refunded    bigint  NOT NULL DEFAULT 0,
    disputed    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account, payment_ref),
    CHECK (refunded BETWEEN 0 AND captured)
);

CREATE TABLE IF NOT EXISTS sandbox.refund (
    account      text        NOT NULL,
    key          text        NOT NULL,
    ref          text        NOT NULL DEFAULT 're_sandbox_' || replace(gen_random_uuid()::text, '-', ''),
    payment_ref  text        NOT NULL,
    amount       bigint      NOT NULL CHECK (amount > 0),
    currency     text        NOT NULL,
    operation_id uuid,
    attempt_id   uuid,
    reason       text        NOT NULL,
    state        text        NOT NULL CHECK (state IN ('ACCEPTED', 'SUCCEEDED', 'FAILED', 'CANCELED')),
    failure      text        NOT NULL DEFAULT '',
    made_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, key),
    UNIQUE (account, ref),
    FOREIGN KEY (account, payment_ref) REFERENCES sandbox.charge
);
CREATE INDEX IF NOT EXISTS refund_payment ON sandbox.refund (account, payment_ref);
CREATE INDEX IF NOT EXISTS refund_made ON sandbox.refund (account, made_at, ref);

-- A request that is still on its way: the caller has given up, the processor has yet to see it.
CREATE TABLE IF NOT EXISTS sandbox.in_flight (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account      text   NOT NULL,
    key          text   NOT NULL,
    payment_ref  text   NOT NULL,
    amount       bigint NOT NULL,
    currency     text   NOT NULL,
    operation_id uuid,
    attempt_id   uuid,
    reason       text   NOT NULL
);

-- What to do with the next calls: the payment's own entries first, then the rail's, oldest first. times NULL: until cleared.
CREATE TABLE IF NOT EXISTS sandbox.script (
    id                  bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account             text             NOT NULL,
    payment_ref         text             NOT NULL DEFAULT '',
    call                text             NOT NULL CHECK (call IN ('refund', 'read', 'any')),
    fault               text             NOT NULL,
    detail              text             NOT NULL DEFAULT '',
    retry_after_seconds double precision,
    times               integer          CHECK (times > 0)
);
CREATE INDEX IF NOT EXISTS script_payment ON sandbox.script (account, payment_ref, id);

CREATE TABLE IF NOT EXISTS sandbox.pace (account text PRIMARY KEY, latency_ms integer NOT NULL CHECK (latency_ms >= 0));

-- What a function answers cannot be changed in place, and older ones may be there.
DROP FUNCTION IF EXISTS sandbox.refund_once(text, text, text, bigint, text, uuid, uuid, text);
DROP FUNCTION IF EXISTS sandbox.execute(text, text, text, bigint, text, uuid, uuid, text, text, text);

-- Takes one use of the first script entry that applies to this call, or nothing.
CREATE OR REPLACE FUNCTION sandbox.take(p_account text, p_payment_ref text, p_call text, p_known boolean)
RETURNS sandbox.script LANGUAGE plpgsql AS $$
DECLARE
    entry sandbox.script;
BEGIN
    LOOP
        SELECT * INTO entry FROM sandbox.script s
        WHERE s.account = p_account AND s.payment_ref IN (p_payment_ref, '') AND s.call IN (p_call, 'any')
          -- an outcome belongs to a new refund: one that is there already is only told again, and a read tells
          AND NOT (p_known AND s.fault IN ('declined', 'accepted', 'failed', 'in_flight'))
        ORDER BY s.payment_ref DESC, s.id LIMIT 1;
        IF NOT FOUND OR entry.times IS NULL THEN
            RETURN entry;
        END IF;
        -- two callers may have seen the same last use: who finds no row looks again
        DELETE FROM sandbox.script s WHERE s.id = entry.id AND s.times = 1;
        IF FOUND THEN
            RETURN entry;
        END IF;
        UPDATE sandbox.script s SET times = s.times - 1 WHERE s.id = entry.id AND s.times > 1;
        IF FOUND THEN
            RETURN entry;
        END IF;
    END LOOP;
END $$;

-- Carries a refund out. p_fault is '', 'accepted' or 'failed' (p_detail: the reason); answers the refund or the word of the refusal.
CREATE OR REPLACE FUNCTION sandbox.execute(
    p_account text, p_key text, p_payment_ref text, p_amount bigint, p_currency text,
    p_operation uuid, p_attempt uuid, p_reason text, p_fault text, p_detail text,
    OUT declined text, OUT ref text, OUT state text, OUT failure text, OUT made_at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    c sandbox.charge;
    r sandbox.refund;
BEGIN
    -- the charge's lock puts requests for one payment in a row, so that neither a key nor an amount can pass twice
    SELECT * INTO c FROM sandbox.charge x WHERE x.account = p_account AND x.payment_ref = p_payment_ref FOR UPDATE;
    SELECT * INTO r FROM sandbox.refund x WHERE x.account = p_account AND x.key = p_key;
    IF FOUND THEN
        IF (r.payment_ref, r.amount, r.currency, r.operation_id, r.attempt_id, r.reason)
           IS DISTINCT FROM (p_payment_ref, p_amount, p_currency, p_operation, p_attempt, p_reason) THEN
            declined := 'idempotency_misuse';
            RETURN;
        END IF;
        ref := r.ref; state := r.state; failure := r.failure; made_at := r.made_at;
        RETURN;
    END IF;
    declined := CASE
        WHEN c.account IS NULL THEN 'not_found'
        WHEN p_amount <= 0 OR p_currency <> c.currency THEN 'bug'
        WHEN c.disputed THEN 'disputed'
        WHEN c.refunded >= c.captured THEN 'already_refunded'
        WHEN c.refunded + p_amount > c.captured THEN 'amount_too_large'
    END;
    IF declined IS NOT NULL THEN
        RETURN;
    END IF;
    state := CASE p_fault WHEN 'accepted' THEN 'ACCEPTED' WHEN 'failed' THEN 'FAILED' ELSE 'SUCCEEDED' END;
    failure := CASE p_fault WHEN 'failed' THEN coalesce(nullif(p_detail, ''), 'unknown') ELSE '' END;
    INSERT INTO sandbox.refund AS x (account, key, payment_ref, amount, currency, operation_id, attempt_id, reason, state, failure)
    VALUES (p_account, p_key, p_payment_ref, p_amount, p_currency, p_operation, p_attempt, p_reason, state, failure)
    ON CONFLICT (account, key) DO NOTHING RETURNING x.ref, x.made_at INTO ref, made_at;
    IF ref IS NULL THEN  -- the same key arrived at the same moment for another payment
        declined := 'idempotency_misuse'; state := NULL; failure := NULL;
        RETURN;
    END IF;
    IF state <> 'FAILED' THEN
        UPDATE sandbox.charge x SET refunded = x.refunded + p_amount WHERE x.account = p_account AND x.payment_ref = p_payment_ref;
    END IF;
END $$;

-- One request: the script decides whether it arrives, is carried out, is answered.
CREATE OR REPLACE FUNCTION sandbox.refund_once(
    p_account text, p_key text, p_payment_ref text, p_amount bigint, p_currency text, p_operation uuid, p_attempt uuid, p_reason text,
    OUT fault text, OUT detail text, OUT retry_after_seconds double precision, OUT latency_ms integer,
    OUT declined text, OUT ref text, OUT state text, OUT failure text, OUT made_at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    entry sandbox.script;
BEGIN
    SELECT p.latency_ms INTO latency_ms FROM sandbox.pace p WHERE p.account = p_account;
    -- most of the time there is no script at all: one look at an empty table
    IF EXISTS (SELECT FROM sandbox.script) THEN
        entry := sandbox.take(
            p_account, p_payment_ref, 'refund',
            EXISTS (SELECT FROM sandbox.refund r WHERE r.account = p_account AND r.key = p_key));
    END IF;
    fault := coalesce(entry.fault, ''); detail := coalesce(entry.detail, ''); retry_after_seconds := entry.retry_after_seconds;
    IF fault = 'declined' THEN
        declined := coalesce(nullif(detail, ''), 'declined');
        RETURN;
    END IF;
    IF fault = 'in_flight' THEN
        INSERT INTO sandbox.in_flight (account, key, payment_ref, amount, currency, operation_id, attempt_id, reason)
        VALUES (p_account, p_key, p_payment_ref, p_amount, p_currency, p_operation, p_attempt, p_reason);
        RETURN;
    END IF;
    IF fault IN ('', 'accepted', 'failed', 'lost_answer') THEN
        SELECT e.declined, e.ref, e.state, e.failure, e.made_at INTO declined, ref, state, failure, made_at
        FROM sandbox.execute(
            p_account, p_key, p_payment_ref, p_amount, p_currency, p_operation, p_attempt, p_reason, fault, detail) e;
    END IF;
END $$;

-- What was still on its way arrives now; answers how many requests did.
CREATE OR REPLACE FUNCTION sandbox.deliver(p_account text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    f sandbox.in_flight;
    n integer := 0;
BEGIN
    FOR f IN DELETE FROM sandbox.in_flight x WHERE x.account = p_account RETURNING x.* LOOP
        PERFORM sandbox.execute(
            f.account, f.key, f.payment_ref, f.amount, f.currency, f.operation_id, f.attempt_id, f.reason, '', '');
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;

-- The bank's later word on a refund: SUCCEEDED, FAILED or CANCELED. FAILED and CANCELED give the money back to the charge. False: no such refund.
CREATE OR REPLACE FUNCTION sandbox.conclude(p_account text, p_ref text, p_state text, p_failure text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    r sandbox.refund;
BEGIN
    SELECT * INTO r FROM sandbox.refund x WHERE x.account = p_account AND x.ref = p_ref;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- the charge first, as a refund does, so that the two never wait for each other
    PERFORM FROM sandbox.charge c WHERE c.account = p_account AND c.payment_ref = r.payment_ref FOR UPDATE;
    SELECT * INTO r FROM sandbox.refund x WHERE x.account = p_account AND x.ref = p_ref;
    IF r.state IN ('FAILED', 'CANCELED') THEN
        RETURN r.state = p_state;  -- dead is dead: a refund does not come back to life
    END IF;
    UPDATE sandbox.refund x SET state = p_state, failure = p_failure WHERE x.account = p_account AND x.ref = p_ref;
    IF p_state IN ('FAILED', 'CANCELED') THEN
        UPDATE sandbox.charge c SET refunded = c.refunded - r.amount WHERE c.account = p_account AND c.payment_ref = r.payment_ref;
    END IF;
    RETURN true;
END $$;

-- Puts a charge, and what was refunded on it before, into the books; loading it again changes nothing.
CREATE OR REPLACE FUNCTION sandbox.load(p_account text, p_payment_ref text, p_currency text, p_captured bigint, p_refunded bigint, p_disputed boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sandbox.charge VALUES (p_account, p_payment_ref, p_currency, p_captured, p_refunded, p_disputed) ON CONFLICT DO NOTHING;
    IF FOUND AND p_refunded > 0 THEN
        INSERT INTO sandbox.refund (account, key, payment_ref, amount, currency, reason, state)
        VALUES (p_account, 'loaded:' || p_payment_ref, p_payment_ref, p_refunded, p_currency, 'loaded', 'SUCCEEDED');
    END IF;
END $$;
