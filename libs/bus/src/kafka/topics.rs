//! Making topics. That is an act of the operator, or of a start that is told to: never of a message.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::Kafka;
use crate::Error;

/// How long the cluster may take.
const PATIENCE: Duration = Duration::from_secs(30);
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

/// Keeps what the client last complained of: that it could not log in, say, which a request that waited in vain does
/// not tell.
#[derive(Default)]
struct Complaint(Mutex<Option<String>>);

impl ClientContext for Complaint {
    fn error(&self, _: KafkaError, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl Complaint {
    fn about(&self, error: &KafkaError) -> Error {
        let reason = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Error::Kafka(
            reason.map_or_else(|| error.to_string(), |reason| format!("{error}: {reason}")),
        )
    }
}

impl Kafka {
    /// Makes the topics that are missing. What is there stays as it is.
    pub(crate) async fn create(
        &self,
        topics: &[&str],
        dead_letters: &[String],
    ) -> Result<Vec<Created>, Error> {
        let admin: AdminClient<Complaint> =
            self.client().create_with_context(Complaint::default())?;
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
            })
            .collect();
        let options =
            AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let mut created = Vec::new();
        let results = admin.create_topics(&new, &options).await;
        for result in results.map_err(|error| admin.inner().context().about(&error))? {
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
}
