-- Users whom the operator made, or gave their password: not whoever had the name first. It has no number, for the
-- release before starts with no database that has a migration it does not know.
CREATE TABLE IF NOT EXISTS made_by_operator (
    -- Goes with the user, whoever removes it: the name may be a stranger's afterwards.
    username TEXT PRIMARY KEY NOT NULL COLLATE BINARY REFERENCES users (username) ON DELETE CASCADE
) STRICT;
