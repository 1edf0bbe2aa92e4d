-- Whose a charge is: on one rail a provider's reference belongs to one platform, the first that fed it. A rail is the installation's, and its
-- processor knows nothing of platforms: without this, one platform could name another's charge as its own order's, and have it refunded.
CREATE TABLE charge_owner (
    rail text NOT NULL,
    provider_ref text NOT NULL,
    platform_id uuid NOT NULL REFERENCES platform,
    PRIMARY KEY (rail, provider_ref)
);

-- Of several platforms that named one charge, the one that we heard it from first (ids are in the order of their making; the times in the row
-- are the feed's own): the refunds of the others go to people.
INSERT INTO charge_owner (rail, provider_ref, platform_id)
SELECT DISTINCT ON (rail, provider_ref) rail, provider_ref, platform_id FROM payment
WHERE rail IS NOT NULL AND provider_ref IS NOT NULL ORDER BY rail, provider_ref, id;
