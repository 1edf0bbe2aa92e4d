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
-- held on the card and not captured
ALTER TABLE sandbox.charge ADD COLUMN IF NOT EXISTS authorised bigint NOT NULL DEFAULT 0 CHECK (authorised >= 0);
ALTER TABLE sandbox.charge ADD COLUMN IF NOT EXISTS canceled boolean NOT NULL DEFAULT false;
ALTER TABLE sandbox.charge ADD COLUMN IF NOT EXISTS dispute text NOT NULL DEFAULT '' CHECK (dispute IN ('', 'open', 'won', 'lost'));
ALTER TABLE sandbox.charge ADD COLUMN IF NOT EXISTS warned boolean NOT NULL DEFAULT false;

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
    UNIQUE (account, ref)
);
-- A rail that pays out knows no charges.
ALTER TABLE sandbox.refund DROP CONSTRAINT IF EXISTS refund_account_payment_ref_fkey;
ALTER TABLE sandbox.refund ADD COLUMN IF NOT EXISTS waiting text NOT NULL DEFAULT '' CHECK (waiting IN ('', 'insufficient_funds', 'customer'));
-- of a pay-out: the SHA-256 of where it went, never the address itself
ALTER TABLE sandbox.refund ADD COLUMN IF NOT EXISTS destination text NOT NULL DEFAULT '';
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
ALTER TABLE sandbox.in_flight ADD COLUMN IF NOT EXISTS pays text NOT NULL DEFAULT 'back';
ALTER TABLE sandbox.in_flight ADD COLUMN IF NOT EXISTS destination text NOT NULL DEFAULT '';

-- Keys that are answered with the same server error for ever, whether or not anything was carried out under them.
CREATE TABLE IF NOT EXISTS sandbox.broken (account text NOT NULL, key text NOT NULL, PRIMARY KEY (account, key));

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
ALTER TABLE sandbox.script DROP CONSTRAINT IF EXISTS script_call_check;
ALTER TABLE sandbox.script ADD CONSTRAINT script_call_check CHECK (call IN ('refund', 'read', 'cancel', 'any'));
CREATE INDEX IF NOT EXISTS script_payment ON sandbox.script (account, payment_ref, id);

CREATE TABLE IF NOT EXISTS sandbox.pace (account text PRIMARY KEY, latency_ms integer NOT NULL CHECK (latency_ms >= 0));

