//! The SQL statements on the tables `workers` and `languages`.

use chrono::{DateTime, Utc};
use db::{Read, Result, Tx};
use prost::Message;
use proto::judge as pb;
use uuid::Uuid;

db::record! {
    #[derive(Clone, Debug)]
    pub struct Worker {
        pub name: String,
        pub stream: Uuid,
        pub hello: Vec<u8>,
        pub seen_at: DateTime<Utc>,
        pub busy_count: i64,
    }
}

const PUT: &str = "INSERT INTO workers (name, stream, hello, seen_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (name) DO UPDATE SET stream = excluded.stream, hello = excluded.hello,
                                      seen_at = excluded.seen_at";

/// Registers a worker with a new stream, which becomes its newest.
pub async fn connect(
    tx: &mut Tx,
    stream: Uuid,
    hello: &pb::WorkerHello,
    seen: DateTime<Utc>,
) -> Result<()> {
    let query = tx.query(PUT).bind(hello.worker_id.as_str()).bind(stream);
    query.bind(hello.encode_to_vec()).bind(seen).execute().await.map(drop)
}

/// Updates the last-seen time of a worker, unless another stream of it was seen later.
pub async fn refresh(
    tx: &mut Tx,
    stream: Uuid,
    hello: &pb::WorkerHello,
    seen: DateTime<Utc>,
) -> Result<()> {
    let query = tx.query(PUT).bind(hello.worker_id.as_str()).bind(stream);
    let query = query.bind(hello.encode_to_vec()).bind(seen);
    let newest = " WHERE workers.stream = excluded.stream OR workers.seen_at < excluded.seen_at";
    query.push(newest).execute().await.map(drop)
}

/// Removes a worker whose stream has ended. Returns false if the worker has a newer stream.
pub async fn disconnect(tx: &mut Tx, name: &str, stream: Uuid) -> Result<bool> {
    let query = tx.query("DELETE FROM workers WHERE name = $1 AND stream = $2");
    Ok(query.bind(name).bind(stream).execute().await? == 1)
}

pub async fn remove(tx: &mut Tx, name: &str) -> Result<()> {
    tx.query("DELETE FROM workers WHERE name = $1").bind(name).execute().await.map(drop)
}

/// Removes the workers that were last seen before `since`.
pub async fn remove_stale(tx: &mut Tx, since: DateTime<Utc>) -> Result<()> {
    tx.query("DELETE FROM workers WHERE seen_at < $1 /* scans: the workers */")
        .bind(since)
        .execute()
        .await
        .map(drop)
}

/// The names of all workers, including removed ones that hold leases.
pub async fn names(read: impl Read<'_>) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = read
        .query(
            "SELECT name FROM workers /* scans: the workers */
             UNION SELECT worker FROM judgements WHERE state = 'leased'",
        )
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// The workers that were seen at or after `since`.
pub async fn live(read: impl Read<'_>, since: DateTime<Utc>) -> Result<Vec<Worker>> {
    read.query(
        "SELECT name, stream, hello, seen_at,
                (SELECT count(*) FROM judgements
                 WHERE state = 'leased' AND worker = workers.name) AS busy_count
         FROM workers WHERE seen_at >= $1 /* scans: the workers */",
    )
    .bind(since)
    .fetch_all()
    .await
}

/// The encoded hello messages of the workers that were seen at or after `since`.
pub async fn live_hellos(read: impl Read<'_>, since: DateTime<Utc>) -> Result<Vec<Vec<u8>>> {
    let query =
        read.query("SELECT hello FROM workers WHERE seen_at >= $1 /* scans: the workers */");
    let rows: Vec<(Vec<u8>,)> = query.bind(since).fetch_all().await?;
    Ok(rows.into_iter().map(|(hello,)| hello).collect())
}

/// The encoded definitions of the languages that workers offer or last offered.
pub async fn languages(read: impl Read<'_>) -> Result<Vec<Vec<u8>>> {
    let rows: Vec<(Vec<u8>,)> = read
        .query("SELECT definition FROM languages /* scans: all are needed */ ORDER BY id")
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(definition,)| definition).collect())
}

pub async fn offer(tx: &mut Tx, language: &pb::Language) -> Result<()> {
    let now = tx.now();
    tx.query(
        "INSERT INTO languages (id, definition, offered_at) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET definition = excluded.definition,
                                        offered_at = excluded.offered_at",
    )
    .bind(language.language_id.as_str())
    .bind(language.encode_to_vec())
    .bind(now)
    .execute()
    .await
    .map(drop)
}

/// Removes a language that no worker offers any more.
pub async fn withdraw(tx: &mut Tx, id: &str) -> Result<()> {
    tx.query("DELETE FROM languages WHERE id = $1").bind(id).execute().await.map(drop)
}
