//! Events that could not be applied, and trying them again.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use db::{Db, Read, Tx};
use ids::Uuid;

use crate::consumer::Handler;
use crate::cursor;
use crate::lane::Lane;
use crate::log::Row;
use crate::{Fault, Received};

db::record! {
    /// A dead letter as operators see it.
    pub(crate) struct DeadLetter {
        pub topic: String,
        pub log_id: i64,
        pub event_id: Uuid,
        pub type_name: String,
        pub aggregate_id: Uuid,
        pub aggregate_version: i64,
        pub occurred_at: DateTime<Utc>,
        pub data: Vec<u8>,
        pub reason: String,
        pub attempt_count: i64,
        pub held: bool,
        pub parked_at: DateTime<Utc>,
    }
}

/// The keys that are parked, of a range of places.
pub(crate) async fn keys(
    read: impl Read<'_>,
    consumer: &str,
    topic: &str,
    range: (i64, i64),
) -> db::Result<HashSet<Uuid>> {
    let rows: Vec<(Uuid,)> = read
        .query(
            "SELECT DISTINCT aggregate_id FROM dead_letters
             WHERE consumer = $1 AND topic = $2 AND log_id >= $3 AND log_id < $4",
        )
        .bind(consumer)
        .bind(topic)
        .bind(range.0)
        .bind(range.1)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

pub(crate) async fn add(
    tx: &mut Tx,
    consumer: &str,
    event: &Received,
    reason: &str,
    attempts: i64,
    held: bool,
) -> db::Result<()> {
    let now = tx.now();
    tx.query(
        "INSERT INTO dead_letters (consumer, topic, log_id, event_id, type, aggregate_id,
                                   aggregate_version, occurred_at, traceparent, data, reason,
                                   attempt_count, held, replay, parked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(consumer)
    .bind(event.topic)
    .bind(event.log_id)
    .bind(event.id)
    .bind(event.type_name.as_str())
    .bind(event.aggregate_id)
    .bind(event.version)
    .bind(event.time)
    .bind(event.traceparent.clone())
    .bind(&event.data[..])
    .bind(reason.replace('\0', " "))
    .bind(attempts)
    .bind(held)
    .bind(false)
    .bind(now)
    .execute()
    .await
    .map(drop)
}

/// The oldest dead letters of a consumer behind `after` (time parked, event id).
pub(crate) async fn list(
    db: &Db,
    consumer: &str,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> db::Result<Vec<DeadLetter>> {
    let mut query = db
        .query(
            "SELECT topic, log_id, event_id, type AS type_name, aggregate_id, aggregate_version,
                    occurred_at, data, reason, attempt_count, held, parked_at
             FROM dead_letters WHERE consumer = $1",
        )
        .bind(consumer);
    if let Some((time, id)) = after {
        query = query
            .push(" AND (parked_at, event_id) > (")
            .push_bind(time)
            .push(", ")
            .push_bind(id)
            .push(")");
    }
    query.push(" ORDER BY parked_at, event_id LIMIT ").push_bind(limit).fetch_all().await
}

/// Marks the dead letters of a key for replay; gives how many there are.
pub(crate) async fn mark(db: &Db, consumer: &str, key: Uuid) -> db::Result<u64> {
    db.transact(|mut tx| async move {
        tx.query("UPDATE dead_letters SET replay = $1 WHERE consumer = $2 AND aggregate_id = $3")
            .bind(true)
            .bind(consumer)
            .bind(key)
            .execute()
            .await
    })
    .await
}

impl<H: Handler> Lane<'_, H> {
    /// Tries what is marked for replay, key by key, each in order until one fails.
    pub(super) async fn replay(&mut self) -> db::Result<()> {
        let keys: Vec<(Uuid,)> = self
            .db()
            .query(
                "SELECT DISTINCT aggregate_id FROM dead_letters
                 WHERE consumer = $1 AND topic = $2 AND replay = $3 AND log_id >= $4 AND log_id < $5",
            )
            .bind(self.name())
            .bind(self.topic.name)
            .bind(true)
            .bind(self.range.0)
            .bind(self.range.1)
            .fetch_all()
            .await?;
        for (key,) in keys {
            while let Some(event) = self.first_of(key).await? {
                match self.replay_one(&event).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(fault) => {
                        self.replay_failed(&event, &fault).await?;
                        break;
                    }
                }
            }
        }
        self.parked = self.keys().await?;
        self.show_parked();
        Ok(())
    }

    async fn first_of(&self, key: Uuid) -> db::Result<Option<Received>> {
        let row: Option<Row> = self
            .db()
            .query(
                "SELECT log_id, event_id, type AS type_name, aggregate_id, aggregate_version,
                        occurred_at, traceparent, data
                 FROM dead_letters WHERE consumer = $1 AND topic = $2 AND aggregate_id = $3
                   AND log_id >= $4 AND log_id < $5
                 ORDER BY log_id LIMIT 1",
            )
            .bind(self.name())
            .bind(self.topic.name)
            .bind(key)
            .bind(self.range.0)
            .bind(self.range.1)
            .fetch_optional()
            .await?;
        Ok(row.map(|row| row.received(self.topic.name)))
    }

    /// Applies a dead letter and removes it; false when somebody else is at work.
    async fn replay_one(&mut self, event: &Received) -> Result<bool, Fault> {
        let Some(at) = self.at else { return Ok(false) };
        let mut tx = self.db().begin().await?;
        let result = async {
            if !cursor::advance(&mut tx, self.name(), &self.place, at, at).await? {
                return Ok(false);
            }
            let removed = tx
                .query(
                    "DELETE FROM dead_letters WHERE consumer = $1 AND topic = $2 AND log_id = $3",
                )
                .bind(self.name())
                .bind(self.topic.name)
                .bind(event.log_id)
                .execute()
                .await?;
            match removed {
                1 => self.handle(&mut tx, event).await.map(|()| true),
                _ => Ok(false),
            }
        }
        .await;
        match result {
            Ok(true) => tx.commit().await.map(|()| true).map_err(Fault::from),
            Ok(false) => {
                tx.rollback().await;
                self.at = None;
                Ok(false)
            }
            Err(fault) => {
                tx.rollback().await;
                Err(fault)
            }
        }
    }

    async fn replay_failed(&self, event: &Received, fault: &Fault) -> db::Result<()> {
        let (consumer, topic, event_id) = (self.name(), self.topic.name, event.id);
        tracing::warn!(consumer, topic, %event_id, %fault, "a replayed dead letter failed again");
        let reason = &fault.to_string().replace('\0', " ");
        self.db()
            .transact(|mut tx| async move {
                tx.query(
                    "UPDATE dead_letters SET replay = $1
                     WHERE consumer = $2 AND topic = $3 AND aggregate_id = $4",
                )
                .bind(false)
                .bind(consumer)
                .bind(topic)
                .bind(event.aggregate_id)
                .execute()
                .await?;
                tx.query(
                    "UPDATE dead_letters
                     SET reason = $1, held = $2, attempt_count = attempt_count + 1
                     WHERE consumer = $3 AND topic = $4 AND log_id = $5",
                )
                .bind(reason)
                .bind(false)
                .bind(consumer)
                .bind(topic)
                .bind(event.log_id)
                .execute()
                .await
                .map(drop)
            })
            .await
    }
}
