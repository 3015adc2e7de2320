//! What is recorded of a lane: spans, how far behind it is, and what became of its events.

use metrics::{counter, gauge};

use super::{BATCH, Lane, Source};
use crate::consumer::Handler;
use crate::{Received, log};

impl<H: Handler> Lane<'_, H> {
    /// The span of an event's handling.
    pub(super) fn span(&self, event: &Received) -> tracing::Span {
        let partition = match &self.source {
            Source::Partition(partition) => Some(partition.number.to_string()),
            Source::Log(..) => None,
        };
        tracing::info_span!(
            "event",
            otel.kind = "consumer",
            otel.name = format!("process {}", self.topic.name),
            messaging.system = if self.is_partition() { "kafka" } else { "agon" },
            messaging.operation.type = "process",
            messaging.destination.name = self.topic.name,
            messaging.destination.partition.id = partition,
            messaging.consumer.group.name = self.name(),
            messaging.message.id = %event.id,
        )
    }

    pub(super) async fn measure(&self, events: &[Received]) -> db::Result<()> {
        let behind = match (events, &self.source) {
            ([.., last], Source::Log(log, _))
                if events.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX) =>
            {
                log::count_after(log, self.topic.name, last.log_id).await?
            }
            _ => 0,
        };
        let age = events.first().map_or(0, |event| self.age(event));
        self.show_lag(behind + events.len() as i64, age);
        Ok(())
    }

    /// How long ago an event happened, in milliseconds.
    pub(super) fn age(&self, event: &Received) -> i64 {
        (self.db().clock().now() - event.time).num_milliseconds().max(0)
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    pub(super) fn show_lag(&self, events: i64, millis: i64) {
        let (consumer, topic) = (self.name(), self.place.clone());
        gauge!("agon_bus_lag_events", "consumer" => consumer, "topic" => topic.clone())
            .set(events as f64);
        gauge!("agon_bus_lag_seconds", "consumer" => consumer, "topic" => topic)
            .set(millis as f64 / 1000.0);
    }

    pub(crate) fn show_parked(&self) {
        let (consumer, topic) = (self.name(), self.place.clone());
        self.consumer.state.parked(&topic, self.parked.len());
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        gauge!("agon_bus_parked_keys", "consumer" => consumer, "topic" => topic)
            .set(self.parked.len() as f64);
    }

    pub(super) fn count(&self, outcome: &'static str, events: usize) {
        let (consumer, topic) = (self.name(), self.topic.name);
        counter!("agon_bus_events_total", "consumer" => consumer, "topic" => topic, "outcome" => outcome)
            .increment(events as u64);
    }
}
