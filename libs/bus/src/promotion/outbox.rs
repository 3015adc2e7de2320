//! The first step: copies the event logs to the outboxes.

use std::collections::BTreeSet;

use db::promotion::{Progress, progress, save_progress};
use futures_util::future::BoxFuture;

use super::{OnProgress, Promotion, Service};
use crate::Error;
use crate::log::TopicRow;
use crate::outbox::{Table, insert};

/// Events of one transaction.
const BATCH: i64 = 2000;
const STEP: &str = "event_log";

impl Promotion {
    /// Copies the events that have not been copied yet, in order. Returns the number of all events.
    ///
    /// # Errors
    /// Also if a log has events of a topic that its service does not declare: they could not be published.
    pub fn fill_outboxes<'a>(
        &'a self,
        on_progress: OnProgress<'a>,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let mut count = 0;
            for service in &self.services {
                self.check_topics(service).await?;
                count += service.fill_outbox(&mut *on_progress).await?;
            }
            Ok(count)
        })
    }

    async fn check_topics(&self, service: &Service) -> Result<(), Error> {
        let owner = service.source.service();
        let declared: BTreeSet<&str> = self
            .bus
            .topics()
            .filter(|topic| topic.producer == owner)
            .map(|topic| topic.name)
            .collect();
        let query = service.source.query("SELECT DISTINCT topic FROM event_log");
        let used: Vec<(String,)> = query.fetch_all().await?;
        match used.into_iter().find(|(topic,)| !declared.contains(topic.as_str())) {
            None => Ok(()),
            Some((topic,)) => Err(Error::Topic(format!(
                "the log of {owner} has events of topic {topic}, which {owner} does not declare"
            ))),
        }
    }
}

impl Service {
    async fn fill_outbox(&self, on_progress: OnProgress<'_>) -> Result<u64, Error> {
        let name = format!("{}.event_log", self.source.service());
        let total: i64 = self.source.query("SELECT count(*) FROM event_log").fetch_scalar().await?;
        loop {
            let at = progress(&self.target, STEP).await?;
            on_progress(&name, at.rows.unsigned_abs(), total.unsigned_abs());
            if at.done {
                return Ok(at.rows.unsigned_abs());
            }
            let rows: Vec<TopicRow> = self
                .source
                .query(
                    "SELECT CAST(0 AS BIGINT) AS lane, id AS log_id, event_id, topic, type AS type_name, aggregate_id,
                            aggregate_version, occurred_at, traceparent, data, NULL AS envelope
                     FROM event_log WHERE id > $1 ORDER BY id LIMIT $2",
                )
                .bind_all((at.cursor, BATCH))
                .fetch_all()
                .await?;
            let count = i64::try_from(rows.len()).unwrap_or(BATCH);
            let cursor = rows.last().map_or(at.cursor, |row| row.row.log_id);
            let next = Progress { cursor, rows: at.rows + count, done: count < BATCH };
            let rows = &rows;
            self.target
                .transact(|mut tx| async move {
                    insert(&mut tx, Table::Outbox, rows.iter().map(|r| (r.topic.as_str(), &r.row)))
                        .await?;
                    save_progress(&mut tx, STEP, next).await
                })
                .await?;
        }
    }
}
