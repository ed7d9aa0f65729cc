-- The release before knows neither column: it lets inactive users in, and its rows get these defaults.
ALTER TABLE users ADD COLUMN active INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1));
-- How often all sessions of the user were ended.
ALTER TABLE users ADD COLUMN session_epoch INTEGER NOT NULL DEFAULT 0;

-- In microseconds since 1970. Nobody knows when those registered who are here already.
ALTER TABLE users ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
UPDATE users SET created_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER);
-- For rows of the release before: SQLite adds no column whose default is the time.
CREATE TRIGGER users_have_a_time AFTER INSERT ON users WHEN NEW.created_at = 0 BEGIN
    UPDATE users SET created_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) WHERE seq = NEW.seq;
END;

-- Each login that asked for a refresh token, until it has ended.
CREATE TABLE sessions (
    -- A digest of the half that all refresh tokens of the session have in common.
    id TEXT PRIMARY KEY NOT NULL COLLATE BINARY,
    username TEXT NOT NULL COLLATE BINARY REFERENCES users (username) ON DELETE CASCADE,
    -- The session has ended if that of the user is another one.
    session_epoch INTEGER NOT NULL,
    -- In microseconds since 1970.
    used_at INTEGER NOT NULL,
    -- A digest of the newest refresh token.
    newest TEXT NOT NULL,
    -- Those before it that are still good, as JSON.
    used TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_of_user ON sessions (username, used_at);
CREATE INDEX sessions_by_use ON sessions (used_at);
