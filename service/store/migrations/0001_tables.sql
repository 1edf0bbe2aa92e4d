-- The tables. Every key and every foreign key carries platform_id, so that no row can point across platforms;
-- tables of the installation itself (app_clock, policy_text, signing_key) have none.

-- One clock for leases, windows, caps and expiry. The offset is for tests; it stays zero elsewhere.
CREATE TABLE app_clock (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), ahead interval NOT NULL DEFAULT interval '0');
INSERT INTO app_clock DEFAULT VALUES;
CREATE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp() + ahead FROM app_clock';

CREATE TABLE policy_text (hash text PRIMARY KEY, name text NOT NULL, body text NOT NULL, first_seen timestamptz NOT NULL DEFAULT now());

CREATE TABLE signing_key (
    kid text PRIMARY KEY,
    sealed_private bytea NOT NULL,       -- sealed with the installation's secret; never leaves the process in clear
    public_jwk jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('next', 'current', 'old')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX one_current_signing_key ON signing_key (state) WHERE state = 'current';

CREATE TABLE platform (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    settings jsonb NOT NULL DEFAULT '{}', -- name, languages, zone, sender, contacts, proof, modes, caps, issuer
    created_at timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------------------------------------- callers

CREATE TABLE agent (
    platform_id uuid NOT NULL REFERENCES platform,
    id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('agent', 'lead', 'machine')),
    skills text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (platform_id, id),
    UNIQUE (platform_id, name)
);

CREATE TABLE api_key (
    platform_id uuid NOT NULL REFERENCES platform,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('platform', 'agent')),
    agent_id uuid,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,          -- SHA-256 of a random 256-bit token: nothing to guess, so no slow hash is needed
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, agent_id) REFERENCES agent (platform_id, id),
    CHECK ((kind = 'agent') = (agent_id IS NOT NULL))
);

-- The only table with names, addresses and phones.
CREATE TABLE person (
    platform_id uuid NOT NULL REFERENCES platform,
    id uuid NOT NULL,
    name text,
    email text,
    phone text,
    PRIMARY KEY (platform_id, id)
);
CREATE INDEX person_by_email ON person (platform_id, lower(email)) WHERE email IS NOT NULL;

CREATE TABLE session (
    platform_id uuid NOT NULL REFERENCES platform,
    id uuid NOT NULL,
    hash bytea NOT NULL UNIQUE,
    level text NOT NULL DEFAULT 'anonymous' CHECK (level IN ('anonymous', 'claimed', 'verified', 'strong')),
    person_email text,                   -- the address that a code proved; cleared with the session
    only_pass uuid,                      -- set when the proven address is a holder's: that pass alone
    level_until timestamptz,             -- when `level` falls back to claimed
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (platform_id, id)
);

CREATE TABLE one_time_code (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    hash bytea NOT NULL,                 -- keyed hash: six digits alone could be searched
    email text,                          -- the address it went to; null where there was nobody to write to
    tries_left int NOT NULL DEFAULT 5,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, session_id) REFERENCES session (platform_id, id)
);
CREATE INDEX one_time_code_by_session ON one_time_code (platform_id, session_id, expires_at DESC);

CREATE TABLE rate (
    platform_id uuid NOT NULL REFERENCES platform,
    bucket text NOT NULL,                -- hashed where it names an address
    window_start timestamptz NOT NULL,
    used int NOT NULL,
    PRIMARY KEY (platform_id, bucket, window_start)
);

