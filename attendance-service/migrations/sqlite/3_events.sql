-- Undos and conflicts are entries of the log as check-ins are. The release before takes each of them for a second
-- check-in of its ticket, which it leaves out: for it, what was undone is checked in again.
ALTER TABLE check_ins ADD COLUMN kind INTEGER NOT NULL DEFAULT 0; -- 0 checked in, 1 undone, 2 conflict
ALTER TABLE check_ins ADD COLUMN gate TEXT;
ALTER TABLE check_ins ADD COLUMN scanned_at TEXT;

-- The events that were created, in order.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT,
    location TEXT,
    -- As they were given, for they may have no offset.
    start_time TEXT,
    end_time TEXT,
    created_by TEXT NOT NULL,
    -- Microseconds since 1970, UTC.
    created_at INTEGER NOT NULL
) STRICT;

-- The lists of tickets.
CREATE TABLE tickets (
    event INTEGER NOT NULL REFERENCES events (seq),
    ticket_id TEXT NOT NULL COLLATE BINARY,
    name TEXT,
    kind TEXT,
    revoked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (event, ticket_id)
) STRICT, WITHOUT ROWID;
