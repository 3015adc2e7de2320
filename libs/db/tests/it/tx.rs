//! Queries and transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use db::testing::{self, TestDb};
use db::{AtCommit, Engine, Error, Read, Tx};
use ids::{Clock, Uuid};

use crate::MIGRATIONS;

db::record! {
    #[derive(Debug, PartialEq)]
    struct Thing {
        id: Uuid,
        name: String,
        size: i64,
        ok: bool,
        data: Option<Vec<u8>>,
        made_at: DateTime<Utc>,
        weight: Option<f64>,
    }
}

async fn insert(tx: &mut Tx, thing: &Thing) -> db::Result<()> {
    tx.query(
        "INSERT INTO things (id, name, size, ok, data, made_at, weight)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind_all((thing.id, &thing.name, thing.size, thing.ok, thing.data.clone(), thing.made_at))
    .bind(thing.weight)
    .execute()
    .await
    .map(drop)
}

async fn get(read: impl Read<'_>, name: &str) -> db::Result<Option<Thing>> {
    read.query("SELECT * FROM things WHERE name = $1").bind(name).fetch_optional().await
}

fn thing(name: &str) -> Thing {
    let clock = Clock::system();
    Thing {
        id: clock.new_id(),
        name: name.into(),
        size: i64::MAX,
        ok: true,
        data: Some(vec![0, 255, 7]),
        made_at: clock.now(),
        weight: Some(0.1),
    }
}

async fn count(db: &TestDb) -> i64 {
    db.query("SELECT count(*) FROM things").fetch_scalar().await.unwrap()
}

#[tokio::test]
async fn values_are_read_as_written_after_the_commit() {
    testing::each(&MIGRATIONS, |db| async move {
        let one = thing("one");
        let mut two = thing("two é \u{1F980}");
        (two.data, two.weight, two.ok, two.size) = (None, None, false, i64::MIN);
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, &one).await.unwrap();
        insert(&mut tx, &two).await.unwrap();
        assert_eq!(get(&mut tx, "one").await.unwrap().as_ref(), Some(&one));
        assert_eq!(get(&*db, "one").await.unwrap(), None, "not visible before the commit");
        tx.commit().await.unwrap();
        assert_eq!(get(&*db, "one").await.unwrap(), Some(one));
        assert_eq!(get(&*db, &two.name).await.unwrap(), Some(two));
    })
    .await;
}

#[tokio::test]
async fn db_handle_is_read_only() {
    testing::each(&MIGRATIONS, |db| async move {
        let result = db.query("INSERT INTO counters VALUES ('a', 1)").execute().await;
        assert!(result.is_err());
    })
    .await;
}

#[tokio::test]
async fn errors_are_classified() {
    testing::each(&MIGRATIONS, |db| async move {
        let run = async |sql: &'static str| {
            let mut tx = db.begin().await.unwrap();
            let result = tx.query(sql).execute().await;
            tx.rollback().await;
            result.unwrap_err()
        };
        db.script("INSERT INTO counters VALUES ('a', 1)").await;
        let unique = run("INSERT INTO counters VALUES ('a', 1)").await;
        assert!(matches!(unique, Error::Conflict(_)), "{unique:?}");
        let check = run("INSERT INTO counters VALUES ('b', -1)").await;
        assert!(matches!(check, Error::Constraint(_)), "{check:?}");
        let null = run("INSERT INTO counters VALUES ('b', NULL)").await;
        assert!(matches!(null, Error::Constraint(_)), "{null:?}");
        let missing = db.query("SELECT value FROM counters WHERE name = 'x'");
        assert!(matches!(missing.fetch_scalar::<i64>().await, Err(Error::NotFound)));
        assert!(matches!(run("SELECT nonsense FROM counters").await, Error::Other(_)));
        let nul = insert(&mut db.begin().await.unwrap(), &thing("nul\0in name")).await;
        assert!(db.engine() == Engine::Sqlite || matches!(nul, Err(Error::Invalid(_))), "{nul:?}");
    })
    .await;
}

#[tokio::test]
async fn failed_statement_aborts_the_transaction() {
    testing::each(&MIGRATIONS, |db| async move {
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, &thing("one")).await.unwrap();
        insert(&mut tx, &thing("one")).await.unwrap_err();
        assert!(matches!(tx.commit().await, Err(Error::Aborted)));
        assert_eq!(count(&db).await, 0);
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, &thing("one")).await.unwrap();
        let missing = tx.query("SELECT size FROM things WHERE name = 'x'");
        assert!(matches!(missing.fetch_scalar::<i64>().await, Err(Error::NotFound)));
        tx.commit().await.expect("a missing row does not abort");
        assert_eq!(count(&db).await, 1);
    })
    .await;
}

#[tokio::test]
async fn dropped_and_cancelled_transactions_are_rolled_back() {
    testing::each(&MIGRATIONS, |db| async move {
        for round in 0..20 {
            let mut tx = db.begin().await.unwrap();
            insert(&mut tx, &thing("gone")).await.unwrap();
            drop(tx);
            let work = async {
                let mut tx = db.begin().await.unwrap();
                for i in 0..1000 {
                    insert(&mut tx, &thing(&format!("gone {round} {i}"))).await.unwrap();
                }
            };
            let _ = tokio::time::timeout(std::time::Duration::from_micros(500 * round), work).await;
        }
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, &thing("kept")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&db).await, 1);
    })
    .await;
}

