//! What an error of the database means: retry, mistake in the settings, or defect of the service.

use std::io;

/// The error for a database that did not answer in time.
pub(super) fn no_answer() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into()
}

/// Whether the database was not available, so that a retry may succeed.
pub(super) fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // Classes of SQLSTATE: connection exception, invalid authorization, invalid catalog name, insufficient
        // resources, operator intervention, system error. Then read-only transaction, serialization failure, deadlock.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            matches!(code.get(..2), Some("08" | "28" | "3D" | "53" | "57" | "58"))
                || matches!(&*code, "25006" | "40001" | "40P01")
        }),
        _ => false,
    }
}

/// Whether the statement is wrong, or the service cannot read the answer, rather than the database failing.
pub fn is_our_fault(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Data exception, integrity constraint violation, syntax error.
            matches!(code.get(..2), Some("22" | "23")) || code == "42601"
        }),
        sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::RowNotFound
        | sqlx::Error::TypeNotFound { .. } => true,
        _ => false,
    }
}

/// The words in which the database refuses the user, the password or the database name. At the start that is a mistake
/// in the settings. While serving it counts as an outage, since they were right before.
pub(super) fn refusal(error: &sqlx::Error) -> Option<&str> {
    let sqlx::Error::Database(error) = error else { return None };
    let is_refusal = error.code().is_some_and(|code| matches!(code.get(..2), Some("28" | "3D")));
    is_refusal.then(|| error.message())
}
