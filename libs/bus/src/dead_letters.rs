//! The `dead_letters` table: events that a consumer could not apply, and the later events of their keys.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use db::{Db, Query, Read, Tx};
use ids::Uuid;
use prost::Message as _;

use crate::envelope::Envelope;
use crate::kafka::partition_of;
use crate::log::Row;
use crate::{Fault, Received};

db::record! {
    pub(crate) struct DeadLetter {
        pub consumer: String,
        pub topic: String,
        pub reason: String,
        pub attempt_count: i64,
        pub held: bool,
        pub replay: bool,
        pub blocks_key: bool,
        /// The encoded envelope of a message that is not an event.
        pub envelope: Option<Vec<u8>>,
        pub parked_at: DateTime<Utc>,
        ..pub row: Row,
    }
}

const SELECT: &str = "
    SELECT consumer, topic, log_id, event_id, type AS type_name, aggregate_id, aggregate_version,
           occurred_at, traceparent, data, reason, attempt_count, held, replay, blocks_key,
           envelope, parked_at
    FROM dead_letters";

/// The dead letters of a consumer in the part of a topic that one processor reads: log ids from `from` to before `end`.
#[derive(Clone, Copy)]
pub(crate) struct Scope {
    pub consumer: &'static str,
    pub topic: &'static str,
    pub from: i64,
    pub end: i64,
}

pub(crate) struct NewDeadLetter<'a> {
    pub event: &'a Received,
    pub reason: &'a str,
    pub attempts: i64,
    /// Whether the event was not tried because its key is blocked.
    pub held: bool,
    pub replay: bool,
    pub blocks_key: bool,
    pub time: DateTime<Utc>,
}

impl NewDeadLetter<'_> {
    pub async fn insert(&self, tx: &mut Tx, consumer: &str) -> db::Result<()> {
        let event = self.event;
        tx.query(
            "INSERT INTO dead_letters (consumer, topic, log_id, event_id, type, aggregate_id,
                                       aggregate_version, occurred_at, traceparent, data, reason,
                                       attempt_count, held, replay, parked_at, blocks_key, envelope)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind_all((consumer, event.topic, event.log_id, event.id, event.type_name.as_str()))
        .bind_all((event.aggregate_id, event.version, event.time, event.traceparent.clone()))
        .bind_all((&event.data[..], storable(self.reason), self.attempts, self.held, self.replay))
        .bind_all((
            self.time,
            self.blocks_key,
            event.envelope.as_ref().map(Envelope::encode_to_vec),
        ))
        .execute()
        .await
        .map(drop)
    }
}

/// PostgreSQL text cannot hold a NUL.
fn storable(reason: &str) -> String {
    reason.replace('\0', " ")
}

