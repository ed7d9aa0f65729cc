//! The schema of this service, in both databases.

use futures_util::TryStreamExt;
use shared_store::{Content, Migration, Migrations, PostgresSchema};
use sqlx::SqliteConnection;

use super::{
    people::{UserRow, user_from_row},
    sessions::{SessionRow, session_from_row},
};

/// The name of the SQLite file in a directory that both services share.
pub const FILE_NAME: &str = "identity.db";

/// What the SQLite file holds.
pub const CONTENT: Content = Content {
    service: "identity-service",
    name: "users",
    migrations: sqlite_migrations,
    read: |database| Box::pin(check_and_count(database)),
    others: &[("sessions", "sessions")],
    newest: "SELECT username, ' (', role, ')' FROM users ORDER BY seq DESC LIMIT 1",
};

/// The schema in PostgreSQL.
pub const SCHEMA: PostgresSchema = PostgresSchema { name: "identity", migrations: postgres_migrations };

const ALL: &str = "SELECT username, role, password_hash, active, created_at, session_epoch FROM users";

const ALL_SESSIONS: &str = "SELECT id, username, session_epoch, used_at, newest, used FROM sessions";

fn sqlite_migrations() -> Migrations {
    let users = include_str!("../../migrations/sqlite/1_users.sql");
    let people = include_str!("../../migrations/sqlite/2_people.sql");
    let made_by_operator = include_str!("../../migrations/sqlite/made_by_operator.sql");
    Migrations::new(&numbered(users, people)).with_tables(&[made_by_operator])
}

fn postgres_migrations() -> Migrations {
    let users = include_str!("../../migrations/postgres/1_users.sql");
    let people = include_str!("../../migrations/postgres/2_people.sql");
    let made_by_operator = include_str!("../../migrations/postgres/made_by_operator.sql");
    Migrations::new(&numbered(users, people)).with_tables(&[made_by_operator])
}

/// The release before knows migration 1 alone, and works with the result of both.
fn numbered(users: &'static str, people: &'static str) -> [Migration; 2] {
    [
        Migration { name: "users", sql: users, min_reader: 1 },
        Migration { name: "people", sql: people, min_reader: 1 },
    ]
}

/// Reads every user and every session, which reveals damage and unknown roles. Returns how many users there are.
async fn check_and_count(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let mut users = 0;
    let mut rows = sqlx::query_as::<_, UserRow>(ALL).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        user_from_row(row)?;
        users += 1;
    }
    drop(rows);
    let mut rows = sqlx::query_as::<_, SessionRow>(ALL_SESSIONS).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        session_from_row(row)?;
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use shared_store::{sqlite::open_in_memory, testing::assert_no_temporary_btree};

    use super::*;
    use crate::store::{people, sessions, sql};

    #[tokio::test]
    async fn no_statement_sorts() {
        let mut database = open_in_memory(&sqlite_migrations()).await.unwrap();
        let statements = [
            ALL,
            ALL_SESSIONS,
            CONTENT.newest,
            people::FIND,
            people::LIST,
            people::ANOTHER_ADMIN,
            sessions::END_LEAST_RECENTLY_USED,
            sessions::IS_THERE,
            sessions::LATEST,
            sql::GREATEST_COST,
        ];
        assert_no_temporary_btree(&mut database, &statements).await;
    }
}
