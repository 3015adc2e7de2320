//! Domain events: published in the transaction of the change, applied exactly once.
//!
//! A service appends events to its own database, in the transaction of the change ([`outbox::append`]): to the
//! `event_log`, which [`Bus`] reads where all services share one process; or to the `outbox`, from which a [`Relay`]
//! publishes them to Kafka. A [`Consumer`] applies them to another service's database, in order per key, and moves its
//! cursor in the transaction of the effect. [`subscribe`] streams the same events to clients, projected for the
//! caller.
//!
//! An event that fails permanently becomes a dead letter. It blocks its key: later events of the key become dead
//! letters too, until all of them are replayed in order, or the failed one is discarded. A message that cannot be decoded
//! is a dead letter that does not block its key.
//!
//! Invariants:
//! - a topic has exactly one producing service;
//! - the order of log ids is the order of commits: SQLite has one writer, and on PostgreSQL an append holds an
//!   advisory lock of the log from just before the commit to its end. (Without it a reader would skip ids whose
//!   transactions commit later.)
//! - an effect and its cursor commit in one transaction;
//! - no event is applied after a failed event of the same key that could be decoded.
//!
//! Must not know the meaning of any event.

mod catalogue;
mod consumer;
mod cursor;
mod dead_letters;
mod envelope;
mod error;
mod event;
mod handler;
mod health;
mod inbox;
mod kafka;
mod log;
pub mod outbox;
mod processor;
pub mod promotion;
mod retry;
pub mod subscribe;
mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;

use db::Db;
use futures_util::future::{self, BoxFuture};
use tokio::sync::watch;

pub use catalogue::{Consumes, catalogue};
pub use consumer::Consumer;
pub use cursor::{ahead as cursors_ahead, reset as reset_cursor};
pub use error::{Error, Fault};
pub use event::{Event, Received};
pub use handler::Handler;
pub use kafka::{
    Config as KafkaConfig, Created, Mechanism as KafkaMechanism, Relay, Sasl as KafkaSasl,
    Tls as KafkaTls,
};
pub use retry::Retry;
pub use topic::{Projection, Topic};

use handler::Application;
use health::{Consumers, RelayHealth};
use kafka::Kafka;

/// The event logs that this process can read, and the consumers that it runs. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    topics: BTreeMap<&'static str, (Topic, Log)>,
    consumers: Consumers,
    relays: Arc<RelayHealth>,
    closing: watch::Sender<bool>,
}

/// Where the events of a topic are read.
#[derive(Clone)]
pub(crate) enum Log {
    /// The `event_log` of the producer's database.
    Table(Db),
    Kafka(Arc<Kafka>),
}

/// Resolves when a consumer or relay must stop.
pub(crate) type Stop<'a> = future::Shared<BoxFuture<'a, ()>>;

impl Bus {
    /// A bus over the event logs in these databases, each with the topics that its service produces.
    ///
    /// # Errors
    /// If a topic is listed twice or with a database other than its producer's.
    pub fn embedded(services: Vec<(&'static [Topic], Db)>) -> Result<Self, Error> {
        let mut topics = BTreeMap::new();
        for (produced, db) in services {
            for topic in produced {
                let (name, producer, service) = (topic.name, topic.producer, db.service());
                if producer != service {
                    let text = format!("topic {name} is produced by {producer}, not by {service}");
                    return Err(Error::Topic(text));
                }
                if topics.insert(name, (*topic, Log::Table(db.clone()))).is_some() {
                    return Err(Error::Topic(format!("topic {name} is listed twice")));
                }
            }
        }
        Ok(Self::new(topics))
    }

    /// A bus over a Kafka cluster, with the topics of all services. Each producing service also runs a
    /// [`Bus::relay`].
    ///
    /// # Errors
    /// If the configuration is invalid. Does not connect.
    pub fn kafka(config: KafkaConfig, topics: &[&'static [Topic]]) -> Result<Self, Error> {
        let kafka = Arc::new(Kafka::new(config)?);
        let all = topics.iter().flat_map(|topics| topics.iter());
        Ok(Self::new(all.map(|topic| (topic.name, (*topic, Log::Kafka(kafka.clone())))).collect()))
    }

    fn new(topics: BTreeMap<&'static str, (Topic, Log)>) -> Self {
        let (consumers, relays) = (Consumers::default(), Arc::default());
        let closing = watch::Sender::new(false);
        Self { shared: Arc::new(Shared { topics, consumers, relays, closing }) }
    }

    /// The relay of one service's outbox. Returns `None` if the bus reads event logs.
    pub fn relay(&self, db: Db) -> Option<Relay> {
        Some(Relay::new(self.cluster()?, db, self.shared.relays.clone()))
    }

    /// Creates the topics that are missing on Kafka, and the dead-letter topics of these consumers. Does nothing if the
    /// bus reads event logs.
    pub fn create_topics<'a>(
        &'a self,
        consumers: &'a [Consumes],
    ) -> BoxFuture<'a, Result<Vec<Created>, Error>> {
        Box::pin(async move {
            let Some(kafka) = self.cluster() else { return Ok(Vec::new()) };
            let names: Vec<&str> = self.shared.topics.keys().copied().collect();
            let mut dead_letters = Vec::new();
            for consumer in consumers {
                for topic in consumer.topics {
                    let (topic, _) = self.source(topic)?;
                    dead_letters.push(Kafka::dead_letter_topic(&topic, consumer.consumer));
                }
            }
            kafka.create_topics(&names, &dead_letters).await
        })
    }

    fn cluster(&self) -> Option<Arc<Kafka>> {
        self.shared.topics.values().find_map(|(_, log)| match log {
            Log::Kafka(kafka) => Some(kafka.clone()),
            Log::Table(_) => None,
        })
    }

    /// A consumer named `name` that applies the events of `topics` to `db`, from the first event of each topic.
    pub fn consumer<H: Handler>(
        &self,
        name: &'static str,
        db: Db,
        topics: &[&str],
        handler: H,
    ) -> Result<Consumer, Error> {
        let sources = topics.iter().map(|topic| self.source(topic)).collect::<Result<_, _>>()?;
        let state = self.shared.consumers.add(name, db);
        let application =
            Application { state, handler: Box::new(handler), retry: Retry::default() };
        Ok(Consumer::new(application, sources))
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.shared.topics.values().map(|(topic, _)| topic)
    }

    /// Fails if a consumer or relay is stopped or has blocked keys; the error names each of them and the remedy. The
    /// process can serve requests all the same.
    pub fn health(&self) -> Result<(), String> {
        let problems = [self.shared.consumers.problems(), self.shared.relays.problems()].concat();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }

    /// Ends all subscriptions, so that a server can drain.
    pub fn close(&self) {
        self.shared.closing.send_replace(true);
    }

    fn source(&self, topic: &str) -> Result<(Topic, Log), Error> {
        let found = self.shared.topics.get(topic).cloned();
        found.ok_or_else(|| Error::Topic(format!("unknown topic {topic:?}")))
    }
}
