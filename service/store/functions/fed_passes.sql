-- What the platform's feed says of passes.

CREATE OR REPLACE FUNCTION pass_void(p uuid, dead uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pass SET status = 'void' WHERE platform_id = p AND id = dead;
    UPDATE access_token SET state = 'revoked', revoked_at = app_now() WHERE platform_id = p AND pass_id = dead AND state <> 'revoked';
END $$;

-- A line's pass as the feed says it: {id, issuer, barcode, status, checked_in_at}. `fed` is what the feed said before. The cases:
--   a barcode this line never had       the platform made a new pass: it holds, and the one that held before is void and its tokens revoked
--   the barcode it always said          nothing, also when we have replaced that pass since: the feed has not heard of it
--   the barcode of our replacement      the platform has heard of it: nothing, or what it says of status and check-in
--   back to a barcode that is void      a stale copy: not applied while another pass holds, and a fact
--   void where it said valid            that pass is void; where the whole line is cancelled, every pass of it
--   valid where it said void            the line's newest pass holds again, unless what was paid for the line has gone back
-- A pass that is `pending` (a replacement under way) is left to its operation.
CREATE OR REPLACE FUNCTION order_pass_put(p uuid, of_line uuid, said jsonb, fed jsonb, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    its record; -- `line` is a type of PostgreSQL's own, too: a variable of it is lost as soon as statistics of the table are new
    about jsonb;
    named pass;
    holds pass;
    newest pass;
    facts jsonb := '[]';
    gone boolean;                        -- what was paid for it is back with the customer: a ticket that comes now admits nobody
BEGIN
    SELECT * INTO its FROM line WHERE platform_id = p AND id = of_line;
    gone := (its.price > 0 AND its.awarded >= its.price) OR order_money_is_gone(p, its.order_id);
    about := jsonb_build_object('position', its.ref);
    SELECT * INTO named FROM pass WHERE platform_id = p AND line_id = of_line AND barcode = said->>'barcode';
    SELECT * INTO holds FROM pass WHERE platform_id = p AND line_id = of_line AND status = 'valid';
    SELECT * INTO newest FROM pass WHERE platform_id = p AND line_id = of_line ORDER BY created_at DESC, id DESC LIMIT 1;
    IF named.id IS NULL THEN
        IF holds.id IS NOT NULL THEN
            PERFORM pass_void(p, holds.id);
        END IF;
        INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, replaces, created_at)
        VALUES (p, (said->>'id')::uuid, its.order_id, of_line, said->>'issuer', CASE WHEN gone THEN 'void' ELSE said->>'status' END,
                said->>'barcode', newest.id, learnt_at)
        RETURNING * INTO named;
        IF gone AND said->>'status' = 'valid' THEN
            facts := facts || fact_of('pass_disagrees', learnt_at, about || jsonb_build_object('pass_id', named.id, 'because', 'refunded'));
        END IF;
        IF newest.id IS NOT NULL THEN
            facts := facts || fact_of('pass_replaced', learnt_at, about || jsonb_build_object('pass_id', named.id, 'replaces', newest.id));
        END IF;
    ELSIF fed->>'barcode' IS DISTINCT FROM said->>'barcode' AND named.status = 'void' AND holds.id IS NOT NULL THEN
        facts := facts || fact_of('pass_disagrees', learnt_at, about || jsonb_build_object('pass_id', holds.id, 'said', named.id));
    ELSIF said->>'status' = 'void' AND fed->>'status' IS DISTINCT FROM 'void' AND named.status = 'valid' THEN
        PERFORM pass_void(p, named.id);
        facts := facts || fact_of('pass_voided', learnt_at, about || jsonb_build_object('pass_id', named.id));
    ELSIF said->>'status' = 'valid' AND fed->>'status' = 'void' AND holds.id IS NULL AND newest.status = 'void' AND gone THEN
        facts := facts || fact_of('pass_disagrees', learnt_at, about || jsonb_build_object('pass_id', newest.id, 'because', 'refunded'));
    ELSIF said->>'status' = 'valid' AND fed->>'status' = 'void' AND holds.id IS NULL AND newest.status = 'void' THEN
        UPDATE pass SET status = 'valid' WHERE platform_id = p AND id = newest.id;
        facts := facts || fact_of('pass_restored', learnt_at, about || jsonb_build_object('pass_id', newest.id));
    END IF;
    IF (said->>'checked_in_at')::timestamptz IS DISTINCT FROM (fed->>'checked_in_at')::timestamptz THEN
        UPDATE pass SET checked_in_at = (said->>'checked_in_at')::timestamptz WHERE platform_id = p AND id = named.id;
        facts := facts || fact_of(CASE WHEN said->>'checked_in_at' IS NULL THEN 'pass_check_in_undone' ELSE 'pass_checked_in' END,
            coalesce((said->>'checked_in_at')::timestamptz, learnt_at), about || jsonb_build_object('pass_id', named.id));
    END IF;
    RETURN facts;
END $$;

-- Every pass of a line that no longer admits anybody.
CREATE OR REPLACE FUNCTION order_line_withdrawn(p uuid, of_line uuid, position_ref text, learnt_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    dead pass;
    facts jsonb := '[]';
BEGIN
    FOR dead IN SELECT * FROM pass WHERE platform_id = p AND line_id = of_line AND status = 'valid' LOOP
        PERFORM pass_void(p, dead.id);
        facts := facts || fact_of('pass_voided', learnt_at, jsonb_build_object('position', position_ref, 'pass_id', dead.id));
    END LOOP;
    RETURN facts;
END $$;
