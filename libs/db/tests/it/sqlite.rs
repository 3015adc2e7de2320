//! Behaviour of SQLite files only.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use db::testing::{Kind, TestDb};
use db::{Error, Synchronous};

use crate::MIGRATIONS;

async fn fill(db: &TestDb) -> db::Result<()> {
    db.transact(|mut tx| async move {
        tx.query("INSERT INTO counters SELECT hex(randomblob(4000)), 1 FROM things_numbers")
            .execute()
            .await
            .map(drop)
    })
    .await
}

#[tokio::test]
async fn files_are_private_and_writes_are_synced() {
    let db = Kind::Sqlite.create_with(&MIGRATIONS, |o| o.synchronous = Synchronous::Full).await;
    db.script("INSERT INTO counters VALUES ('a', 1)").await;
    let path = std::path::PathBuf::from(db.options().url.trim_start_matches("sqlite:"));
    for name in ["", "-wal", "-shm"] {
        let file = format!("{}{name}", path.display());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let mut tx = db.begin().await.unwrap();
    assert_eq!(tx.query("PRAGMA synchronous").fetch_scalar::<i64>().await.unwrap(), 2);
    assert_eq!(tx.query("PRAGMA journal_mode").fetch_scalar::<String>().await.unwrap(), "wal");
    assert_eq!(tx.query("PRAGMA foreign_keys").fetch_scalar::<i64>().await.unwrap(), 1);
}

#[tokio::test]
async fn only_repeatable_transactions_do_not_wait_for_the_disk() {
    let level = async |mut tx: db::Tx| {
        let level: i64 = tx.query("PRAGMA synchronous").fetch_scalar().await.unwrap();
        tx.commit().await.unwrap();
        level
    };
    let (off, normal, full) = (0, 1, 2);
    let db = Kind::Sqlite.create_with(&MIGRATIONS, |o| o.synchronous = Synchronous::Full).await;
    for _ in 0..2 {
        assert_eq!(level(db.begin_repeatable().await.unwrap()).await, normal);
        assert_eq!(level(db.begin().await.unwrap()).await, full);
    }
    // A cancelled caller leaves no such transaction behind.
    drop(db.begin_repeatable().await.unwrap());
    assert_eq!(level(db.begin().await.unwrap()).await, full);
    let db = Kind::Sqlite.create_with(&MIGRATIONS, |o| o.synchronous = Synchronous::Off).await;
    assert_eq!(level(db.begin_repeatable().await.unwrap()).await, off);
}

/// `max_page_count` makes writes fail with the error of a full disk, which also ends SQLite's transaction.
#[tokio::test]
async fn full_disk_refuses_writes_until_there_is_space() {
    let db = Kind::Sqlite.create(&MIGRATIONS).await;
    db.script(
        "CREATE TABLE things_numbers (n BIGINT);
         INSERT INTO things_numbers WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         SELECT i FROM n",
    )
    .await;
    let mut tx = db.begin().await.unwrap();
    let pages: i64 = tx.query("PRAGMA page_count").fetch_scalar().await.unwrap();
    drop(tx);
    assert!(db.health().await.is_ok());
    for _ in 0..3 {
        // The limit is set on the connection, which is replaced after such an error.
        let mut tx = db.begin().await.unwrap();
        let limit: &'static str = format!("PRAGMA max_page_count = {pages}").leak();
        tx.query(limit).fetch_scalar::<i64>().await.unwrap();
        tx.rollback().await;
        let error = fill(&db).await.unwrap_err();
        assert!(matches!(error, Error::Full(_)), "{error:?}");
        let count: i64 = db.query("SELECT count(*) FROM counters").fetch_scalar().await.unwrap();
        assert_eq!(count, 0);
    }
    assert!(db.health().await.is_ok());
    fill(&db).await.unwrap();
}

#[tokio::test]
async fn writers_are_served_in_order() {
    let db = Kind::Sqlite.create(&MIGRATIONS).await;
    db.script("INSERT INTO counters VALUES ('a', 0)").await;
    let first = db.begin().await.unwrap();
    let mut waiting = Vec::new();
    for n in 1..=5_i64 {
        let db = db.db();
        waiting.push(tokio::spawn(async move {
            let mut tx = db.begin().await.unwrap();
            let was: i64 = tx.query("SELECT value FROM counters").fetch_scalar().await.unwrap();
            tx.query("UPDATE counters SET value = $1").bind(n).execute().await.unwrap();
            tx.commit().await.unwrap();
            was
        }));
        tokio::task::yield_now().await;
    }
    drop(first);
    for (task, expected) in waiting.into_iter().zip(0..) {
        assert_eq!(task.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn begin_fails_as_unavailable_after_the_acquire_timeout() {
    let db = Kind::Sqlite
        .create_with(&MIGRATIONS, |o| o.acquire_timeout = Duration::from_millis(20))
        .await;
    let _held = db.begin().await.unwrap();
    assert!(matches!(db.begin().await.err(), Some(Error::Unavailable(_))));
}

#[tokio::test]
async fn closed_database_is_unavailable() {
    let db = Kind::Sqlite.create(&MIGRATIONS).await;
    db.close().await;
    assert!(matches!(db.begin().await.err(), Some(Error::Unavailable(_))));
    assert!(db.query("SELECT 1").fetch_scalar::<i64>().await.is_err());
}

#[tokio::test]
async fn large_results_are_complete_and_in_order() {
    let db = Kind::Sqlite.create(&MIGRATIONS).await;
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n";
    let rows: Vec<(i64,)> = db.query(numbers).fetch_all().await.unwrap();
    assert!(rows.into_iter().map(|(n,)| n).eq(1..=5000));
    let fails = "WITH RECURSIVE n(i) AS (SELECT -60 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
                 SELECT abs(CASE i WHEN 0 THEN -9223372036854775808 ELSE i END) FROM n";
    assert!(db.query(fails).fetch_all::<(i64,)>().await.is_err());
}

#[tokio::test]
async fn generation_increases_before_a_commit_returns() {
    let db = Kind::Sqlite.create(&MIGRATIONS).await;
    let before = db.generation().unwrap();
    assert_eq!(db.generation(), Some(before));
    let tx = db.begin().await.unwrap();
    assert_eq!(db.generation(), Some(before));
    tx.commit().await.unwrap();
    let after = db.generation().unwrap();
    assert!(after > before);
    // A cancelled commit may have taken effect.
    let mut tx = db.begin().await.unwrap();
    tx.query("INSERT INTO counters VALUES ('a', 1)").execute().await.unwrap();
    drop(tokio::time::timeout(Duration::ZERO, tx.commit()).await);
    db.begin().await.unwrap().commit().await.unwrap();
    assert!(db.generation().unwrap() > after + 1);
}
