//! Which topics exist on the broker. The client keeps messages for a missing topic queued, and blocks those after them,
//! so their events stay in the outbox.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::types::RDKafkaRespErr;
use tokio::time::Instant;

use super::producer::Producer;
use crate::Error;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Topics are without the installation's prefix.
#[derive(Default)]
pub(super) struct KnownTopics {
    existing: BTreeSet<String>,
    pub missing: BTreeSet<String>,
    /// Missing in the previous check too: a topic that was just created is not known to all brokers at once.
    missing_before: BTreeSet<String>,
    checked: Option<Instant>,
}

impl KnownTopics {
    /// Topics that were missing in two checks, to be reported.
    pub fn missing_twice(&self) -> BTreeSet<String> {
        self.missing.intersection(&self.missing_before).cloned().collect()
    }

    /// Forgets missing topics if a new check is due. Returns true if there were any.
    pub fn recheck(&mut self) -> bool {
        if self.checked.is_some_and(|checked| checked.elapsed() < RECHECK_INTERVAL) {
            return false;
        }
        self.missing_before = std::mem::take(&mut self.missing);
        !self.missing_before.is_empty()
    }

    pub fn clear(&mut self) {
        self.existing.clear();
    }

    /// Whether a topic exists; asks the broker if that is not known yet. `name` is its name on the broker.
    pub async fn exists(
        &mut self,
        topic: &str,
        name: &str,
        producer: &Producer,
    ) -> Result<bool, Error> {
        if self.existing.contains(topic) || self.missing.contains(topic) {
            return Ok(self.existing.contains(topic));
        }
        let (producer, name) = (producer.clone(), name.to_owned());
        let lookup = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(Some(&name), REQUEST_TIMEOUT)?;
            let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            Ok(metadata.topics().iter().all(|topic| topic.error() != Some(unknown)))
        });
        let exists = lookup.await.map_err(|error| Error::Kafka(error.to_string()))?;
        let exists = exists.map_err(|error: rdkafka::error::KafkaError| {
            Error::Kafka(format!("no response: {error}"))
        })?;
        self.checked = Some(Instant::now());
        let known = if exists { &mut self.existing } else { &mut self.missing };
        known.insert(topic.to_owned());
        Ok(exists)
    }
}
