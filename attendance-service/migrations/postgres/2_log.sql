-- What happens to tickets is a log: every check-in, undo and conflict is an entry with a number. `check_ins` keeps the
-- check-ins that stand, so the release before this one works on as it did.

-- The number of the entry within its event. NULL in rows that the release before this one inserted, until they are
-- numbered: see src/store/postgres/adopt.rs.
ALTER TABLE attendance.check_ins ADD COLUMN entry BIGINT, ADD COLUMN gate TEXT, ADD COLUMN scanned_at TEXT;
CREATE INDEX check_ins_by_entry ON attendance.check_ins (event, entry);
CREATE INDEX check_ins_without_entry ON attendance.check_ins (event, checked_in_at, seq) WHERE entry IS NULL;

-- One row an event. Whoever writes an entry takes its number here, and so holds the lock of the row until the commit.
CREATE TABLE attendance.logs (
    event BYTEA PRIMARY KEY,
    -- The last number that was given. Some numbers have no entry.
    seq BIGINT NOT NULL,
    -- The last time that was given.
    latest TIMESTAMPTZ NOT NULL,
    -- How many undos there were: what was read before one of them cannot be relied on.
    undos BIGINT NOT NULL DEFAULT 0
);

-- The entries that are no check-ins, or none that stand.
CREATE TABLE attendance.past_entries (
    event BYTEA NOT NULL,
    seq BIGINT NOT NULL,
    -- 0: a check-in that was undone, 1: its undo, 2: a conflict.
    kind SMALLINT NOT NULL,
    -- Of the event and the ticket together.
    ticket BYTEA NOT NULL,
    -- Of the user and the idempotency key together, or of the request to undo.
    attempt BYTEA UNIQUE,
    event_id TEXT NOT NULL,
    ticket_id TEXT NOT NULL,
    done_by TEXT NOT NULL,
    done_at TIMESTAMPTZ NOT NULL,
    idempotency_key TEXT,
    gate TEXT,
    scanned_at TEXT,
    -- Of a check-in: the number of its undo.
    undone BIGINT,
    -- Of an undo and a conflict: the number of the check-in that stood.
    check_in BIGINT,
    PRIMARY KEY (event, seq)
);

CREATE INDEX past_entries_of_ticket ON attendance.past_entries (ticket, seq);
-- For lists that were begun before an undo.
CREATE INDEX past_check_ins ON attendance.past_entries (event, undone) WHERE kind = 0;

CREATE TABLE attendance.events (
    -- Of the id.
    event BYTEA PRIMARY KEY,
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT,
    location TEXT,
    start_time TEXT,
    end_time TEXT,
    created_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    -- How many tickets are on the list of the event, and how many of them are revoked.
    tickets BIGINT NOT NULL DEFAULT 0,
    revoked BIGINT NOT NULL DEFAULT 0,
    -- Grows whenever the list changes.
    list_version BIGINT NOT NULL DEFAULT 0,
    -- The last import, and what it did, for whoever has lost the answer.
    import BYTEA,
    import_added BIGINT,
    import_updated BIGINT
);

CREATE TABLE attendance.tickets (
    -- Of the event and the ticket together.
    ticket BYTEA PRIMARY KEY,
    event BYTEA NOT NULL,
    ticket_id TEXT COLLATE "C" NOT NULL,
    name TEXT,
    kind TEXT,
    revoked BOOLEAN NOT NULL DEFAULT false,
    -- In lower case.
    searched_id TEXT NOT NULL,
    searched_name TEXT
);

CREATE INDEX tickets_of_event ON attendance.tickets (event, ticket_id);
