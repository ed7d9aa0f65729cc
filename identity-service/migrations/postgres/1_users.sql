-- Everybody who registered.
CREATE TABLE identity.users (
    -- Compared byte by byte: names that look alike are different names.
    username TEXT COLLATE "C" PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('committee', 'admin')),
    password_hash TEXT NOT NULL
);

-- Written to by whoever has to know whether the database takes writes.
CREATE TABLE identity.proof (at TIMESTAMPTZ NOT NULL);
INSERT INTO identity.proof VALUES (now());
