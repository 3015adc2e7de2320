//! Promotion from a SQLite file to a PostgreSQL schema.

use chrono::{DateTime, Utc};
use db::promotion::{self, BeginOutcome, Progress};
use db::testing::{Kind, TestDb, kinds};
use db::{Error, Migration, Migrations};
use uuid::Uuid;

const TABLES: [&str; 2] = [
    "CREATE TABLE books (
       id UUID PRIMARY KEY, name TEXT NOT NULL, note TEXT, pages BIGINT NOT NULL, read BOOLEAN NOT NULL,
       cover BYTEA, weight DOUBLE PRECISION, bought_at TIMESTAMPTZ NOT NULL);
     CREATE TABLE loans (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, book UUID NOT NULL REFERENCES books (id))",
    "CREATE TABLE loans (id INTEGER PRIMARY KEY AUTOINCREMENT, book UUID NOT NULL REFERENCES books (id));
     CREATE TABLE books (
       id UUID PRIMARY KEY, name TEXT NOT NULL, note TEXT, pages BIGINT NOT NULL, read BOOLEAN NOT NULL,
       cover BYTEA, weight DOUBLE PRECISION, bought_at TIMESTAMPTZ NOT NULL)",
];
const LIBRARY: Migrations =
    Migrations { service: "library", files: &[Migration::new("0001_books", TABLES[0], TABLES[1])] };

async fn both() -> Option<(TestDb, TestDb)> {
    let postgres = kinds().into_iter().find(|kind| matches!(kind, Kind::Postgres(_)))?;
    Some((Kind::Sqlite.create(&LIBRARY).await, postgres.create(&LIBRARY).await))
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

const NAMES: [&str; 6] = ["", "\\N", "a\tb\\\nc\rd", "\u{1f40d} \u{e9}", "'; --", "\\."];

/// Inserts books with varied values, and loans, of which it deletes the last one.
async fn fill(source: &TestDb, books: usize) {
    let mut tx = source.begin().await.unwrap();
    for n in 0..books {
        let id = tx.new_id();
        let odd = n % 2 == 1;
        let number = n as i64;
        tx.query("INSERT INTO books VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind_all((id, NAMES[n % NAMES.len()], odd.then(|| format!("note {n}"))))
            .bind_all((if n == 0 { i64::MIN } else { i64::MAX - number }, odd))
            .bind(odd.then(|| vec![0_u8, 92, 255, (n % 256) as u8]))
            .bind(odd.then_some([0.1, f64::MAX, f64::INFINITY, -0.0][n % 4]))
            .bind(time(1_700_000_000_000_000 + number * 1_000_001))
            .execute()
            .await
            .unwrap();
        let loan = tx.query("INSERT INTO loans (book) VALUES ($1)").bind(id);
        loan.execute().await.unwrap();
    }
    tx.query("DELETE FROM loans WHERE id = $1").bind(books as i64).execute().await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_values_and_sequences_are_copied() {
    let Some((source, target)) = both().await else { return };
    fill(&source, 12_000).await;
    let id = source.clock().new_id();
    assert_eq!(promotion::begin(&target, id).await.unwrap(), BeginOutcome::New);
    assert!(promotion::is_unfinished(&target).await.unwrap());
    let tables = promotion::tables(&source, &target, &["event_log"]).await.unwrap();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let position = |name: &str| names.iter().position(|known| *known == name);
    assert!(position("books") < position("loans") && position("event_log").is_none(), "{names:?}");
    for table in &tables {
        let mut steps = Vec::new();
        promotion::copy(&source, &target, table, |rows| steps.push(rows)).await.unwrap();
        assert!(steps.is_sorted());
        let original = promotion::content(&source, table, |_| {}).await.unwrap();
        let copied = promotion::content(&target, table, |_| {}).await.unwrap();
        assert_eq!(original, copied, "{}", table.name);
        // A second copy does nothing.
        promotion::copy(&source, &target, table, |_| {}).await.unwrap();
        assert_eq!(promotion::content(&target, table, |_| {}).await.unwrap(), original);
    }
    promotion::raise_sequences(&source, &target, &tables).await.unwrap();
    let mut tx = target.begin().await.unwrap();
    let next: i64 = tx
        .query("INSERT INTO loans (book) SELECT id FROM books LIMIT 1 RETURNING id")
        .fetch_scalar()
        .await
        .unwrap();
    assert_eq!(next, 12_001, "an id was used twice");
    tx.rollback().await;
    promotion::finish(&target).await.unwrap();
    assert!(!promotion::is_unfinished(&target).await.unwrap());
    assert!(matches!(promotion::begin(&target, id).await.unwrap(), BeginOutcome::Finished(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_are_detected() {
    let Some((source, target)) = both().await else { return };
    fill(&source, 20).await;
    promotion::begin(&target, source.clock().new_id()).await.unwrap();
    let tables = promotion::tables(&source, &target, &[]).await.unwrap();
    let books = tables.iter().find(|table| table.name == "books").unwrap();
    promotion::copy(&source, &target, books, |_| {}).await.unwrap();
    let original = promotion::content(&source, books, |_| {}).await.unwrap();
    for change in [
        "UPDATE books SET bought_at = bought_at + interval '1 microsecond' WHERE name = ''",
        "UPDATE books SET note = '' WHERE note IS NULL AND name = ''",
        "UPDATE books SET cover = NULL WHERE cover IS NOT NULL",
    ] {
        let mut tx = target.begin().await.unwrap();
        assert!(tx.query(change).execute().await.unwrap() > 0);
        tx.commit().await.unwrap();
        assert_ne!(promotion::content(&target, books, |_| {}).await.unwrap(), original, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn target_must_be_empty_or_of_the_same_source() {
    let Some((source, target)) = both().await else { return };
    let (one, other) = (source.clock().new_id(), source.clock().new_id());
    let begin = async |id: Uuid| promotion::begin(&target, id).await;
    let refused = |result: db::Result<BeginOutcome>, expected: &str| match result {
        Err(Error::Config(text)) => assert!(text.contains(expected), "{text}"),
        other => panic!("{other:?}"),
    };
    target.script("INSERT INTO write_probes VALUES ('x', 1)").await;
    refused(begin(one).await, "write_probes");
    target.script("DELETE FROM write_probes").await;
    assert_eq!(begin(one).await.unwrap(), BeginOutcome::New);
    assert_eq!(begin(one).await.unwrap(), BeginOutcome::Resumed);
    refused(begin(other).await, "another data directory");
    let step = Progress { cursor: 7, rows: 3, done: false };
    let saving =
        target.transact(|mut tx| async move { promotion::save_progress(&mut tx, "x", step).await });
    saving.await.unwrap();
    assert_eq!(promotion::progress(&*target, "x").await.unwrap(), step);
    refused(promotion::begin(&source, one).await, "not SQLite");
    assert!(!promotion::is_unfinished(&source).await.unwrap());
}