CREATE TABLE idempotency (
    platform_id uuid NOT NULL REFERENCES platform,
    caller text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    resource_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, caller, method, path, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- Every change of policy, cap, key, mode and brake, and every view of a customer by people: who and why.
CREATE TABLE audit (
    platform_id uuid NOT NULL REFERENCES platform,
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    what text NOT NULL,
    why text NOT NULL DEFAULT '',
    data jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (platform_id, id)
);

-- ------------------------------------------------------------------------------------- shows and orders

CREATE TABLE show (
    platform_id uuid NOT NULL REFERENCES platform,
    id uuid NOT NULL,
    ref text NOT NULL,
    version bigint NOT NULL,
    name jsonb NOT NULL,                 -- language -> name
    zone text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    status text NOT NULL CHECK (status IN ('scheduled', 'cancelled', 'postponed')),
    settings jsonb NOT NULL DEFAULT '{}', -- modes, caps, parameters, articles
    PRIMARY KEY (platform_id, id),
    UNIQUE (platform_id, ref)
);

CREATE TABLE incident (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    show_id uuid NOT NULL,
    ref text NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz CHECK (ends_at >= starts_at),
    scope jsonb NOT NULL DEFAULT '{}',   -- position kinds, regions, devices; empty: everything that streams
    PRIMARY KEY (platform_id, id),
    UNIQUE (platform_id, show_id, ref),
    FOREIGN KEY (platform_id, show_id) REFERENCES show (platform_id, id)
);

CREATE TABLE orders (
    platform_id uuid NOT NULL REFERENCES platform,
    id uuid NOT NULL,
    ref text NOT NULL,
    version bigint NOT NULL,             -- the platform's; an older one never replaces a newer
    seq bigint NOT NULL DEFAULT 0,       -- order_seq: counts the facts told of this order, under its row lock
    status text NOT NULL CHECK (status IN ('paid', 'pending', 'expired', 'cancelled')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total bigint NOT NULL CHECK (total >= 0),
    buyer_id uuid NOT NULL,
    customer_ref text,                   -- the platform's own customer id: `sub` of its JWT
    locale text NOT NULL DEFAULT 'en',
    placed_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    body_hash bytea NOT NULL,            -- of the feed's document: the same again changes nothing
    PRIMARY KEY (platform_id, id),
    UNIQUE (platform_id, ref),
    FOREIGN KEY (platform_id, buyer_id) REFERENCES person (platform_id, id)
);
CREATE INDEX orders_by_buyer ON orders (platform_id, buyer_id);
CREATE INDEX orders_by_customer ON orders (platform_id, customer_ref) WHERE customer_ref IS NOT NULL;

-- A line of an order: a position or a fee. `awarded` is what was ever promised back for it, over all causes together.
CREATE TABLE line (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    ref text NOT NULL,
    type text NOT NULL CHECK (type IN ('position', 'fee')),
    kind text NOT NULL CHECK (kind IN ('stream', 'venue', 'merchandise', 'other', 'fee')),
    name text NOT NULL,
    holder_id uuid,
    price bigint NOT NULL CHECK (price >= 0),     -- gross, minor units: what was paid for it
    tax bigint NOT NULL DEFAULT 0,
    discount bigint NOT NULL DEFAULT 0,
    canceled boolean NOT NULL DEFAULT false,
    refundable boolean NOT NULL DEFAULT true,     -- fees: some are not
    awarded bigint NOT NULL DEFAULT 0 CHECK (awarded >= 0),
    PRIMARY KEY (platform_id, id),
    UNIQUE (platform_id, order_id, type, ref),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id),
    FOREIGN KEY (platform_id, holder_id) REFERENCES person (platform_id, id),
    CHECK (awarded <= price)
);
CREATE INDEX line_by_holder ON line (platform_id, holder_id) WHERE holder_id IS NOT NULL;

CREATE TABLE line_show (
    platform_id uuid NOT NULL,
    line_id uuid NOT NULL,
    show_id uuid NOT NULL,
    PRIMARY KEY (platform_id, line_id, show_id),
    FOREIGN KEY (platform_id, line_id) REFERENCES line (platform_id, id),
    FOREIGN KEY (platform_id, show_id) REFERENCES show (platform_id, id)
);

CREATE TABLE payment (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    ref text NOT NULL,
    rail text,                           -- null: taken outside every rail, people refund it
    provider_ref text,
    status text NOT NULL CHECK (status IN ('pending', 'confirmed', 'failed', 'cancelled')),
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    captured bigint NOT NULL CHECK (captured >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    refunded bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    refunded_elsewhere bigint NOT NULL DEFAULT 0 CHECK (refunded_elsewhere >= 0),
    dispute text NOT NULL DEFAULT 'none' CHECK (dispute IN ('none', 'open', 'won', 'lost')),
    method text NOT NULL DEFAULT '',     -- what a customer recognises: "Visa ·· 4242"
    paid_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id),
    UNIQUE (platform_id, order_id, ref),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id),
    CHECK (refunded + reserved <= captured)
);
CREATE INDEX payment_by_provider_ref ON payment (platform_id, rail, provider_ref);

