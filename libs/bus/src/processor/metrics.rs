//! Spans and metrics of a processor.

use metrics::{counter, gauge};

use super::{BATCH, Processor, Source};
use crate::{Received, log};

impl Processor<'_> {
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
            messaging.consumer.group.name = self.consumer(),
            messaging.message.id = %event.id,
        )
    }

    /// Records the lag: the events that were read, and those behind a full batch.
    pub(super) async fn measure_lag(&self, events: &[Received]) -> db::Result<()> {
        let unread = match (events, &self.source) {
            ([.., last], Source::Log(log, _))
                if events.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX) =>
            {
                log::count_after(log, self.topic.name, last.log_id).await?
            }
            _ => 0,
        };
        let age = events.first().map_or(0, |event| self.age_millis(event));
        self.record_lag(unread + events.len() as i64, age);
        Ok(())
    }

    pub(super) fn age_millis(&self, event: &Received) -> i64 {
        (self.db().clock().now() - event.time).num_milliseconds().max(0)
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    pub(super) fn record_lag(&self, events: i64, millis: i64) {
        let (consumer, topic) = (self.consumer(), self.name.clone());
        gauge!("agon_bus_lag_events", "consumer" => consumer, "topic" => topic.clone())
            .set(events as f64);
        gauge!("agon_bus_lag_seconds", "consumer" => consumer, "topic" => topic)
            .set(millis as f64 / 1000.0);
    }

    pub(super) fn record_dead_letters(&self) {
        let (consumer, topic) = (self.consumer(), self.name.clone());
        self.application.state.set_blocked_keys(&topic, self.blocked.len());
        #[expect(clippy::cast_precision_loss, reason = "gauges")]
        {
            gauge!("agon_bus_blocked_keys", "consumer" => consumer, "topic" => topic.clone())
                .set(self.blocked.len() as f64);
            gauge!("agon_bus_dead_letters", "consumer" => consumer, "topic" => topic)
                .set(self.dead_letters as f64);
        }
    }

    pub(super) fn count(&self, outcome: &'static str, events: usize) {
        let (consumer, topic) = (self.consumer(), self.topic.name);
        counter!("agon_bus_events_total", "consumer" => consumer, "topic" => topic, "outcome" => outcome)
            .increment(events as u64);
    }
}
