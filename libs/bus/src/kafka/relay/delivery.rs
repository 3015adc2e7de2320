//! Sends rows to the broker and waits for its delivery reports.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::time::Duration;

use ids::Uuid;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;

use super::{COALESCE, Publisher};
use crate::Error;
use crate::envelope::Envelope;
use crate::kafka::message;
use crate::kafka::outbox_rows;
use crate::kafka::producer::{Delivery, Message, Producer};
use crate::log::TopicRow;

/// After this time without a delivery report, the broker is reported as unresponsive.
const SLOW: Duration = Duration::from_secs(3);

/// Rows that were sent to the broker.
#[derive(Default)]
pub(super) struct Batch {
    lanes: Vec<i64>,
    rows: Vec<TopicRow>,
    deliveries: Vec<(i64, Delivery, tracing::Span)>,
    /// The scan that read these rows.
    scan: u64,
}

impl Batch {
    pub fn new(lanes: Vec<i64>, scan: u64) -> Self {
        Self { lanes, scan, ..Self::default() }
    }

    /// The rows that were sent.
    pub fn ids(&self) -> impl Iterator<Item = i64> {
        self.deliveries.iter().map(|(id, ..)| *id)
    }

    pub fn is_covered_by(&self, held_lanes: &[i64]) -> bool {
        self.lanes.iter().all(|lane| held_lanes.contains(lane))
    }
}

