//! The SQL that SQLite and PostgreSQL share.

/// Statements on a table of users.
pub(super) struct Statements {
    /// Selects the role and the hash of the user `$1`.
    pub(super) find: &'static str,
    /// Inserts the user `$1` with the role `$2` and the hash `$3`, if nobody has the name.
    pub(super) insert: &'static str,
    /// Replaces the hash of the user `$1` by `$3`, if it is `$2`.
    pub(super) rehash: &'static str,
    /// Selects the greatest cost that `Cost` allows: the two digits after `$2b$`, or NULL.
    pub(super) greatest_cost: &'static str,
}

/// The [`Statements`] on the table `$users`.
macro_rules! statements {
    ($users:literal) => {
        $crate::store::statements::Statements {
            find: concat!("SELECT role, password_hash FROM ", $users, " WHERE username = $1"),
            insert: concat!(
                "INSERT INTO ",
                $users,
                " (username, role, password_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
            ),
            rehash: concat!(
                "UPDATE ",
                $users,
                " SET password_hash = $3 WHERE username = $1 AND password_hash = $2"
            ),
            greatest_cost: concat!(
                "SELECT max(cost) FROM (SELECT substr(password_hash, 5, 2) AS cost FROM ",
                $users,
                ") AS costs WHERE cost BETWEEN '04' AND '15'"
            ),
        }
    };
}
pub(super) use statements;
