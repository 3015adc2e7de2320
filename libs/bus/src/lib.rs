//! Domain events: published with the change that they tell of, applied exactly once.
//!
//! A service appends events to its own database, in the transaction of the change ([`outbox::append`]): to the
//! `event_log`, which [`Bus`] reads where all services are in one process; or to the `outbox`, from which a [`Relay`]
//! publishes them to Kafka. A [`Consumer`] applies them to another service's database, in order per key, keeping its
//! cursor in the transaction of the effect. [`subscribe`] shows the same events to others, as each may see them.
//!
//! Invariants:
//! - a topic has exactly one producing service;
//! - the order of log ids is the order of commits: SQLite has one writer, and on PostgreSQL an append holds an
//!   advisory lock of the log from just before the commit to its end. (Without it a reader passes ids whose
//!   transactions commit later, and loses them.)
//! - an effect and its cursor commit together, or neither does;
//! - behind an event that could not be applied, no later event of its key is applied.
//!
//! Knows nothing of what the events mean.

mod catalogue;
mod consumer;
mod cursor;
mod dead_letters;
mod error;
mod event;
mod inbox;
mod kafka;
mod lane;
mod log;
pub mod outbox;
pub mod promotion;
mod retry;
mod state;
pub mod subscribe;
mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;

use db::Db;
use tokio::sync::watch;

pub use catalogue::{Consumes, catalogue};
pub use consumer::{Consumer, Handler};
pub use cursor::{ahead as cursors_ahead, reset as reset_cursor};
pub use error::{Error, Fault};
pub use event::{Event, Received};
pub use kafka::{
    Config as KafkaConfig, Created, Mechanism as KafkaMechanism, Relay, Sasl as KafkaSasl,
    Tls as KafkaTls,
};
pub use retry::Retry;
pub use topic::{Projection, Topic};

use kafka::Kafka;
use state::{Registry, Relays};

/// The event logs that this process can read, and the consumers that it runs. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    topics: BTreeMap<&'static str, (Topic, Log)>,
    consumers: Registry,
    relays: Relays,
    closing: watch::Sender<bool>,
}

/// Where the events of a topic are read.
#[derive(Clone)]
pub(crate) enum Log {
    /// The event log in a database of this process.
    Table(Db),
    /// A cluster.
    Kafka(Arc<Kafka>),
}

impl Bus {
    /// A bus over the logs in the databases of the given services; each with the topics that it produces.
    ///
    /// # Errors
    /// When a topic is given twice or with another service's database.
    pub fn embedded(services: Vec<(&'static [Topic], Db)>) -> Result<Self, Error> {
        let mut topics = BTreeMap::new();
        for (produced, db) in services {
            for topic in produced {
                if topic.producer != db.service() {
                    return Err(Error::Topic(format!(
                        "topic {} is produced by {}, not by {}",
                        topic.name,
                        topic.producer,
                        db.service()
                    )));
                }
                if topics.insert(topic.name, (*topic, Log::Table(db.clone()))).is_some() {
                    return Err(Error::Topic(format!("topic {} is given twice", topic.name)));
                }
            }
        }
        Ok(Self::over(topics))
    }

    /// A bus over a Kafka cluster, with the topics of all services, wherever they run. Whoever produces some needs a
    /// [`Bus::relay`].
    ///
    /// # Errors
    /// When the configuration makes no sense. The cluster is not asked.
    pub fn kafka(config: KafkaConfig, topics: &[&'static [Topic]]) -> Result<Self, Error> {
        let kafka = Arc::new(Kafka::new(config)?);
        let all = topics.iter().flat_map(|topics| topics.iter());
        Ok(Self::over(all.map(|topic| (topic.name, (*topic, Log::Kafka(kafka.clone())))).collect()))
    }

    fn over(topics: BTreeMap<&'static str, (Topic, Log)>) -> Self {
        let (consumers, relays) = (Registry::default(), Relays::default());
        let closing = watch::Sender::new(false);
        Self { shared: Arc::new(Shared { topics, consumers, relays, closing }) }
    }

    /// What publishes the events of one service's database; none where they are read from its log.
    #[must_use]
    pub fn relay(&self, db: Db) -> Option<Relay> {
        let kafka = self.shared.topics.values().find_map(|(_, log)| match log {
            Log::Kafka(kafka) => Some(kafka.clone()),
            Log::Table(_) => None,
        })?;
        Some(Relay::new(self, kafka, db))
    }

    /// Makes the topics that are missing on Kafka, with a dead-letter topic for each of these consumers of a topic.
    /// Nothing to do where events are read from logs.
    ///
    /// # Errors
    /// When the cluster refuses, or cannot be reached.
    pub async fn create_topics(&self, consumers: &[Consumes]) -> Result<Vec<Created>, Error> {
        let mut created = Vec::new();
        let clusters = self.shared.topics.values().find_map(|(_, log)| match log {
            Log::Kafka(kafka) => Some(kafka.clone()),
            Log::Table(_) => None,
        });
        if let Some(kafka) = clusters {
            let names: Vec<&str> = self.shared.topics.keys().copied().collect();
            let mut letters = Vec::new();
            for consumer in consumers {
                for topic in consumer.topics {
                    let (topic, _) = self.source(topic)?;
                    letters.push(Kafka::dead_letters(&topic, consumer.consumer));
                }
            }
            created = kafka.create(&names, &letters).await?;
        }
        Ok(created)
    }

    /// A consumer named `name` that applies the events of `topics` to `db`; [`Consumer::run`] runs it. It starts
    /// with the first event of each topic.
    ///
    /// # Errors
    /// When a topic is not on this bus.
    pub fn consumer<H: Handler>(
        &self,
        name: &'static str,
        db: Db,
        topics: &[&str],
        handler: H,
    ) -> Result<Consumer<H>, Error> {
        let sources = topics.iter().map(|topic| self.source(topic)).collect::<Result<_, _>>()?;
        Ok(Consumer::new(self, name, db, sources, handler))
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.shared.topics.values().map(|(topic, _)| topic)
    }

    /// Whether every consumer goes on with every key; the error says for people which does not, and what to do. The
    /// process serves all the same.
    pub fn health(&self) -> Result<(), String> {
        let words = [self.shared.consumers.words(), self.shared.relays.words()].concat();
        if words.is_empty() { Ok(()) } else { Err(words.join("; ")) }
    }

    /// Ends all subscriptions, so that a server can drain.
    pub fn close(&self) {
        self.shared.closing.send_replace(true);
    }

    fn source(&self, topic: &str) -> Result<(Topic, Log), Error> {
        let found = self.shared.topics.get(topic).cloned();
        found.ok_or_else(|| Error::Topic(format!("there is no topic {topic:?} on this bus")))
    }
}
