-- also applied as c597b70871a3b5034924367456c84744debe808c247ffe06bb305cc3ebe9ac43 (with the functions that are in functions/ now)
-- What the platform's feed says of orders, shows and incidents, taken in by one function each.
--
-- Two hands write some columns: the feed and we (a pass that we replaced, a dispute that a webhook told us of). For those we keep what the feed
-- said last, and the feed changes our row only where it now says something else than before. So a feed that merely repeats itself, or that has not
-- heard of our change yet, never takes the change back.

ALTER TABLE line ADD COLUMN fed_pass jsonb;            -- what the feed last said of this line's pass: barcode, status, checked_in_at
ALTER TABLE payment ADD COLUMN fed_dispute text;       -- what the feed last said of a dispute
ALTER TABLE payment ADD COLUMN disputed bigint;        -- how much of it is disputed, where somebody said so
ALTER TABLE refund_elsewhere ADD COLUMN provider_ref text;
ALTER TABLE refund_elsewhere ADD COLUMN happened_at timestamptz;
ALTER TABLE refund_elsewhere ADD COLUMN operation_id uuid; -- ours, told back to us: counted in payment.refunded or reserved already
ALTER TABLE refund_elsewhere ADD FOREIGN KEY (platform_id, operation_id) REFERENCES operation (platform_id, id);
CREATE UNIQUE INDEX one_echo_an_operation ON refund_elsewhere (platform_id, operation_id) WHERE operation_id IS NOT NULL;
CREATE INDEX attempt_by_provider_ref ON attempt (platform_id, provider_ref) WHERE provider_ref IS NOT NULL;
CREATE INDEX line_show_by_show ON line_show (platform_id, show_id);
