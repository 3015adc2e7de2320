//! Which topics are there. What is sent to one that is not is held by the client for long, and what is behind it too.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::producer::{FutureProducer, Producer as _};
use rdkafka::types::RDKafkaRespErr;
use tokio::time::Instant;

use crate::Error;

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often to ask for what was absent.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Presence {
    present: BTreeSet<String>,
    absent: BTreeSet<String>,
    /// Those that were absent when last asked for, too: a topic that was just made is not known everywhere at once.
    before: BTreeSet<String>,
    asked: Option<Instant>,
}

impl Presence {
    /// Topics that are not there, by the names that events have for them.
    pub fn absent(&self) -> &BTreeSet<String> {
        &self.absent
    }

    /// Those of them that people should know of.
    pub fn lasting(&self) -> BTreeSet<String> {
        self.absent.intersection(&self.before).cloned().collect()
    }

    /// From time to time what was absent is asked for again: true when it is time, and there was any.
    pub fn look_again(&mut self) -> bool {
        if self.asked.is_some_and(|asked| asked.elapsed() < AGAIN) {
            return false;
        }
        self.before = std::mem::take(&mut self.absent);
        !self.before.is_empty()
    }

    /// Asks again for all.
    pub fn forget(&mut self) {
        self.present.clear();
    }

    /// Asks for a topic, if it is not known yet; true when it is there.
    pub async fn look(
        &mut self,
        topic: &str,
        name: &str,
        producer: &FutureProducer,
    ) -> Result<bool, Error> {
        if self.present.contains(topic) || self.absent.contains(topic) {
            return Ok(self.present.contains(topic));
        }
        let (producer, name) = (producer.clone(), name.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(Some(&name), PATIENCE)?;
            let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            Ok(metadata.topics().iter().all(|topic| topic.error() != Some(unknown)))
        });
        let there = asked.await.map_err(|error| Error::Kafka(error.to_string()))?;
        let there = there.map_err(|error: rdkafka::error::KafkaError| {
            Error::Kafka(format!("Kafka does not answer: {error}"))
        })?;
        self.asked = Some(Instant::now());
        let known = if there { &mut self.present } else { &mut self.absent };
        known.insert(topic.to_owned());
        Ok(there)
    }
}
