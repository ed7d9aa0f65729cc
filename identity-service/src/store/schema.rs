//! The schema of this service, in both databases.

use futures_util::TryStreamExt;
use shared_store::{Content, Migration, Migrations, PostgresSchema};
use sqlx::{FromRow, SqliteConnection};

use super::stored_role;

/// The name of the SQLite file in a directory that both services share.
pub const FILE_NAME: &str = "identity.db";

/// What the SQLite file holds.
pub const CONTENT: Content = Content {
    service: "identity-service",
    name: "users",
    migrations: sqlite_migrations,
    read: |database| Box::pin(check_and_count(database)),
    newest: "SELECT username, ' (', role, ')' FROM users ORDER BY seq DESC LIMIT 1",
};

/// The schema in PostgreSQL.
pub const SCHEMA: PostgresSchema = PostgresSchema { name: "identity", migrations: postgres_migrations };

const ALL: &str = "SELECT role, username, password_hash FROM users";

fn sqlite_migrations() -> Migrations {
    let users = include_str!("../../migrations/sqlite/1_users.sql");
    let made_by_operator = include_str!("../../migrations/sqlite/made_by_operator.sql");
    Migrations::new(&[Migration { name: "users", sql: users, min_reader: 1 }])
        .with_tables(&[made_by_operator])
}

fn postgres_migrations() -> Migrations {
    let users = include_str!("../../migrations/postgres/1_users.sql");
    let made_by_operator = include_str!("../../migrations/postgres/made_by_operator.sql");
    Migrations::new(&[Migration { name: "users", sql: users, min_reader: 1 }])
        .with_tables(&[made_by_operator])
}

/// Reads every user, which reveals damage and unknown roles. Returns how many there are.
async fn check_and_count(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let mut users = 0;
    let mut rows = sqlx::query(ALL).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (role, _, _): (String, String, String) = FromRow::from_row(&row)?;
        stored_role(&role)?;
        users += 1;
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use shared_store::{sqlite::open_in_memory, testing::assert_no_temporary_btree};

    use super::*;
    use crate::store::sql;

    #[tokio::test]
    async fn no_statement_sorts() {
        let mut database = open_in_memory(&sqlite_migrations()).await.unwrap();
        let statements = [ALL, CONTENT.newest, sql::FIND, sql::GREATEST_COST];
        assert_no_temporary_btree(&mut database, &statements).await;
    }
}
