-- What customers ask for before they open a case, and what their player said.

-- what the customer's own player told: {error, device, system, app_version, network, browser}; nothing that says who they are
ALTER TABLE cases ADD COLUMN player jsonb;

-- Cases of whoever came with a platform's JWT, which is no session of ours.
CREATE INDEX cases_by_opener ON cases (platform_id, opened_by, created_at) WHERE session_id IS NULL AND opened_by LIKE 'customer:%';

-- Whether a ticket ever had a link: those that live have an index of their own.
CREATE INDEX access_token_revoked ON access_token (platform_id, pass_id) WHERE state = 'revoked';
