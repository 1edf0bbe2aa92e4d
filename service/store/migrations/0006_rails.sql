-- Rails that take over, what customers choose, and what processors tell us.

-- A customer's answer to "where should it go?": the address is a person's, so it lives in `person` and nowhere else.
ALTER TABLE operation ADD COLUMN destination_id uuid;
ALTER TABLE operation ADD FOREIGN KEY (platform_id, destination_id) REFERENCES person (platform_id, id);
ALTER TABLE operation ADD COLUMN choice_offered_at timestamptz;   -- the customer may choose another way, though the first is still tried
ALTER TABLE operation ADD COLUMN fell_over_from text;             -- the rail that proved it cannot, or could not be reached
ALTER TABLE operation ADD COLUMN proved_at timestamptz;            -- when that was last read at the processor itself
ALTER TABLE operation ADD COLUMN paused_state text;               -- what a dispute's hold has interrupted

ALTER TABLE attempt ADD COLUMN succeeded_at timestamptz;
ALTER TABLE attempt ADD COLUMN read_again_at timestamptz;         -- the next slow look: late failures, and first rails that were given up
ALTER TABLE attempt ADD COLUMN people_told_at timestamptz;        -- of a key about to run out, or an acceptance without an end
CREATE INDEX attempt_to_read_again ON attempt (read_again_at) WHERE read_again_at IS NOT NULL;
CREATE INDEX attempt_by_rail_and_ref ON attempt (rail, provider_ref) WHERE provider_ref IS NOT NULL;
CREATE INDEX payment_by_rail_and_ref ON payment (rail, provider_ref) WHERE provider_ref IS NOT NULL;

ALTER TABLE payment ADD COLUMN read_at timestamptz;               -- when the processor last told us of it
ALTER TABLE payment ADD COLUMN read_clean boolean;                -- and neither a dispute nor a refund that is not ours was there
ALTER TABLE payment ADD COLUMN warning text;                      -- the bank's warning of fraud, by its reference

ALTER TABLE operation DROP CONSTRAINT operation_action_check;
ALTER TABLE operation ADD CONSTRAINT operation_action_check
    CHECK (action IN ('refund', 'reissue_access', 'resend_pass', 'replace_pass', 'void_pass', 'goodwill_credit', 'cancel_payment'));

-- Functions of other arguments, replaced by those in functions/.
DROP FUNCTION IF EXISTS operation_begin(uuid, uuid, bigint, uuid, double precision, double precision);
DROP FUNCTION IF EXISTS book_move(uuid, operation, uuid, text, text, timestamptz);
DROP FUNCTION IF EXISTS operation_settle(uuid, uuid, uuid, text, text);
DROP FUNCTION IF EXISTS operations_claim(int, double precision);

-- One order may admit to several shows: what went wrong at one is no news of the other.
ALTER TABLE case_subject ADD COLUMN show_id uuid;
UPDATE case_subject s SET show_id = c.show_id FROM cases c WHERE c.platform_id = s.platform_id AND c.id = s.case_id;
ALTER TABLE case_subject ADD FOREIGN KEY (platform_id, show_id) REFERENCES show (platform_id, id);
DROP INDEX one_open_case_a_subject;
CREATE UNIQUE INDEX one_open_case_a_subject ON case_subject (platform_id, order_id, show_id, pass_id, problem) NULLS NOT DISTINCT WHERE open;