-- Accounts that want to be told, and what they are told: written with the change, posted by whoever fetches it.
CREATE TABLE IF NOT EXISTS sandbox.subscription (account text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS sandbox.notification (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account   text        NOT NULL,
    kind      text        NOT NULL,
    ref       text        NOT NULL,
    item      jsonb       NOT NULL,
    made_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered boolean     NOT NULL DEFAULT false
);
CREATE INDEX IF NOT EXISTS notification_account ON sandbox.notification (account, id);

-- What a function takes and answers cannot be changed in place, and older ones may be there.
DROP FUNCTION IF EXISTS sandbox.refund_once(text, text, text, bigint, text, uuid, uuid, text);
DROP FUNCTION IF EXISTS sandbox.execute(text, text, text, bigint, text, uuid, uuid, text, text, text);
DROP FUNCTION IF EXISTS sandbox.load(text, text, text, bigint, bigint, boolean);

-- Tells of a refund as it is now, if anybody wants to be told.
CREATE OR REPLACE FUNCTION sandbox.tell_refund(p_account text, p_kind text, p_ref text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM sandbox.subscription s WHERE s.account = p_account) THEN
        RETURN;
    END IF;
    INSERT INTO sandbox.notification (account, kind, ref, item)
    SELECT p_account, p_kind, p_ref, jsonb_strip_nulls(jsonb_build_object(
        'ref', r.ref, 'payment_ref', r.payment_ref, 'state', r.state, 'amount', r.amount, 'currency', r.currency,
        'operation_id', r.operation_id, 'attempt_id', r.attempt_id, 'failure', r.failure, 'waiting', r.waiting, 'made_at', r.made_at))
    FROM sandbox.refund r WHERE r.account = p_account AND r.ref = p_ref;
END $$;

-- Likewise of a charge: its dispute or its warning.
CREATE OR REPLACE FUNCTION sandbox.tell_charge(p_account text, p_kind text, p_payment_ref text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sandbox.notification (account, kind, ref, item)
    SELECT p_account, p_kind, x.ref, jsonb_build_object('ref', x.ref, 'payment_ref', p_payment_ref, 'state', c.dispute,
                                                        'amount', c.captured, 'currency', c.currency)
    FROM sandbox.charge c, LATERAL (SELECT split_part(p_kind, '.', 1) || '_' || p_payment_ref) x (ref)
    WHERE c.account = p_account AND c.payment_ref = p_payment_ref
      AND EXISTS (SELECT FROM sandbox.subscription s WHERE s.account = p_account);
END $$;

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
          AND NOT (p_known AND s.fault IN ('declined', 'accepted', 'failed', 'in_flight', 'broken_for_good'))
          AND NOT (p_call = 'cancel' AND s.fault IN ('accepted', 'failed', 'in_flight', 'broken_for_good'))
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

-- Carries a refund or a pay-out out. p_fault is '', 'accepted' (p_detail: what it waits for) or 'failed' (p_detail: the reason); answers
-- the refund or the word of the refusal. p_tell: false where it is known that nobody wants to be told.
CREATE OR REPLACE FUNCTION sandbox.execute(
    p_account text, p_key text, p_payment_ref text, p_amount bigint, p_currency text,
    p_operation uuid, p_attempt uuid, p_reason text, p_pays text, p_destination text, p_fault text, p_detail text, p_tell boolean,
    OUT declined text, OUT ref text, OUT state text, OUT failure text, OUT waiting text, OUT made_at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    c sandbox.charge;
    r sandbox.refund;
BEGIN
    IF p_pays = 'back' THEN
        -- the charge's lock puts requests for one payment in a row, so that neither a key nor an amount can pass twice
        SELECT * INTO c FROM sandbox.charge x WHERE x.account = p_account AND x.payment_ref = p_payment_ref FOR UPDATE;
    END IF;
    SELECT * INTO r FROM sandbox.refund x WHERE x.account = p_account AND x.key = p_key;
    IF NOT FOUND THEN
        declined := CASE
            WHEN p_pays = 'out' THEN CASE WHEN p_amount <= 0 OR p_destination = '' THEN 'bug' END
            WHEN c.account IS NULL THEN 'not_found'
            WHEN p_amount <= 0 OR p_currency <> c.currency THEN 'bug'
            WHEN c.captured = 0 THEN 'unsupported'
            WHEN c.disputed THEN 'disputed'
            WHEN c.refunded >= c.captured THEN 'already_refunded'
            WHEN c.refunded + p_amount > c.captured THEN 'amount_too_large'
        END;
        IF declined IS NOT NULL THEN
            RETURN;
        END IF;
        INSERT INTO sandbox.refund AS x (account, key, payment_ref, amount, currency, operation_id, attempt_id, reason, destination,
                                         state, failure, waiting)
        VALUES (p_account, p_key, p_payment_ref, p_amount, p_currency, p_operation, p_attempt, p_reason, p_destination,
                CASE p_fault WHEN 'accepted' THEN 'ACCEPTED' WHEN 'failed' THEN 'FAILED' ELSE 'SUCCEEDED' END,
                CASE p_fault WHEN 'failed' THEN coalesce(nullif(p_detail, ''), 'unknown') ELSE '' END,
                CASE p_fault WHEN 'accepted' THEN p_detail ELSE '' END)
        ON CONFLICT (account, key) DO NOTHING RETURNING * INTO r;
        IF FOUND THEN
            IF p_pays = 'back' AND r.state <> 'FAILED' THEN
                UPDATE sandbox.charge x SET refunded = x.refunded + p_amount WHERE x.account = p_account AND x.payment_ref = p_payment_ref;
            END IF;
            IF p_tell THEN
                PERFORM sandbox.tell_refund(p_account, 'refund.created', r.ref);
            END IF;
            ref := r.ref; state := r.state; failure := r.failure; waiting := r.waiting; made_at := r.made_at;
            RETURN;
        END IF;
        -- the same key arrived at the same moment, without a charge to queue at or for another one
        SELECT * INTO r FROM sandbox.refund x WHERE x.account = p_account AND x.key = p_key;
    END IF;
    IF (r.payment_ref, r.amount, r.currency, r.operation_id, r.attempt_id, r.reason, r.destination)
       IS DISTINCT FROM (p_payment_ref, p_amount, p_currency, p_operation, p_attempt, p_reason, p_destination) THEN
        declined := 'idempotency_misuse';
        RETURN;
    END IF;
    ref := r.ref; state := r.state; failure := r.failure; waiting := r.waiting; made_at := r.made_at;
END $$;

-- One request: the script decides whether it arrives, is carried out, is answered.
CREATE OR REPLACE FUNCTION sandbox.refund_once(
    p_account text, p_key text, p_payment_ref text, p_amount bigint, p_currency text, p_operation uuid, p_attempt uuid, p_reason text,
    p_pays text, p_destination text,
    OUT fault text, OUT detail text, OUT retry_after_seconds double precision, OUT latency_ms integer,
    OUT declined text, OUT ref text, OUT state text, OUT failure text, OUT waiting text, OUT made_at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    entry sandbox.script;
    v_broken boolean;
    v_script boolean;
    v_tell boolean;
BEGIN
    -- all that is rare, in one look at tables that are mostly empty
    SELECT (SELECT p.latency_ms FROM sandbox.pace p WHERE p.account = p_account),
           EXISTS (SELECT FROM sandbox.broken b WHERE b.account = p_account AND b.key = p_key),
           EXISTS (SELECT FROM sandbox.script),
           EXISTS (SELECT FROM sandbox.subscription s WHERE s.account = p_account)
    INTO latency_ms, v_broken, v_script, v_tell;
    IF v_broken THEN
        fault := 'broken_for_good'; detail := '';
        RETURN;
    END IF;
    IF v_script THEN
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
        INSERT INTO sandbox.in_flight (account, key, payment_ref, amount, currency, operation_id, attempt_id, reason, pays, destination)
        VALUES (p_account, p_key, p_payment_ref, p_amount, p_currency, p_operation, p_attempt, p_reason, p_pays, p_destination);
        RETURN;
    END IF;
    IF fault = 'broken_for_good' THEN
        INSERT INTO sandbox.broken VALUES (p_account, p_key) ON CONFLICT DO NOTHING;
    END IF;
    IF fault IN ('', 'accepted', 'failed', 'lost_answer') OR (fault = 'broken_for_good' AND detail = 'carried_out') THEN
        SELECT e.declined, e.ref, e.state, e.failure, e.waiting, e.made_at INTO declined, ref, state, failure, waiting, made_at
        FROM sandbox.execute(p_account, p_key, p_payment_ref, p_amount, p_currency, p_operation, p_attempt, p_reason, p_pays, p_destination,
                             fault, detail, v_tell) e;
    END IF;
END $$;

-- Lets go of what the card holds, or does to the request what the script says; `declined` is the word of a refusal.
CREATE OR REPLACE FUNCTION sandbox.cancel_once(
    p_account text, p_payment_ref text,
    OUT fault text, OUT detail text, OUT retry_after_seconds double precision, OUT latency_ms integer, OUT declined text
) LANGUAGE plpgsql AS $$
DECLARE
    entry sandbox.script;
    c sandbox.charge;
BEGIN
    SELECT p.latency_ms INTO latency_ms FROM sandbox.pace p WHERE p.account = p_account;
    SELECT * INTO c FROM sandbox.charge x WHERE x.account = p_account AND x.payment_ref = p_payment_ref FOR UPDATE;
    entry := sandbox.take(p_account, p_payment_ref, 'cancel', coalesce(c.canceled, false));
    fault := coalesce(entry.fault, ''); detail := coalesce(entry.detail, ''); retry_after_seconds := entry.retry_after_seconds;
    IF fault IN ('', 'lost_answer', 'declined') THEN
        declined := CASE
            WHEN fault = 'declined' THEN coalesce(nullif(detail, ''), 'declined')
            WHEN c.account IS NULL THEN 'not_found'
            WHEN c.authorised = 0 AND NOT c.canceled THEN 'unsupported'
        END;
        IF declined IS NULL THEN
            UPDATE sandbox.charge x SET authorised = 0, canceled = true WHERE x.account = p_account AND x.payment_ref = p_payment_ref;
        END IF;
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
            f.account, f.key, f.payment_ref, f.amount, f.currency, f.operation_id, f.attempt_id, f.reason, f.pays, f.destination, '', '', true);
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
    UPDATE sandbox.refund x SET state = p_state, failure = p_failure, waiting = '' WHERE x.account = p_account AND x.ref = p_ref;
    IF p_state IN ('FAILED', 'CANCELED') THEN
        UPDATE sandbox.charge c SET refunded = c.refunded - r.amount WHERE c.account = p_account AND c.payment_ref = r.payment_ref;
    END IF;
    IF r.state <> p_state THEN
        PERFORM sandbox.tell_refund(p_account, 'refund.updated', p_ref);
    END IF;
    RETURN true;
END $$;

-- A bank takes a charge back (open), gives it back (won) or keeps it (lost). False: no such charge.
CREATE OR REPLACE FUNCTION sandbox.dispute(p_account text, p_payment_ref text, p_state text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sandbox.charge c SET disputed = p_state <> 'won', dispute = p_state WHERE c.account = p_account AND c.payment_ref = p_payment_ref;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM sandbox.tell_charge(p_account, 'dispute.' || p_state, p_payment_ref);
    RETURN true;
END $$;

-- A bank believes that a charge is fraud. False: no such charge.
CREATE OR REPLACE FUNCTION sandbox.warn(p_account text, p_payment_ref text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sandbox.charge c SET warned = true WHERE c.account = p_account AND c.payment_ref = p_payment_ref;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM sandbox.tell_charge(p_account, 'warning.created', p_payment_ref);
    RETURN true;
END $$;

-- Puts a charge, and what was refunded on it before, into the books; loading it again changes nothing.
CREATE OR REPLACE FUNCTION sandbox.load(
    p_account text, p_payment_ref text, p_currency text, p_captured bigint, p_refunded bigint, p_disputed boolean, p_authorised bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sandbox.charge (account, payment_ref, currency, captured, refunded, disputed, dispute, authorised)
    VALUES (p_account, p_payment_ref, p_currency, p_captured, p_refunded, p_disputed, CASE WHEN p_disputed THEN 'open' ELSE '' END, p_authorised)
    ON CONFLICT DO NOTHING;
    IF FOUND AND p_refunded > 0 THEN
        INSERT INTO sandbox.refund (account, key, payment_ref, amount, currency, reason, state)
        VALUES (p_account, 'loaded:' || p_payment_ref, p_payment_ref, p_refunded, p_currency, 'loaded', 'SUCCEEDED');
    END IF;
END $$;