#[tokio::test]
async fn queries_are_built_at_run_time() {
    testing::each(&MIGRATIONS, |db| async move {
        let mut tx = db.begin().await.unwrap();
        for name in ["Alpha", "beta", "100%", "100x"] {
            insert(&mut tx, &thing(name)).await.unwrap();
        }
        tx.commit().await.unwrap();
        let names = async |query: db::Query<'_>| {
            let rows: Vec<(String,)> = query.push(" ORDER BY name").fetch_all().await.unwrap();
            rows.into_iter().map(|(name,)| name).collect::<Vec<_>>()
        };
        let all = || db.query("SELECT name FROM things WHERE size = $1").bind(i64::MAX);
        let like = |text| {
            let query = all().push(" AND lower(name) LIKE ").push_bind(db::like_contains(text));
            query.push(" ESCAPE '\\'")
        };
        assert_eq!(names(like("ALPH")).await, ["Alpha"]);
        assert_eq!(names(like("100%")).await, ["100%"]);
        let listed = all().push(" AND name").push_in(["beta", "Alpha", "?"]);
        assert_eq!(names(listed).await, ["Alpha", "beta"]);
        assert!(names(all().push(" AND name").push_in(Vec::<String>::new())).await.is_empty());
        let others = all().push(" AND NOT name").push_in(Vec::<String>::new());
        assert_eq!(names(others).await.len(), 4);
        let rows = db.query("SELECT name FROM (").push_rows("name", ["b", "a"]).push(") AS these");
        assert_eq!(names(rows).await, ["a", "b"]);
        let after = all().push(" AND (ok, name) > (").push_bind_all((true, "100x")).push(")");
        assert_eq!(names(after).await, ["Alpha", "beta"]);
    })
    .await;
}

#[tokio::test]
async fn transact_commits_or_rolls_back() {
    testing::each(&MIGRATIONS, |db| async move {
        let name = &String::from("one");
        let id: Uuid = db
            .transact(|mut tx| async move {
                let thing = thing(name);
                insert(&mut tx, &thing).await?;
                Ok::<_, Error>(thing.id)
            })
            .await
            .unwrap();
        assert_eq!(get(&*db, "one").await.unwrap().unwrap().id, id);
        let refused: Result<(), Error> = db
            .transact(|mut tx| async move {
                insert(&mut tx, &thing("two")).await?;
                Err(Error::NotFound)
            })
            .await;
        assert!(matches!(refused, Err(Error::NotFound)));
        assert_eq!(count(&db).await, 1);
    })
    .await;
}

#[tokio::test]
async fn deadlocked_transactions_are_retried() {
    testing::each(&MIGRATIONS, |db| async move {
        db.script("INSERT INTO counters VALUES ('a', 0), ('b', 0)").await;
        let add = |first: &'static str, second: &'static str| {
            let db = db.db();
            tokio::spawn(async move {
                for _ in 0..20 {
                    db.transact(|mut tx| async move {
                        for name in [first, second] {
                            tx.query("UPDATE counters SET value = value + 1 WHERE name = $1")
                                .bind(name)
                                .execute()
                                .await?;
                            tokio::task::yield_now().await;
                        }
                        Ok::<_, Error>(())
                    })
                    .await
                    .unwrap();
                }
            })
        };
        tokio::try_join!(add("a", "b"), add("b", "a")).unwrap();
        let total = db.query("SELECT CAST(sum(value) AS BIGINT) FROM counters");
        assert_eq!(total.fetch_scalar::<i64>().await.unwrap(), 80);
    })
    .await;
}

#[derive(Default)]
struct Names(Vec<String>);

impl AtCommit for Names {
    async fn write(self, tx: &mut Tx) -> db::Result<()> {
        for name in self.0 {
            insert(tx, &thing(&name)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn stages_are_written_at_commit_and_hooks_run_after_it() {
    testing::each(&MIGRATIONS, |db| async move {
        let ran = Arc::new(AtomicU32::new(0));
        let begin = async || {
            let mut tx = db.begin().await.unwrap();
            let ran = ran.clone();
            tx.after_commit(move || {
                ran.fetch_add(1, Ordering::Relaxed);
            });
            tx
        };
        let mut tx = begin().await;
        tx.at_commit::<Names>().0.push("one".into());
        tx.at_commit::<Names>().0.push("two".into());
        assert_eq!(get(&mut tx, "one").await.unwrap(), None);
        tx.commit().await.unwrap();
        assert_eq!((count(&db).await, ran.load(Ordering::Relaxed)), (2, 1));

        let mut tx = begin().await;
        tx.at_commit::<Names>().0.push("three".into());
        drop(tx);
        let mut tx = begin().await;
        tx.at_commit::<Names>().0.extend(["three".into(), "three".into()]);
        assert!(matches!(tx.commit().await, Err(Error::Conflict(_))));
        assert_eq!((count(&db).await, ran.load(Ordering::Relaxed)), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn unreachable_database_is_named_without_its_password() {
    let options = db::Options::new("postgres://someone:secret@127.0.0.1:1/agon", "auth");
    let error = db::Db::open(&options).await.unwrap_err().to_string();
    assert!(error.contains("postgres://someone@127.0.0.1:1/agon (schema auth)"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let options = db::Options::new("sqlite:/nonexistent/folder/auth.db", "auth");
    let error = db::Db::open(&options).await.unwrap_err().to_string();
    assert!(error.contains("/nonexistent/folder/auth.db"), "{error}");
}
