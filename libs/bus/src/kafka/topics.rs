//! Creates topics on request. Messages never create topics.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};

use super::Kafka;
use super::outage::Observer;
use crate::Error;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for the client to report the cause of a failure.
const CAUSE_TIMEOUT: Duration = Duration::from_secs(3);
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// The result for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its name on the cluster.
    pub name: String,
    /// False if it existed before.
    pub new: bool,
}

#[derive(Default)]
struct FirstError(OnceLock<String>);

impl ClientContext for FirstError {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(facility, text, "kafka client message");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Follows from the actual cause, which is reported separately.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.0.set(reason.to_owned()).ok();
        }
    }
}

impl ProducerContext for FirstError {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// In bytes; Kafka's default.
const MAX_BATCH: &str = "1048588";

impl Kafka {
    /// Creates missing topics. Does not change existing ones.
    pub(crate) async fn create_topics(
        &self,
        topics: &[&str],
        dead_letters: &[String],
    ) -> Result<Vec<Created>, Error> {
        let admin: AdminClient<Observer> = self.client().create_with_context(self.observer())?;
        let retention = match self.config.retention_hours {
            0 => "-1".to_owned(),
            hours => (u128::from(hours) * 3_600_000).to_string(),
        };
        let dead_letter_retention = DEAD_LETTER_RETENTION.as_millis().to_string();
        let replicas = self.config.min_insync_replicas.to_string();
        let topics = topics.iter().map(|topic| (self.topic_name(topic), retention.as_str()));
        let dead_letters = dead_letters
            .iter()
            .map(|topic| (self.topic_name(topic), dead_letter_retention.as_str()));
        let named: Vec<(String, &str)> = topics.chain(dead_letters).collect();
        let new: Vec<NewTopic<'_>> = named
            .iter()
            .map(|(name, retention)| {
                let copies = TopicReplication::Fixed(self.config.replication);
                NewTopic::new(name, self.config.partitions, copies)
                    .set("retention.ms", retention)
                    .set("min.insync.replicas", &replicas)
                    .set("cleanup.policy", "delete")
                    // The producer's batch size must fit, whatever the broker's default is.
                    .set("max.message.bytes", MAX_BATCH)
            })
            .collect();
        let options = AdminOptions::new()
            .request_timeout(Some(REQUEST_TIMEOUT))
            .operation_timeout(Some(REQUEST_TIMEOUT));
        let mut created = Vec::new();
        let results = match admin.create_topics(&new, &options).await {
            Ok(results) => results,
            Err(error) => return Err(self.with_cause(&error).await),
        };
        for result in results {
            created.push(match result {
                Ok(name) => Created { name, new: true },
                Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => Created { name, new: false },
                Err((name, code)) => {
                    return Err(Error::Kafka(format!("cannot create topic {name}: {code}")));
                }
            });
        }
        Ok(created)
    }

    /// Adds the cause: the error of a request that timed out does not mention, for example, a failed authentication.
    async fn with_cause(&self, error: &KafkaError) -> Error {
        let client = self.client();
        let reason = tokio::task::spawn_blocking(move || {
            let probe: BaseProducer<FirstError> =
                client.create_with_context(FirstError::default()).ok()?;
            let deadline = Instant::now() + CAUSE_TIMEOUT;
            while Instant::now() < deadline {
                probe.poll(Duration::from_millis(50));
                if let Some(reason) = probe.client().context().0.get() {
                    return Some(reason.clone());
                }
            }
            None
        });
        let reason = reason.await.ok().flatten();
        Error::Kafka(match reason {
            Some(reason) => format!("{error}: {reason}"),
            None => error.to_string(),
        })
    }
}
