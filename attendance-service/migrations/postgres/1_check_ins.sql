-- Every ticket that was checked in. Ids may be longer than an index takes, so digests stand for them.
CREATE TABLE attendance.check_ins (
    -- Of the event and the ticket together: one record each.
    ticket BYTEA PRIMARY KEY,
    -- Of the user and the idempotency key together.
    attempt BYTEA UNIQUE,
    -- Of the event alone.
    event BYTEA NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    event_id TEXT NOT NULL,
    ticket_id TEXT NOT NULL,
    checked_in_by TEXT NOT NULL,
    checked_in_at TIMESTAMPTZ NOT NULL,
    idempotency_key TEXT
);

CREATE INDEX check_ins_of_event ON attendance.check_ins (event, checked_in_at, seq);

-- Written to by whoever has to know whether the database takes writes.
CREATE TABLE attendance.proof (at TIMESTAMPTZ NOT NULL);
INSERT INTO attendance.proof VALUES (now());
