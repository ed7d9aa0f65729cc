//! Changes of several statements, on a database in memory.

#![expect(clippy::unwrap_used, reason = "clippy knows test functions, not what they call")]

use shared_store::{
    Content, Migration, Migrations, SqlError, SqlStore,
    sql::{Change, Transaction},
};

const CONTENT: Content = Content {
    service: "test",
    name: "names",
    migrations: || {
        let sql = "CREATE TABLE names (name TEXT PRIMARY KEY) STRICT";
        Migrations::new(&[Migration { name: "names", sql, min_reader: 1 }])
    },
    read: |_| Box::pin(async { Ok(0) }),
    others: &[],
    newest: "SELECT name FROM names",
};

const INSERT: &str = "INSERT INTO names (name) VALUES ($1)";
const REMOVE: &str = "DELETE FROM names WHERE name = $1";
const LIST: &str = "SELECT name FROM names WHERE name > $1 ORDER BY name LIMIT 100";

/// Puts `to` in the place of `from`, and says whether `from` was there.
struct Replace {
    from: &'static str,
    to: &'static str,
}

impl Change for Replace {
    type Outcome = bool;

    async fn run(&self, transaction: &mut Transaction<'_>) -> sqlx::Result<bool> {
        assert!(!transaction.may_be_done());
        transaction.lock_table("names").await?;
        let was_there = transaction.remove(REMOVE, &[self.from]).await? > 0;
        transaction.execute(INSERT, &[self.to]).await?;
        let found: Option<(String,)> =
            transaction.fetch_optional("SELECT name FROM names WHERE name = $1", &[self.to]).await?;
        assert_eq!(found.unwrap().0, self.to, "it sees what it has done");
        Ok(was_there)
    }
}

async fn names(store: &SqlStore) -> Vec<String> {
    let rows: Vec<(String,)> = store.fetch_all(LIST, &[""]).await.unwrap();
    rows.into_iter().map(|(name,)| name).collect()
}

#[tokio::test]
async fn a_change_takes_effect_as_a_whole_or_not_at_all() {
    let store = SqlStore::in_memory(&CONTENT);
    assert!(names(&store).await.is_empty());
    for name in ["budi", "siti"] {
        assert!(store.insert(INSERT, &[name]).await.unwrap());
    }
    assert!(store.transact(Replace { from: "budi", to: "wati" }).await.unwrap());
    assert!(!store.transact(Replace { from: "budi", to: "agus" }).await.unwrap());
    assert_eq!(names(&store).await, ["agus", "siti", "wati"]);
    // The second statement fails, and the first one has not happened.
    let failed = store.transact(Replace { from: "agus", to: "siti" }).await;
    assert!(matches!(failed, Err(SqlError::Internal(_))), "{failed:?}");
    assert_eq!(names(&store).await, ["agus", "siti", "wati"]);
    assert_eq!(
        store.rows(),
        Some(1),
        "two were inserted, one removed; the changes' own inserts are not counted"
    );
    assert!(store.transact(Replace { from: "agus", to: "budi" }).await.unwrap());
    assert_eq!(names(&store).await, ["budi", "siti", "wati"]);
}
