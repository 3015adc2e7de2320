//! The consumers of this process and how they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use db::Db;
use tokio::sync::watch;

/// All consumers of one bus.
#[derive(Default)]
pub(crate) struct Registry {
    consumers: Mutex<Vec<Arc<State>>>,
}

/// One consumer.
pub(crate) struct State {
    pub name: &'static str,
    pub db: Db,
    /// Changes when there is something to replay.
    pub wake: watch::Sender<u64>,
    // What keeps a topic from going on, in words.
    stopped: Mutex<BTreeMap<String, String>>,
    // How many keys are parked, by topic (or partition, as above).
    parked: Mutex<BTreeMap<String, usize>>,
}

impl Registry {
    pub fn add(&self, name: &'static str, db: Db) -> Arc<State> {
        let wake = watch::Sender::new(0);
        let state =
            Arc::new(State { name, db, wake, stopped: Mutex::default(), parked: Mutex::default() });
        lock(&self.consumers).push(state.clone());
        state
    }

    pub fn all(&self) -> Vec<Arc<State>> {
        lock(&self.consumers).clone()
    }

    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for state in self.all() {
            let name = state.name;
            for (topic, why) in lock(&state.stopped).iter() {
                words.push(format!("consumer {name} stands still in {topic}: {why}"));
            }
            for (topic, keys) in lock(&state.parked).iter().filter(|(_, keys)| **keys > 0) {
                words.push(format!(
                    "consumer {name} has parked {keys} keys of {topic}: see its dead letters, mend the cause and \
                     replay them"
                ));
            }
        }
        words
    }
}

impl State {
    /// Notes that the consumer cannot go on in `topic`; true when that is news.
    pub fn stopped(&self, topic: &str, why: &str) -> bool {
        let before = lock(&self.stopped).insert(topic.to_owned(), why.to_owned());
        before.as_deref() != Some(why)
    }

    pub fn parked(&self, topic: &str, keys: usize) {
        lock(&self.parked).insert(topic.to_owned(), keys);
    }

    pub fn goes_on(&self, topic: &str) {
        lock(&self.stopped).remove(topic);
    }
}

/// How the relays of this process are, by service.
#[derive(Default)]
pub(crate) struct Relays {
    stopped: Mutex<BTreeMap<String, String>>,
    refused: Mutex<BTreeMap<String, usize>>,
    absent: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Relays {
    /// Notes that the events of `service` are not published; true when that is news.
    pub fn stopped(&self, service: &str, why: &str) -> bool {
        lock(&self.stopped).insert(service.to_owned(), why.to_owned()).is_none()
    }

    pub fn goes_on(&self, service: &str) {
        lock(&self.stopped).remove(service);
    }

    pub fn refused(&self, service: &str, keys: usize) {
        lock(&self.refused).insert(service.to_owned(), keys);
    }

    /// Notes which topics of `service` are not there.
    pub fn absent(&self, service: &str, topics: &BTreeSet<String>) {
        let before = lock(&self.absent).insert(service.to_owned(), topics.clone());
        for topic in topics.iter().filter(|topic| !before.iter().flatten().any(|t| t == *topic)) {
            tracing::error!(
                service,
                topic,
                "Kafka has no such topic; its events wait in the outbox"
            );
        }
    }

    pub fn words(&self) -> Vec<String> {
        let stopped = lock(&self.stopped);
        let stopped = stopped.iter().map(|(service, why)| {
            format!("the events of {service} wait in its outbox and are not published: {why}")
        });
        let refused = lock(&self.refused);
        let refused = refused.iter().filter(|(_, keys)| **keys > 0).map(|(service, keys)| {
            format!(
                "{keys} keys of {service} wait behind an event that Kafka refused: see the column refusal of its \
                 outbox"
            )
        });
        let absent = lock(&self.absent);
        let absent = absent.iter().flat_map(|(service, topics)| {
            topics.iter().map(move |topic| {
                format!(
                    "the events of {topic} wait in the outbox of {service}: Kafka has no such topic; `agon events \
                     topics --apply` makes it"
                )
            })
        });
        stopped.chain(refused).chain(absent).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
