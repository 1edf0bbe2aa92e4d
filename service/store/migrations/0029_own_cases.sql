-- Cases that nobody but the installation itself has opened: a second alarm finds the first one's, whoever it was given to meanwhile.
CREATE INDEX cases_of_our_own ON cases (platform_id, id) WHERE state = 'open' AND opened_by IS NULL;
DROP INDEX cases_of_operations;
