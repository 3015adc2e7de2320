//! Consistent copies of files that are written to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use db::snapshot::{self, Copy};
use db::{Db, Migrations, Options, Tx};

use crate::same;

const TABLE: &str = "CREATE TABLE counts (name TEXT PRIMARY KEY, n BIGINT NOT NULL)";
const COUNTS: Migrations = Migrations { service: "counts", files: &[same("0001_counts", TABLE)] };

async fn open(path: &std::path::Path) -> Db {
    let db = Db::open(&Options::new(format!("sqlite:{}", path.display()), "counts")).await.unwrap();
    db.migrate(&COUNTS).await.unwrap();
    db
}

async fn count(db: &Db) -> i64 {
    db.query("SELECT coalesce(max(n), 0) FROM counts").fetch_scalar().await.unwrap()
}

async fn set(tx: &mut Tx, n: i64) {
    tx.query("INSERT INTO counts VALUES ('n', $1) ON CONFLICT (name) DO UPDATE SET n = excluded.n")
        .bind(n)
        .execute()
        .await
        .unwrap();
}

/// Increases both counts in turn, so that copies made one after the other would differ by more than 1.
async fn write_in_turn(one: &Db, other: &Db, stop: &AtomicBool) {
    for n in 1.. {
        for db in [one, other] {
            let mut tx = db.begin().await.unwrap();
            set(&mut tx, n).await;
            tx.commit().await.unwrap();
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_are_consistent_with_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["one.db", "other.db"];
    let (one, other) =
        (open(&dir.path().join(names[0])).await, open(&dir.path().join(names[1])).await);
    let stop = AtomicBool::new(false);
    let taking = async {
        for round in 0..10 {
            let into = dir.path().join(round.to_string());
            std::fs::create_dir(&into).unwrap();
            let files = names.map(|name| Copy { from: dir.path().join(name), to: into.join(name) });
            let blocked = snapshot::take(&files).await.unwrap();
            assert!(blocked < Duration::from_secs(5), "{blocked:?}");
            let copies = [open(&into.join(names[0])).await, open(&into.join(names[1])).await];
            let (a, b) = (count(&copies[0]).await, count(&copies[1]).await);
            assert!(a == b || a == b + 1, "{a} and {b} are inconsistent");
            for (copy, name) in copies.iter().zip(names) {
                copy.close().await;
                assert_eq!(snapshot::check(&into.join(name)).await.unwrap(), Vec::<String>::new());
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(taking, write_in_turn(&one, &other, &stop));
    assert!(count(&one).await > 10);
}

#[tokio::test]
async fn missing_file_is_named_and_not_created() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("none.db");
    let files = [Copy { from: from.clone(), to: dir.path().join("copy.db") }];
    let error = snapshot::take(&files).await.unwrap_err().to_string();
    assert!(error.contains("none.db") && !from.exists(), "{error}");
}
