//! Making topics. That is an act of the operator, or of a start that is told to: never of a message.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};

use super::Kafka;
use crate::Error;

/// How long the cluster may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to ask why it did not work.
const EXPLAINING: Duration = Duration::from_secs(3);
/// How long dead letters are kept.
const DEAD_LETTERS: Duration = Duration::from_secs(30 * 24 * 3600);

/// A topic that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its name on the cluster.
    pub name: String,
    /// False when it was there already.
    pub new: bool,
}

/// The first thing that a client complained of.
#[derive(Default)]
struct Complaint(OnceLock<String>);

impl ClientContext for Complaint {
    fn error(&self, error: KafkaError, reason: &str) {
        // Said beside the reason, which is what is asked for.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.0.set(reason.to_owned()).ok();
        }
    }
}

impl ProducerContext for Complaint {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Kafka's own default, in bytes.
const LARGEST_BATCH: &str = "1048588";

impl Kafka {
    /// Makes the topics that are missing. What is there stays as it is.
    pub(crate) async fn create(
        &self,
        topics: &[&str],
        dead_letters: &[String],
    ) -> Result<Vec<Created>, Error> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let forever = match self.config.retention_hours {
            0 => "-1".to_owned(),
            hours => (u128::from(hours) * 3_600_000).to_string(),
        };
        let limited = DEAD_LETTERS.as_millis().to_string();
        let replicas = self.config.min_insync_replicas.to_string();
        let named = topics.iter().map(|topic| (self.name(topic), forever.as_str()));
        let letters = dead_letters.iter().map(|topic| (self.name(topic), limited.as_str()));
        let named: Vec<(String, &str)> = named.chain(letters).collect();
        let new: Vec<NewTopic<'_>> = named
            .iter()
            .map(|(name, retention)| {
                let copies = TopicReplication::Fixed(self.config.replication);
                NewTopic::new(name, self.config.partitions, copies)
                    .set("retention.ms", retention)
                    .set("min.insync.replicas", &replicas)
                    .set("cleanup.policy", "delete")
                    // What the producer puts together, whatever the broker's own limit is.
                    .set("max.message.bytes", LARGEST_BATCH)
            })
            .collect();
        let options =
            AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let mut created = Vec::new();
        let results = match admin.create_topics(&new, &options).await {
            Ok(results) => results,
            Err(error) => return Err(self.explained(&error).await),
        };
        for result in results {
            created.push(match result {
                Ok(name) => Created { name, new: true },
                Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => Created { name, new: false },
                Err((name, code)) => {
                    return Err(Error::Kafka(format!("topic {name} cannot be made: {code}")));
                }
            });
        }
        Ok(created)
    }

    /// With the reason: a request that waited in vain does not tell that the account was refused, say.
    async fn explained(&self, error: &KafkaError) -> Error {
        let client = self.client();
        let reason = tokio::task::spawn_blocking(move || {
            let asking: BaseProducer<Complaint> =
                client.create_with_context(Complaint::default()).ok()?;
            let deadline = Instant::now() + EXPLAINING;
            while Instant::now() < deadline {
                asking.poll(Duration::from_millis(50));
                if let Some(reason) = asking.client().context().0.get() {
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
