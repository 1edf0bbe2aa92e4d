-- Cases that another team has to judge: moderation, or fraud. Handed over as a deed, with evidence, and with an answer that comes back.

CREATE TABLE referral (
    platform_id uuid NOT NULL,
    id uuid NOT NULL,
    case_id uuid NOT NULL,
    order_id uuid,                       -- the case's when it was asked: whose money and passes wait
    team text NOT NULL CHECK (team IN ('moderation', 'fraud')),
    reason text NOT NULL,                -- a word of the contract: chargeback_risk, pass_sharing, scalping, abuse, threat, …
    question text NOT NULL,
    evidence jsonb NOT NULL,             -- [{kind, ref, words}]
    holds boolean NOT NULL,              -- money and passes of the order were to wait for the answer
    holding boolean NOT NULL,            -- and they do still: until it is cleared, confirmed or withdrawn, or asked again
    asked_by text NOT NULL,
    agent_id uuid,
    state text NOT NULL CHECK (state IN ('open', 'cleared', 'confirmed', 'need_more', 'withdrawn')),
    answer jsonb,                        -- {words, by, reference}
    created_at timestamptz NOT NULL,
    answer_by timestamptz NOT NULL,      -- later, the case comes back to people without an answer; money waits on
    answered_at timestamptz,
    overdue_at timestamptz,              -- when people were told that nobody had answered in time
    PRIMARY KEY (platform_id, id),
    FOREIGN KEY (platform_id, case_id) REFERENCES cases (platform_id, id),
    FOREIGN KEY (platform_id, order_id) REFERENCES orders (platform_id, id),
    FOREIGN KEY (platform_id, agent_id) REFERENCES agent (platform_id, id),
    CONSTRAINT what_is_judged_holds_nothing CHECK (NOT holding OR state IN ('open', 'need_more'))
);
CREATE UNIQUE INDEX one_open_referral_a_case_and_team ON referral (platform_id, case_id, team) WHERE state = 'open';
CREATE INDEX referral_by_case ON referral (platform_id, case_id);
CREATE INDEX referral_by_order ON referral (platform_id, order_id) WHERE order_id IS NOT NULL;
CREATE INDEX referral_by_agent ON referral (platform_id, agent_id);
CREATE INDEX referral_open ON referral (platform_id, created_at) WHERE state = 'open';
CREATE INDEX referral_due ON referral (answer_by) WHERE state = 'open' AND overdue_at IS NULL;
CREATE INDEX referral_listed ON referral (platform_id, created_at DESC, id);
-- What every movement that is about to be readied looks at: nearly always empty.
CREATE INDEX referral_holds_case ON referral (platform_id, case_id) WHERE holding;
CREATE INDEX referral_holds_order ON referral (platform_id, order_id) WHERE holding;

-- A case ends by case_end(), and is given on by case_give().
DROP FUNCTION IF EXISTS case_leave(uuid, uuid, uuid, text, text, jsonb, jsonb);
