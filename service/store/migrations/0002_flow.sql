-- also applied as dfd841a6845bf18f8773e283302e2554a3f23da499e2d2d204b7ef687b0890d7 (with the functions that are in functions/ now)
-- What the flow keeps with a case and with an operation.

ALTER TABLE cases ADD COLUMN rest jsonb;               -- what becomes of the case when its operations have ended well
ALTER TABLE cases ADD COLUMN tell boolean NOT NULL DEFAULT false; -- the customer is not waiting on a request: tell by mail
ALTER TABLE cases ADD COLUMN opened_by text;          -- the caller who may look at it before anybody is verified
ALTER TABLE operation ADD COLUMN accepted_at timestamptz;         -- the processor took it: what the customer is told is "sent"

CREATE INDEX cases_claiming ON cases (platform_id, claimed_order) WHERE order_id IS NULL AND state = 'open';
