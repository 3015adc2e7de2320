//! Spans and metrics of a processor.

use metrics::{counter, gauge};

use super::{BATCH, Processor, Source};
use crate::handler::Handler;
use crate::{Received, log};

impl<H: Handler> Processor<'_, H> {
    /// The span of an event's handling.
    pub(super) fn record(&self, context: &mut rpc::Context, event: &Received) -> rpc::Span {
        let name = format_args!("process {}", self.topic.name);
        let mut recorded = context.record(rpc::Kind::Consumer, name);
        recorded.set("messaging.system", if self.is_partition() { "kafka" } else { "agon" });
        recorded.set("messaging.operation.type", "process");
        recorded.set("messaging.destination.name", self.topic.name);
        recorded.set("messaging.consumer.group.name", self.consumer());
        recorded.set_text("messaging.message.id", event.id);
        if let Source::Partition(partition) = &self.source {
            recorded.set_text("messaging.destination.partition.id", partition.number);
        }
        recorded
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

    pub(super) fn record_blocked_keys(&self) {
        let (consumer, topic) = (self.consumer(), self.name.clone());
        self.application.state.set_blocked_keys(&topic, self.blocked.len());
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        gauge!("agon_bus_parked_keys", "consumer" => consumer, "topic" => topic)
            .set(self.blocked.len() as f64);
    }

    pub(super) fn count(&self, outcome: &'static str, events: usize) {
        let (consumer, topic) = (self.consumer(), self.topic.name);
        counter!("agon_bus_events_total", "consumer" => consumer, "topic" => topic, "outcome" => outcome)
            .increment(events as u64);
    }
}