-- A refund that others made: counted once in refunded_elsewhere, until it is read as failed.
CREATE TABLE refund_elsewhere (
    platform_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    ref text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    state text NOT NULL CHECK (state IN ('created', 'transit', 'done', 'failed')),
    PRIMARY KEY (platform_id, payment_id, ref),
    FOREIGN KEY (platform_id, payment_id) REFERENCES payment (platform_id, id)
);

CREATE TABLE pass (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    line_id uuid NOT NULL,
    issuer text NOT NULL CHECK (issuer IN ('platform', 'makegood')),
    status text NOT NULL CHECK (status IN ('valid', 'pending', 'void')), -- pending: made, not yet confirmed by its issuer
    barcode text NOT NULL,
    checked_in_at timestamptz,
    replaces uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id),
    UNIQUE (platform_id, barcode),
    FOREIGN KEY (platform_id, line_id) REFERENCES line (platform_id, id),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id)
);
CREATE INDEX pass_by_order ON pass (platform_id, order_id);
CREATE INDEX pass_by_line ON pass (platform_id, line_id);
CREATE UNIQUE INDEX one_valid_pass_a_line ON pass (platform_id, line_id) WHERE status = 'valid';

CREATE TABLE access_token (
    platform_id uuid NOT NULL,
    jti uuid NOT NULL,
    pass_id uuid NOT NULL,
    show_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'suspended', 'revoked')),
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    PRIMARY KEY (platform_id, jti),
    FOREIGN KEY (platform_id, pass_id) REFERENCES pass (platform_id, id),
    FOREIGN KEY (platform_id, show_id) REFERENCES show (platform_id, id)
);
CREATE INDEX access_token_by_pass ON access_token (platform_id, pass_id) WHERE state <> 'revoked';

-- What is known of an order, in the order in which it was learnt; copied to the timeline of every open case of the order.
CREATE TABLE order_fact (
    platform_id uuid NOT NULL,
    order_id uuid NOT NULL,
    seq bigint NOT NULL,
    happened_at timestamptz NOT NULL,
    source text NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (platform_id, order_id, seq),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id)
);

-- ------------------------------------------------------------------------------------------------ cases

