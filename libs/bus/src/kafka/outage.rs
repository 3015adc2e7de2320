//! Outages of the cluster. A process has many clients, each of which reports a failed connection several times per
//! second; the log has one line for the start of an outage and one for its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// After the end of an outage other clients may report failures that preceded it.
const SETTLE: Duration = Duration::from_secs(3);

/// Shared by the clients of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outage(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    ended: Option<Instant>,
}

impl State {
    /// Returns true if an outage begins.
    fn begin(&mut self, now: Instant) -> bool {
        let settling = self.ended.is_some_and(|at| now < at + SETTLE);
        let begins = self.since.is_none() && !settling;
        if begins {
            self.since = Some(now);
        }
        begins
    }

    /// The duration of the outage that ends.
    fn end(&mut self, now: Instant) -> Option<Duration> {
        let since = self.since.take()?;
        self.ended = Some(now);
        Some(now.saturating_duration_since(since))
    }
}

impl Outage {
    /// Kafka does not answer.
    pub fn begin(&self, error: &str) {
        if self.state().begin(Instant::now()) {
            tracing::warn!(error, "kafka unavailable");
        }
    }

    /// Kafka has answered.
    pub fn end(&self) {
        if let Some(duration) = self.state().end(Instant::now()) {
            tracing::info!(outage_seconds = duration.as_secs(), "kafka available again");
        }
    }

    pub fn is_on(&self) -> bool {
        self.state().since.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The context of a client that only reports outages.
pub(crate) struct Observer(pub Outage);

impl ClientContext for Observer {
    /// Failures that matter are reported as errors too.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(facility, text, "kafka client message");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode::{AllBrokersDown, Authentication, SSL};
        match error.rdkafka_error_code() {
            Some(AllBrokersDown | Authentication | SSL) => self.0.begin(reason),
            _ => tracing::debug!(%error, reason, "kafka client error"),
        }
    }
}

impl ConsumerContext for Observer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_and_ends_once() {
        let (mut state, start) = (State::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let begun = (0..120).filter(|half| state.begin(start + *half * SETTLE / 6)).count();
        assert_eq!(begun, 1);
        assert_eq!(state.end(at(60)), Some(Duration::from_secs(60)));
        assert_eq!(state.end(at(61)), None);
        assert!(!state.begin(at(61)), "a client that has not reconnected");
        assert!(state.begin(at(64)), "the next outage");
    }
}
