-- also applied as 36ebf8c9b1212c1500896503679af1cd0449e644f2dfc2586214a7b2af8c4be8 (with the functions that are in functions/ now)
-- Telling customers by mail, and stopping what must not go out.

-- Cases whose customer has news to be told by mail: what the sweep reads each second.
CREATE INDEX cases_to_tell ON cases (platform_id, id) WHERE tell AND (state <> 'open' OR owner IN ('timer', 'queue'));

CREATE INDEX cases_of_operations ON cases (platform_id, id) WHERE state = 'open' AND skill = 'operations';
