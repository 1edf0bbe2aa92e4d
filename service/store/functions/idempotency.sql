-- Which key of a client already made which resource.

-- Takes a key for what is about to be made, in the transaction that makes it, and before any row of it is locked. Null: it may be made now.
-- Else what the key made: {status: repeat|mismatch, resource}. p_once: {caller, method, path, key, body_hash}.
-- A concurrent request with the same key waits here until that transaction is over: then it gets what was made, or makes it itself.
CREATE OR REPLACE FUNCTION key_take(p_platform uuid, p_once jsonb, p_resource uuid, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO idempotency (platform_id, caller, method, path, key, body_hash, resource_id, created_at)
    VALUES (p_platform, p_once->>'caller', p_once->>'method', p_once->>'path', p_once->>'key', decode(p_once->>'body_hash', 'hex'), p_resource, p_now)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN RETURN NULL; END IF;
    RETURN (SELECT jsonb_build_object('status', CASE WHEN body_hash = decode(p_once->>'body_hash', 'hex') THEN 'repeat' ELSE 'mismatch' END,
                                      'resource', resource_id)
            FROM idempotency WHERE platform_id = p_platform AND caller = p_once->>'caller' AND method = p_once->>'method'
            AND path = p_once->>'path' AND key = p_once->>'key');
END $$;