CREATE TABLE cases (
    platform_id uuid NOT NULL REFERENCES platform,
    id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'resolved', 'denied', 'joined', 'closed')),
    problem text NOT NULL,
    show_id uuid,
    order_id uuid,                       -- set only once the customer is verified for it
    claimed_order text,
    session_id uuid,                     -- whose it is while nobody is verified
    requester text NOT NULL CHECK (requester IN ('buyer', 'holder', 'platform', 'agent', 'nobody')),
    identity text NOT NULL CHECK (identity IN ('anonymous', 'claimed', 'verified', 'strong')),
    channel text NOT NULL,
    locale text NOT NULL,
    incident_ref text,
    answers jsonb NOT NULL DEFAULT '{}', -- fact -> what the customer answered
    owner text CHECK (owner IN ('process', 'agent', 'operation', 'timer', 'queue')),
    agent_id uuid,
    due_at timestamptz,
    lease_epoch bigint NOT NULL DEFAULT 0,
    outcome text,                        -- of the newest decision
    decision_id uuid,
    wait_for text,                       -- what a `wait` is parked on, or `identity` / a fact for an `ask`
    wait_ref text,
    wait_until timestamptz,              -- when patience ends
    skill text,
    priority int NOT NULL DEFAULT 2,     -- 0 first
    queued_at timestamptz,
    acknowledged_at timestamptz,
    ended_at timestamptz,
    joined_to uuid,
    version bigint NOT NULL DEFAULT 1,
    timeline_seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, show_id) REFERENCES show (platform_id, id),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id),
    FOREIGN KEY (platform_id, session_id) REFERENCES session (platform_id, id),
    FOREIGN KEY (platform_id, agent_id) REFERENCES agent (platform_id, id),
    FOREIGN KEY (platform_id, joined_to) REFERENCES cases (platform_id, id),
    CONSTRAINT an_open_case_has_an_owner_and_a_due_time CHECK (state <> 'open' OR (owner IS NOT NULL AND due_at IS NOT NULL)),
    CONSTRAINT an_ended_case_has_neither CHECK (state = 'open' OR (owner IS NULL AND due_at IS NULL)),
    CONSTRAINT a_queued_case_names_a_skill CHECK (owner IS DISTINCT FROM 'queue' OR skill IS NOT NULL),
    CONSTRAINT an_agents_case_names_the_agent CHECK ((owner IS NOT DISTINCT FROM 'agent') = (agent_id IS NOT NULL))
);
CREATE INDEX cases_due ON cases (due_at) WHERE state = 'open';
CREATE INDEX cases_queued ON cases (platform_id, skill, priority, queued_at) WHERE owner = 'queue';
CREATE INDEX cases_by_order ON cases (platform_id, order_id, created_at);
CREATE INDEX cases_waiting ON cases (platform_id, show_id, wait_for) WHERE owner = 'timer';
CREATE INDEX cases_by_session ON cases (platform_id, session_id) WHERE session_id IS NOT NULL;

CREATE TABLE case_subject (
    platform_id uuid NOT NULL,
    case_id uuid NOT NULL,
    order_id uuid NOT NULL,
    pass_id uuid,
    problem text NOT NULL,
    open boolean NOT NULL DEFAULT true,
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id),
    FOREIGN KEY (platform_id, pass_id) REFERENCES pass (platform_id, id)
);
CREATE UNIQUE INDEX one_open_case_a_subject ON case_subject (platform_id, order_id, pass_id, problem) NULLS NOT DISTINCT WHERE open;
CREATE INDEX case_subject_by_case ON case_subject (platform_id, case_id);

CREATE TABLE contact (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    case_id uuid NOT NULL,               -- where it counts now; moves when its case joins another
    channel text NOT NULL,
    caller text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id)
);
CREATE INDEX contact_by_case ON contact (platform_id, case_id);

-- Free text, apart from the timeline so that it can be erased: a customer's words, an agent's reply, a note that never leaves.
CREATE TABLE message (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    case_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('customer', 'reply', 'note')),
    author text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id)
);
CREATE INDEX message_by_case ON message (platform_id, case_id, created_at);

CREATE TABLE decision (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    case_id uuid NOT NULL,
    outcome text NOT NULL,
    verdicts jsonb NOT NULL,             -- per subject: verdict with rule and pack hash, facts, parameters
    guards jsonb NOT NULL DEFAULT '[]',  -- what stood in the way of acting at once
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id)
);
CREATE INDEX decision_by_case ON decision (platform_id, case_id, created_at);

CREATE TABLE timeline (
    platform_id uuid NOT NULL,
    case_id uuid NOT NULL,
    seq bigint NOT NULL,
    happened_at timestamptz NOT NULL,
    source text NOT NULL,
    actor text NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (platform_id, case_id, seq),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id)
);

