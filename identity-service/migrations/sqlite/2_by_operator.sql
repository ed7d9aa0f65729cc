-- Whether it was the operator who made the user, or gave it its password or role, and not whoever had the name first.
ALTER TABLE users ADD COLUMN by_operator INTEGER NOT NULL DEFAULT 0 CHECK (by_operator IN (0, 1));
