-- Every ticket that was checked in, in order of acceptance.
CREATE TABLE check_ins (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    ticket_id TEXT NOT NULL,
    checked_in_by TEXT NOT NULL,
    -- Microseconds since 1970, UTC.
    checked_in_at INTEGER NOT NULL,
    idempotency_key TEXT,
    UNIQUE (event_id, ticket_id)
) STRICT;

CREATE UNIQUE INDEX check_ins_idempotency_key ON check_ins (checked_in_by, idempotency_key)
WHERE idempotency_key IS NOT NULL;