-- ------------------------------------------------------------------------------------------------ money

-- One cause on one line of an order: paid once. `payment` is set only for duplicate_charge and no_pass, and then `line` is null.
CREATE TABLE harm (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    line_id uuid,
    payment_id uuid,
    cause text NOT NULL,
    awarded bigint NOT NULL DEFAULT 0 CHECK (awarded >= 0),
    PRIMARY KEY (platform_id, id),
    UNIQUE NULLS NOT DISTINCT (platform_id, order_id, line_id, payment_id, cause),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id),
    FOREIGN KEY (platform_id, line_id) REFERENCES line (platform_id, id),
    FOREIGN KEY (platform_id, payment_id) REFERENCES payment (platform_id, id),
    CHECK (line_id IS NULL OR payment_id IS NULL)
);

CREATE TABLE operation (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    case_id uuid NOT NULL,
    order_id uuid NOT NULL,
    decision_id uuid,
    action text NOT NULL CHECK (action IN ('refund', 'reissue_access', 'resend_pass', 'replace_pass', 'void_pass', 'goodwill_credit')),
    state text NOT NULL CHECK (state IN ('HELD', 'READY', 'SENT', 'NEEDS_REVIEW', 'CHOICE_NEEDED', 'DONE', 'REFUSED', 'FAILED')),
    rail text,                           -- a refund rail, `mail`, `issuer`, or null: people settle it
    payment_id uuid,
    pass_id uuid,
    amount bigint CHECK (amount > 0),
    currency text,
    reason text NOT NULL DEFAULT '',     -- the cause of a refund
    holds text[] NOT NULL DEFAULT '{}',  -- why it is HELD: mode, amount, cap, dispute, outside, second_person
    approvals_needed int NOT NULL DEFAULT 0,
    priority int NOT NULL DEFAULT 1,     -- 0 interactive, 1 background, 2 bulk
    due_at timestamptz,
    lease_epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    result jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id),
    FOREIGN KEY (platform_id, payment_id) REFERENCES payment (platform_id, id),
    FOREIGN KEY (platform_id, pass_id) REFERENCES pass (platform_id, id),
    CONSTRAINT an_operation_under_way_has_a_due_time
        CHECK ((state IN ('DONE', 'REFUSED', 'FAILED')) OR due_at IS NOT NULL),
    CONSTRAINT a_refund_has_an_amount_and_a_payment
        CHECK (action <> 'refund' OR (amount IS NOT NULL AND currency IS NOT NULL AND payment_id IS NOT NULL))
);
CREATE INDEX operation_due ON operation (priority, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX operation_by_case ON operation (platform_id, case_id);
CREATE INDEX operation_by_order ON operation (platform_id, order_id);
CREATE UNIQUE INDEX one_open_operation_a_pass_and_action ON operation (platform_id, pass_id, action)
    WHERE pass_id IS NOT NULL AND state NOT IN ('DONE', 'REFUSED', 'FAILED');

-- Which harm and line each part of a refund answers for.
CREATE TABLE operation_part (
    platform_id uuid NOT NULL,
    operation_id uuid NOT NULL,
    harm_id uuid NOT NULL,
    line_id uuid,
    amount bigint NOT NULL CHECK (amount > 0),
    PRIMARY KEY (platform_id, operation_id, harm_id),
    FOREIGN KEY (platform_id, operation_id) REFERENCES operation (platform_id, id),
    FOREIGN KEY (platform_id, harm_id) REFERENCES harm (platform_id, id),
    FOREIGN KEY (platform_id, line_id) REFERENCES line (platform_id, id)
);
CREATE INDEX operation_part_by_harm ON operation_part (platform_id, harm_id);
CREATE INDEX operation_part_by_line ON operation_part (platform_id, line_id);

CREATE TABLE approval (
    platform_id uuid NOT NULL,
    operation_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, operation_id, agent_id),
    FOREIGN KEY (platform_id, operation_id) REFERENCES operation (platform_id, id),
    FOREIGN KEY (platform_id, agent_id) REFERENCES agent (platform_id, id)
);

