-- Whether it was the operator who made the user, or gave it its password or role, and not whoever had the name first.
ALTER TABLE identity.users ADD COLUMN by_operator BOOLEAN NOT NULL DEFAULT false;
