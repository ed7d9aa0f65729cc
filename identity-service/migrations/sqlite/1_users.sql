-- Everybody who registered, in order.
CREATE TABLE users (
    seq INTEGER PRIMARY KEY,
    -- Compared byte by byte: names that look alike are different names.
    username TEXT NOT NULL COLLATE BINARY UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('committee', 'admin')),
    password_hash TEXT NOT NULL
) STRICT;
