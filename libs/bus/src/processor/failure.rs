//! Retries a failed event, and turns it into a dead letter after a permanent failure.

use super::Processor;
use super::apply::Applied;
use crate::cursor::{self, Cursor};
use crate::dead_letters::NewDeadLetter;
use crate::envelope::Envelope;
use crate::kafka::{Kafka, offset_of, partition_of};
use crate::{Fault, Received, inbox, outbox};

impl Processor<'_> {
    /// Retries an event until it is applied or a dead letter.
    pub(super) async fn retry(&mut self, event: &Received, first: Fault) {
        let (mut fault, mut failures, mut attempts) = (first, 0, 0);
        loop {
            attempts += 1;
            failures += u32::from(!matches!(fault, Fault::Transient(_)));
            self.count("failed", 1);
            let permanent = fault.is_permanent() || failures >= self.application.retry.attempts;
            if permanent && self.add_dead_letter(event, &fault, failures).await {
                return;
            }
            if attempts == 1 {
                let (consumer, topic) = (self.consumer(), self.topic.name);
                let (event_id, key) = (event.id, event.aggregate_id);
                tracing::warn!(consumer, topic, %event_id, %key, %fault, "event failed, retrying");
            }
            let error = format!("event {} failed and is retried: {fault}", event.id);
            self.application.state.set_error(&self.name, &error);
            self.sleep(self.application.retry.delay(attempts, rand::random())).await;
            if self.is_stopping() {
                return;
            }
            self.record_lag(1, self.age_millis(event));
            match self.apply(std::slice::from_ref(event)).await {
                Ok(applied) => {
                    self.advance(&applied, &[]);
                    return;
                }
                Err(next) => fault = next,
            }
        }
    }

    /// Stores an event as a dead letter, blocks its key unless it is undecodable, and moves the cursor. Returns false if
    /// the database failed.
    async fn add_dead_letter(&mut self, event: &Received, fault: &Fault, attempts: u32) -> bool {
        let (consumer, topic, event_id) = (self.consumer(), self.topic.name, event.id);
        let Some(at) = self.at else { return true };
        match self.write_dead_letter(event, at, fault, attempts).await {
            Ok(applied) => {
                if matches!(applied, Applied::To(_)) {
                    let (key, reason) = (event.aggregate_id, fault.to_string());
                    let (partition, offset) = (partition_of(event.log_id), offset_of(event.log_id));
                    let blocks_key = fault.blocks_key();
                    tracing::error!(
                        consumer, topic, partition, offset, %event_id, %key, blocks_key, reason,
                        "dead letter stored"
                    );
                    if blocks_key {
                        self.blocked.insert(key);
                    }
                    self.dead_letters += 1;
                    self.count("dead_lettered", 1);
                    self.record_dead_letters();
                }
                self.advance(&applied, &[]);
                true
            }
            Err(error) => {
                tracing::warn!(consumer, topic, %event_id, %error, "storing dead letter failed");
                false
            }
        }
    }

    async fn write_dead_letter(
        &self,
        event: &Received,
        at: Cursor,
        fault: &Fault,
        attempts: u32,
    ) -> db::Result<Applied> {
        let (consumer, name, topic) = (self.consumer(), self.name.as_str(), self.topic);
        let (partition, relayed) = (self.is_partition(), self.db().is_relayed());
        let to = Cursor::after(event);
        let reason = &fault.to_string();
        let blocks_key = fault.blocks_key();
        let write = self.db().transact(|mut tx| async move {
            if !cursor::advance(&mut tx, consumer, name, at, to).await? {
                return Ok(Applied::CursorMoved);
            }
            let (attempts, time) = (i64::from(attempts), tx.now());
            let (held, replay) = (false, false);
            let letter = NewDeadLetter { event, reason, attempts, held, replay, blocks_key, time };
            letter.insert(&mut tx, consumer).await?;
            if partition {
                inbox::claim(&mut tx, consumer, std::slice::from_ref(event)).await?;
            }
            if partition && relayed {
                let copies = Kafka::dead_letter_topic(topic, consumer);
                let envelope = Envelope::of_dead_letter(event, topic, consumer, reason);
                outbox::copy(&mut tx, &copies, event, &envelope).await?;
            }
            Ok::<_, db::Error>(Applied::To(to))
        });
        write.await
    }
}
