//! From the log to the outbox.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use db::Tx;
use db::promotion::{Progress, progress, save_progress};
use ids::Uuid;

use super::{Promotion, Seen, Service};
use crate::Error;
use crate::kafka::lane_of;

/// Events of one transaction.
const BATCH: i64 = 2000;
/// Of one statement: nine values each.
const ROWS: usize = 100;
/// The name of the step.
const STEP: &str = "event_log";

db::record! {
    struct Row {
        id: i64,
        event_id: Uuid,
        topic: String,
        type_name: String,
        aggregate_id: Uuid,
        aggregate_version: i64,
        occurred_at: DateTime<Utc>,
        traceparent: Option<String>,
        data: Vec<u8>,
    }
}

impl Promotion {
    /// Writes every event that is not there yet into the outbox of its service, in order; gives how many there were.
    ///
    /// # Errors
    /// Also when a log has events of a topic that its service does not declare: nobody could publish them.
    pub async fn fill(&self, seen: Seen<'_>) -> Result<u64, Error> {
        let mut count = 0;
        for service in &self.services {
            self.check_topics(service).await?;
            count += service.fill(&mut *seen).await?;
        }
        Ok(count)
    }

    async fn check_topics(&self, service: &Service) -> Result<(), Error> {
        let owner = service.source.service();
        let known: BTreeSet<&str> = self
            .bus
            .topics()
            .filter(|topic| topic.producer == owner)
            .map(|topic| topic.name)
            .collect();
        let query = service.source.query("SELECT DISTINCT topic FROM event_log");
        let used: Vec<(String,)> = query.fetch_all().await?;
        match used.into_iter().find(|(topic,)| !known.contains(topic.as_str())) {
            None => Ok(()),
            Some((topic,)) => Err(Error::Topic(format!(
                "the log of {owner} has events of {topic}, which is no topic of {owner}"
            ))),
        }
    }
}

impl Service {
    async fn fill(&self, seen: Seen<'_>) -> Result<u64, Error> {
        let name = format!("{}.event_log", self.source.service());
        let total: i64 = self.source.query("SELECT count(*) FROM event_log").fetch_scalar().await?;
        loop {
            let at = progress(&self.target, STEP).await?;
            seen(&name, at.rows.unsigned_abs(), total.unsigned_abs());
            if at.done {
                return Ok(at.rows.unsigned_abs());
            }
            let rows: Vec<Row> = self
                .source
                .query(
                    "SELECT id, event_id, topic, type AS type_name, aggregate_id, aggregate_version,
                            occurred_at, traceparent, data
                     FROM event_log WHERE id > $1 ORDER BY id LIMIT $2",
                )
                .bind(at.cursor)
                .bind(BATCH)
                .fetch_all()
                .await?;
            let more = i64::try_from(rows.len()).unwrap_or(BATCH);
            let cursor = rows.last().map_or(at.cursor, |row| row.id);
            let next = Progress { cursor, rows: at.rows + more, done: more < BATCH };
            let rows = &rows;
            self.target
                .transact(|mut tx| async move {
                    for rows in rows.chunks(ROWS) {
                        append(&mut tx, rows).await?;
                    }
                    save_progress(&mut tx, STEP, next).await
                })
                .await?;
        }
    }
}

/// The order of the rows is that of the outbox's ids.
async fn append(tx: &mut Tx, rows: &[Row]) -> db::Result<()> {
    let mut insert = tx.query(
        "INSERT INTO outbox (event_id, topic, type, aggregate_id, aggregate_version, occurred_at,
                             traceparent, data, lane) VALUES ",
    );
    for (i, row) in rows.iter().enumerate() {
        insert = insert
            .push(if i == 0 { "(" } else { ", (" })
            .push_bind(row.event_id)
            .push(", ")
            .push_bind(row.topic.as_str())
            .push(", ")
            .push_bind(row.type_name.as_str())
            .push(", ")
            .push_bind(row.aggregate_id)
            .push(", ")
            .push_bind(row.aggregate_version)
            .push(", ")
            .push_bind(row.occurred_at)
            .push(", ")
            .push_bind(row.traceparent.clone())
            .push(", ")
            .push_bind(row.data.as_slice())
            .push(", ")
            .push_bind(lane_of(&row.topic, row.aggregate_id))
            .push(")");
    }
    insert.execute().await.map(drop)
}