impl Publisher<'_> {
    /// Passes rows to the producer, in order.
    pub(super) async fn send(
        &mut self,
        mut rows: Vec<TopicRow>,
        mut batch: Batch,
    ) -> Result<(), Error> {
        self.measure(&rows);
        let producer = self.producer()?;
        self.skip_missing_topics(&mut rows, &producer).await?;
        let source = format!("/agon/{}", self.db().service());
        let (mut refusals, mut names) = (Vec::new(), HashMap::new());
        for TopicRow { row, topic, envelope, .. } in &rows {
            if !self.refused.is_empty() && self.refused.contains(&(topic.clone(), row.aggregate_id))
            {
                continue;
            }
            let kafka = &self.relay.kafka;
            let name = names.entry(topic.as_str()).or_insert_with(|| kafka.topic_name(topic));
            let mut key = Uuid::encode_buffer();
            let key = &*row.aggregate_id.hyphenated().encode_lower(&mut key);
            let envelope = envelope.as_deref().and_then(Envelope::parse);
            let (key, headers) = match &envelope {
                None => (Some(key.as_bytes()), message::headers(row, key, &source)),
                Some(envelope) => (envelope.key.as_deref(), envelope.kafka_headers()),
            };
            match producer.send(name, Message { key, payload: &row.data, headers }) {
                Ok(delivery) => {
                    batch.deliveries.push((row.log_id, delivery, message::span(row, topic)));
                }
                // The rows in flight must be delivered first.
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => break,
                Err(error) if message::is_permanent(&error) => {
                    self.refused.insert((topic.clone(), row.aggregate_id));
                    refusals.push((row.log_id, error.to_string()));
                }
                Err(error) => {
                    self.drop_producer();
                    return Err(Error::Kafka(error.to_string()));
                }
            }
        }
        for (id, reason) in refusals {
            self.refuse(id, &reason, &rows).await?;
        }
        self.bound.sent(batch.ids());
        batch.rows = rows;
        self.in_flight = Some(batch).filter(|batch| !batch.deliveries.is_empty());
        Ok(())
    }

    /// Removes the rows whose topics do not exist.
    async fn skip_missing_topics(
        &mut self,
        rows: &mut Vec<TopicRow>,
        producer: &Producer,
    ) -> Result<(), Error> {
        let topics: BTreeSet<&str> = rows.iter().map(|row| row.topic.as_str()).collect();
        let mut missing = false;
        for topic in topics {
            let name = self.relay.kafka.topic_name(topic);
            missing |= !self.topics.exists(topic, &name, producer).await?;
        }
        if missing {
            rows.retain(|row| !self.topics.missing.contains(&row.topic));
        }
        let service = self.relay.db.service();
        self.relay.health.set_missing_topics(service, &self.topics.missing_twice());
        Ok(())
    }

    /// Waits for delivery reports. Returns false if this relay lost a lease or must stop.
    pub(super) async fn await_delivery(&mut self, batch: Batch) -> Result<bool, Error> {
        let Batch { lanes, rows, deliveries, scan } = batch;
        let deliveries = async {
            let (mut published, mut refused, mut failed) = (Vec::new(), Vec::new(), None);
            for (id, delivery, span) in deliveries {
                let why = match delivery.await {
                    Ok(Ok(())) => {
                        published.push(id);
                        continue;
                    }
                    Ok(Err(error)) if message::is_permanent(&error) => {
                        refused.push((id, error.to_string()));
                        "the broker refused the event"
                    }
                    Ok(Err(error)) => {
                        failed = Some(error.to_string());
                        "the delivery failed"
                    }
                    Err(_) => {
                        failed = Some("the producer was dropped".to_owned());
                        "the producer was dropped"
                    }
                };
                span.record("otel.status_description", why);
            }
            (published, refused, failed)
        };
        let delivered = self.while_leased(&lanes, deliveries).await?;
        let Some((published, refused, failed)) = delivered else { return Ok(false) };
        if !published.is_empty() {
            self.relay.kafka.outage.end();
        }
        let complete = published.len() == rows.len();
        let last = rows.last().filter(|_| complete).map(|last| last.row.log_id);
        self.published.complete_to = last.map(|last| (last, scan));
        self.published.ids.extend(published);
        for (id, reason) in refused {
            self.refuse(id, &reason, &rows).await?;
        }
        if let Some(error) = failed {
            // Later messages of this producer would overtake the failed one.
            self.drop_producer();
            return Err(Error::Kafka(error));
        }
        Ok(true)
    }

    /// Waits for `result` while the leases of `lanes` are renewed. Returns `None` if one is lost or at the stop.
    async fn while_leased<T>(
        &mut self,
        lanes: &[i64],
        result: impl Future<Output = T> + Send,
    ) -> Result<Option<T>, Error> {
        let mut result = std::pin::pin!(result);
        let started = Instant::now();
        loop {
            let due = self.leases.due;
            tokio::select! {
                result = &mut result => return Ok(Some(result)),
                () = self.stop.clone() => {
                    self.drop_producer();
                    return Ok(None);
                }
                () = tokio::time::sleep_until(due) => {
                    let service = self.relay.db.service();
                    if started.elapsed() > SLOW
                        && self.relay.health.set_error(service, "no response from Kafka")
                    {
                        tracing::warn!(service, "no response from kafka, events stay in the outbox");
                    }
                    let renewed = self.leases.renew(&self.relay.db).await;
                    if matches!(renewed, Ok(true)) {
                        self.rescan();
                    }
                    let held = self.leases.held();
                    let leased = lanes.iter().all(|lane| held.contains(lane));
                    if !leased {
                        self.drop_producer();
                        return Ok(None);
                    }
                    if renewed.is_err() {
                        // The leases have not expired; the database may recover before they do.
                        tokio::time::sleep(COALESCE).await;
                    }
                }
            }
        }
    }

    /// The current producer; a new one at first and after a fatal error.
    pub(super) fn producer(&mut self) -> Result<Producer, Error> {
        if let Some(producer) = &self.producer
            && producer.client().fatal_error().is_none()
        {
            return Ok(producer.clone());
        }
        self.drop_producer();
        let mut config = self.relay.kafka.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            // Rows are read in batches already; lingering would only add latency.
            .set("linger.ms", "0")
            // No timeout: a message that expired alone would be overtaken by the next one of its key. The relay drops
            // the producer when it loses a lease.
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.messages", "10000")
            .set("queue.buffering.max.kbytes", "65536");
        let producer = Producer::new(&config, self.relay.kafka.outage.clone())?;
        self.producer = Some(producer.clone());
        Ok(producer)
    }

    /// Drops the producer with all messages that it has not delivered.
    pub(super) fn drop_producer(&mut self) {
        self.in_flight = None;
        self.bound.forget_sent();
        self.topics.clear();
        if let Some(producer) = self.producer.take() {
            tokio::task::spawn_blocking(move || producer.purge());
        }
    }

    async fn refuse(&mut self, id: i64, reason: &str, rows: &[TopicRow]) -> Result<(), Error> {
        let refused = rows.iter().find(|refused| refused.row.log_id == id);
        if let Some(TopicRow { row, topic, .. }) = refused {
            let (event_id, key) = (row.event_id, row.aggregate_id);
            tracing::error!(topic, %event_id, %key, reason, "event refused by kafka, key blocked");
            self.refused.insert((topic.clone(), row.aggregate_id));
        }
        self.report_refused();
        outbox_rows::refuse(self.db(), id, reason).await
    }
}