/// The oldest dead letters of a consumer after the keyset `after` (time, event id).
pub(crate) async fn list(
    db: &Db,
    consumer: &str,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> db::Result<Vec<DeadLetter>> {
    let mut query = db.query(SELECT).push(" WHERE consumer = ").push_bind(consumer);
    if let Some((time, id)) = after {
        query = query.push(" AND (parked_at, event_id) > (");
        query = query.push_bind_all((time, id)).push(")");
    }
    query.push(" ORDER BY parked_at, event_id LIMIT ").push_bind(limit).fetch_all().await
}

/// All dead letters, for a promotion.
pub(crate) async fn all(db: &Db) -> db::Result<Vec<DeadLetter>> {
    db.query(SELECT).push(" ORDER BY consumer, topic, log_id").fetch_all().await
}

/// Marks the dead letters of a key for replay. Returns their number.
pub(crate) async fn mark_for_replay(db: &Db, consumer: &str, key: Uuid) -> db::Result<u64> {
    const MARK: &str =
        "UPDATE dead_letters SET replay = $1 WHERE consumer = $2 AND aggregate_id = $3";
    db.execute(|tx| tx.query(MARK).bind_all((true, consumer, key))).await
}

impl Scope {
    pub async fn blocked_keys(self, read: impl Read<'_>) -> db::Result<HashSet<Uuid>> {
        let rows: Vec<(Uuid,)> = self
            .query(
                read,
                "SELECT DISTINCT aggregate_id FROM dead_letters
                 WHERE consumer = $1 AND topic = $2 AND log_id >= $3 AND log_id < $4 AND blocks_key",
            )
            .fetch_all()
            .await?;
        Ok(rows.into_iter().map(|(key,)| key).collect())
    }

    pub async fn count(self, db: &Db) -> db::Result<i64> {
        self.query(
            db,
            "SELECT count(*) FROM dead_letters
             WHERE consumer = $1 AND topic = $2 AND log_id >= $3 AND log_id < $4",
        )
        .fetch_scalar()
        .await
    }

    /// The keys that have dead letters marked for replay.
    pub async fn keys_to_replay(self, db: &Db) -> db::Result<Vec<(Uuid,)>> {
        self.query(
            db,
            "SELECT DISTINCT aggregate_id FROM dead_letters
             WHERE consumer = $1 AND topic = $2 AND log_id >= $3 AND log_id < $4 AND replay = $5",
        )
        .bind(true)
        .fetch_all()
        .await
    }

    /// The first dead letter of a key that blocks it or is marked for replay.
    pub async fn next_to_replay(self, db: &Db, key: Uuid) -> db::Result<Option<Received>> {
        let row: Option<Row> = self
            .query(
                db,
                "SELECT log_id, event_id, type AS type_name, aggregate_id, aggregate_version,
                        occurred_at, traceparent, data
                 FROM dead_letters
                 WHERE consumer = $1 AND topic = $2 AND log_id >= $3 AND log_id < $4
                   AND aggregate_id = $5 AND (blocks_key OR replay = $6)
                 ORDER BY log_id LIMIT 1",
            )
            .bind_all((key, true))
            .fetch_optional()
            .await?;
        Ok(row.map(|row| row.received(self.topic)))
    }

    fn query<'q>(self, read: impl Read<'q>, sql: &'static str) -> Query<'q> {
        let query = read.query(sql).bind(self.consumer).bind(self.topic);
        query.bind(self.from).bind(self.end)
    }
}

/// Deletes the dead letter of `event`. Returns false if it does not exist.
pub(crate) async fn delete(tx: &mut Tx, consumer: &str, event: &Received) -> db::Result<bool> {
    let deleted = tx
        .query("DELETE FROM dead_letters WHERE consumer = $1 AND topic = $2 AND log_id = $3")
        .bind_all((consumer, event.topic, event.log_id))
        .execute()
        .await?;
    Ok(deleted == 1)
}

/// Records a failed replay of `event`, and unmarks all dead letters of its key; only its own if it is undecodable, and
/// then it does not block the key any longer.
pub(crate) async fn replay_failed(
    db: &Db,
    consumer: &str,
    event: &Received,
    fault: &Fault,
) -> db::Result<()> {
    let reason = &storable(&fault.to_string());
    let blocks_key = fault.blocks_key();
    db.transact(|mut tx| async move {
        if blocks_key {
            tx.query(
                "UPDATE dead_letters SET replay = $1
                 WHERE consumer = $2 AND topic = $3 AND aggregate_id = $4",
            )
            .bind_all((false, consumer, event.topic, event.aggregate_id))
            .execute()
            .await?;
        }
        tx.query(
            "UPDATE dead_letters
             SET reason = $1, held = $2, replay = $3, blocks_key = blocks_key AND $4,
                 attempt_count = attempt_count + 1
             WHERE consumer = $5 AND topic = $6 AND log_id = $7",
        )
        .bind_all((reason, false, false, blocks_key))
        .bind_all((consumer, event.topic, event.log_id))
        .execute()
        .await
        .map(drop)
    })
    .await
}

/// Deletes the dead letter of an event. If the next dead letter of its key was only held behind it, marks those of the
/// key for replay and returns their number. Returns `None` if there is no such dead letter.
pub(crate) async fn discard(db: &Db, consumer: &str, event_id: Uuid) -> db::Result<Option<u64>> {
    db.transact(|mut tx| async move {
        const FIND: &str =
            "SELECT topic, log_id, aggregate_id FROM dead_letters WHERE consumer = $1 AND event_id = $2";
        let found: Vec<(String, i64, Uuid)> =
            tx.query(FIND).bind_all((consumer, event_id)).fetch_all().await?;
        let mut marked = 0;
        for (topic, log_id, key) in &found {
            // Locks the cursor, so that the consumer does not hold another event of the key at the same time.
            let partition = format!("{topic}/{}", partition_of(*log_id));
            tx.query(
                "UPDATE consumer_cursors SET updated_at = updated_at
                 WHERE consumer = $1 AND (topic = $2 OR topic = $3)",
            )
            .bind_all((consumer, topic.as_str(), partition))
            .execute()
            .await?;
            tx.query("DELETE FROM dead_letters WHERE consumer = $1 AND topic = $2 AND log_id = $3")
                .bind_all((consumer, topic.as_str(), *log_id))
                .execute()
                .await?;
            marked += mark_if_held(&mut tx, consumer, topic, *key).await?;
        }
        Ok::<_, db::Error>((!found.is_empty()).then_some(marked))
    })
    .await
}

/// Marks the dead letters that block a key for replay, if the first of them has not been tried.
async fn mark_if_held(tx: &mut Tx, consumer: &str, topic: &str, key: Uuid) -> db::Result<u64> {
    let held: Option<bool> = tx
        .query(
            "SELECT held FROM dead_letters
             WHERE consumer = $1 AND topic = $2 AND aggregate_id = $3 AND blocks_key
             ORDER BY log_id LIMIT 1",
        )
        .bind_all((consumer, topic, key))
        .fetch_scalar_optional()
        .await?;
    if held != Some(true) {
        return Ok(0);
    }
    tx.query(
        "UPDATE dead_letters SET replay = $1
         WHERE consumer = $2 AND topic = $3 AND aggregate_id = $4 AND blocks_key",
    )
    .bind_all((true, consumer, topic, key))
    .execute()
    .await
}
