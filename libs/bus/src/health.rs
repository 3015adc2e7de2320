//! The consumers and relays of this process, and the problems that they report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use db::Db;
use tokio::sync::watch;

#[derive(Default)]
pub(crate) struct Consumers {
    all: Mutex<Vec<Arc<ConsumerState>>>,
}

pub(crate) struct ConsumerState {
    pub name: &'static str,
    pub db: Db,
    /// Changes when dead letters are marked for replay.
    pub wake: watch::Sender<u64>,
    /// The error that stops the consumer, by topic, or by `topic/partition` on Kafka.
    errors: Mutex<BTreeMap<String, String>>,
    /// The number of keys with dead letters, by the same names.
    blocked_keys: Mutex<BTreeMap<String, usize>>,
}

impl Consumers {
    pub fn add(&self, name: &'static str, db: Db) -> Arc<ConsumerState> {
        let wake = watch::Sender::new(0);
        let (errors, blocked_keys) = (Mutex::default(), Mutex::default());
        let state = Arc::new(ConsumerState { name, db, wake, errors, blocked_keys });
        lock(&self.all).push(state.clone());
        state
    }

    pub fn all(&self) -> Vec<Arc<ConsumerState>> {
        lock(&self.all).clone()
    }

    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for state in self.all() {
            let name = state.name;
            for (topic, error) in lock(&state.errors).iter() {
                problems.push(format!("consumer {name} is stopped in {topic}: {error}"));
            }
            for (topic, keys) in lock(&state.blocked_keys).iter().filter(|(_, keys)| **keys > 0) {
                problems.push(format!(
                    "consumer {name} has {keys} keys of {topic} blocked by dead letters: list them with `agon \
                     events dlq list`, then fix the cause and replay them, or discard the failed one"
                ));
            }
        }
        problems
    }
}

impl ConsumerState {
    /// Sets the error that stops the consumer in `topic`. Returns true if it differs from the previous one.
    pub fn set_error(&self, topic: &str, error: &str) -> bool {
        let before = lock(&self.errors).insert(topic.to_owned(), error.to_owned());
        before.as_deref() != Some(error)
    }

    pub fn clear_error(&self, topic: &str) {
        lock(&self.errors).remove(topic);
    }

    pub fn set_blocked_keys(&self, topic: &str, keys: usize) {
        lock(&self.blocked_keys).insert(topic.to_owned(), keys);
    }
}

/// The health of the relays of this process, by service.
#[derive(Default)]
pub(crate) struct RelayHealth {
    errors: Mutex<BTreeMap<String, String>>,
    refused_keys: Mutex<BTreeMap<String, usize>>,
    missing_topics: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl RelayHealth {
    /// Sets the error that keeps the events of `service` from being published. Returns true if there was none.
    pub fn set_error(&self, service: &str, error: &str) -> bool {
        lock(&self.errors).insert(service.to_owned(), error.to_owned()).is_none()
    }

    pub fn clear_error(&self, service: &str) {
        lock(&self.errors).remove(service);
    }

    pub fn set_refused_keys(&self, service: &str, keys: usize) {
        lock(&self.refused_keys).insert(service.to_owned(), keys);
    }

    /// Sets the topics of `service` that do not exist on Kafka, and logs the new ones.
    pub fn set_missing_topics(&self, service: &str, topics: &BTreeSet<String>) {
        let before = lock(&self.missing_topics).insert(service.to_owned(), topics.clone());
        for topic in topics.iter().filter(|topic| !before.iter().flatten().any(|t| t == *topic)) {
            tracing::error!(service, topic, "topic missing on kafka, events stay in the outbox");
        }
    }

    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (service, error) in lock(&self.errors).iter() {
            problems.push(format!("the outbox of {service} is not published: {error}"));
        }
        for (service, keys) in lock(&self.refused_keys).iter().filter(|(_, keys)| **keys > 0) {
            problems.push(format!(
                "{keys} keys of {service} are blocked by events that Kafka refused: see the column refusal of its outbox"
            ));
        }
        for (service, topics) in lock(&self.missing_topics).iter() {
            problems.extend(topics.iter().map(|topic| {
                format!(
                    "topic {topic} does not exist on Kafka, its events stay in the outbox of {service}: create it with \
                     `agon events topics --apply`"
                )
            }));
        }
        problems
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
