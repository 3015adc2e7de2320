//! Applying migrations.

use db::testing;
use db::{Error, Migration, Migrations};
use futures_util::future::try_join_all;

use crate::{ONE, same, set};

const TWO: Migration = same("0002_two", "CREATE TABLE two (a TEXT); CREATE TABLE three (a TEXT)");
const CHANGED: Migration = same("0001_one", "CREATE TABLE one (b TEXT)");
const BROKEN: Migration = same("0002_broken", "CREATE TABLE two (a TEXT); NONSENSE");

const FIRST: Migrations = set(&[ONE]);
const BOTH: Migrations = set(&[ONE, TWO]);

#[tokio::test]
async fn pending_migrations_are_applied_once() {
    testing::each(&FIRST, |db| async move {
        assert_eq!(db.migrate(&FIRST).await.unwrap(), 0);
        let pending = db.migration_status(&BOTH).await.unwrap();
        assert!(pending.iter().any(|s| s.scope == "every" && s.applied_at.is_some()));
        let two = pending.iter().find(|s| s.name == "0002_two").unwrap();
        assert!(two.applied_at.is_none());
        assert_eq!(db.migrate(&BOTH).await.unwrap(), 1);
        db.script("INSERT INTO three VALUES ('x')").await;
    })
    .await;
}

#[tokio::test]
async fn changed_unknown_and_misnumbered_migrations_are_refused() {
    testing::each(&BOTH, |db| async move {
        let message = async |migrations: &Migrations| match db.migrate(migrations).await {
            Err(Error::Migration(message)) => message,
            other => panic!("{other:?}"),
        };
        assert!(message(&set(&[CHANGED, TWO])).await.contains("was changed"));
        assert!(message(&FIRST).await.contains("newer than the program"));
        assert!(message(&set(&[TWO])).await.contains("wrong number"));
    })
    .await;
}

#[tokio::test]
async fn failed_migration_is_rolled_back() {
    testing::each(&FIRST, |db| async move {
        let error = db.migrate(&set(&[ONE, BROKEN])).await.unwrap_err().to_string();
        assert!(error.contains("steps/0002_broken"), "{error}");
        assert_eq!(db.migrate(&BOTH).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_processes_apply_each_migration_once() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let empty = kind.create(&set(&[])).await;
        let mut tasks = Vec::new();
        for _ in 0..6 {
            let db = empty.reopen().await;
            tasks.push(tokio::spawn(async move { db.migrate(&BOTH).await.unwrap() }));
        }
        assert_eq!(try_join_all(tasks).await.unwrap().iter().sum::<usize>(), 2);
    }
}
