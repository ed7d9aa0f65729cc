-- The release before knows none of these columns: it lets inactive users in, and its rows get these defaults.
ALTER TABLE identity.users
    ADD COLUMN active BOOLEAN NOT NULL DEFAULT TRUE,
    -- How often all sessions of the user were ended.
    ADD COLUMN session_epoch BIGINT NOT NULL DEFAULT 0,
    -- In microseconds since 1970. Nobody knows when those registered who are here already.
    ADD COLUMN created_at BIGINT NOT NULL DEFAULT CAST(extract(EPOCH FROM now()) * 1000000 AS BIGINT);

-- Each login that asked for a refresh token, until it has ended.
CREATE TABLE identity.sessions (
    -- A digest of the half that all refresh tokens of the session have in common.
    id TEXT COLLATE "C" PRIMARY KEY,
    username TEXT COLLATE "C" NOT NULL REFERENCES identity.users (username) ON DELETE CASCADE,
    -- The session has ended if that of the user is another one.
    session_epoch BIGINT NOT NULL,
    -- In microseconds since 1970.
    used_at BIGINT NOT NULL,
    -- A digest of the newest refresh token.
    newest TEXT NOT NULL,
    -- Those before it that are still good, as JSON.
    used TEXT NOT NULL
);
CREATE INDEX sessions_of_user ON identity.sessions (username, used_at);
CREATE INDEX sessions_by_use ON identity.sessions (used_at);