CREATE TABLE attempt (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    operation_id uuid NOT NULL,
    seq int NOT NULL,
    rail text NOT NULL,
    key text NOT NULL UNIQUE,
    request jsonb NOT NULL,
    state text NOT NULL CHECK (state IN
        ('PREPARED', 'UNKNOWN', 'ACCEPTED', 'SUCCEEDED', 'NEEDS_REVIEW', 'REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT')),
    provider_ref text,
    failure text,
    first_sent_at timestamptz,
    key_expires_at timestamptz,
    PRIMARY KEY (platform_id, id),
    UNIQUE (platform_id, operation_id, seq),
    FOREIGN KEY (platform_id, operation_id) REFERENCES operation (platform_id, id)
);
-- It lists what is dead: every other state, NEEDS_REVIEW and SUCCEEDED included, blocks a second rail.
CREATE UNIQUE INDEX one_live_attempt ON attempt (platform_id, operation_id)
    WHERE state NOT IN ('REJECTED', 'FAILED', 'CANCELED', 'CLOSED_NOT_SENT');

CREATE TABLE try (
    platform_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    seq int NOT NULL,
    lease_epoch bigint NOT NULL,
    started_at timestamptz NOT NULL,
    result text CHECK (result IN ('NOT_SENT', 'UNKNOWN', 'ANSWERED')),
    detail text NOT NULL DEFAULT '',
    ended_at timestamptz,
    PRIMARY KEY (platform_id, attempt_id, seq),
    FOREIGN KEY (platform_id, attempt_id) REFERENCES attempt (platform_id, id)
);

-- The books: every movement is one row, balanced by its shape, and never changed.
CREATE TABLE book (
    platform_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    debit text NOT NULL,
    credit text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    payment_id uuid NOT NULL,
    operation_id uuid,
    attempt_id uuid,
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, payment_id) REFERENCES payment (platform_id, id),
    FOREIGN KEY (platform_id, operation_id) REFERENCES operation (platform_id, id),
    CHECK (debit <> credit)
);
CREATE INDEX book_by_payment ON book (platform_id, payment_id);

-- Caps: how much may go out per customer, rail or show in a window. Shared ones have 16 rows, so that writers seldom meet.
CREATE TABLE cap_use (
    platform_id uuid NOT NULL REFERENCES platform,
    kind text NOT NULL CHECK (kind IN ('customer_day', 'rail_day', 'show_hour')),
    ref text NOT NULL,
    currency text NOT NULL,
    window_start timestamptz NOT NULL,
    slot int NOT NULL,
    used bigint NOT NULL CHECK (used >= 0),
    most bigint NOT NULL,
    PRIMARY KEY (platform_id, kind, ref, currency, window_start, slot),
    CHECK (used <= most)
);

-- Brakes: nothing new is sent while a row here matches. scope: all, action, rail, show.
CREATE TABLE brake (
    platform_id uuid NOT NULL REFERENCES platform,
    scope text NOT NULL CHECK (scope IN ('all', 'action', 'rail', 'show')),
    ref text NOT NULL DEFAULT '',
    reason text NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, scope, ref)
);

-- What the platform is told, written in the transaction of the fact. `position` is given later, by one sequencer at a time.
CREATE TABLE outbox (
    platform_id uuid NOT NULL REFERENCES platform,
    id bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    order_id uuid,
    order_seq bigint,
    type text NOT NULL,
    data jsonb NOT NULL,
    position bigint,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (platform_id, id)
);
CREATE UNIQUE INDEX outbox_by_position ON outbox (platform_id, position) WHERE position IS NOT NULL;
CREATE INDEX outbox_unplaced ON outbox (xid, id) WHERE position IS NULL;
