//! Domain events: published with the change that they tell of, applied exactly once.
//!
//! A service appends events to the `event_log` of its own database, in the transaction of the change
//! ([`outbox::append`]). [`Bus`] reads the logs of all services of this process, and a [`Consumer`] applies their
//! events to another service's database, in order per key, keeping its cursor in the transaction of the effect.
//! [`subscribe`] shows the same events to others, as each may see them.
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
mod lane;
mod log;
pub mod outbox;
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
pub use cursor::reset as reset_cursor;
pub use error::{Error, Fault};
pub use event::{Event, Received};
pub use retry::Retry;
pub use topic::{Projection, Topic};

use state::Registry;

/// The event logs that this process can read, and the consumers that it runs. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    // Topic by name, with the database that its log is in.
    topics: BTreeMap<&'static str, (Topic, Db)>,
    consumers: Registry,
    closing: watch::Sender<bool>,
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
                if topics.insert(topic.name, (*topic, db.clone())).is_some() {
                    return Err(Error::Topic(format!("topic {} is given twice", topic.name)));
                }
            }
        }
        let (consumers, closing) = (Registry::default(), watch::Sender::new(false));
        Ok(Self { shared: Arc::new(Shared { topics, consumers, closing }) })
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
        self.shared.consumers.health()
    }

    /// Ends all subscriptions, so that a server can drain.
    pub fn close(&self) {
        self.shared.closing.send_replace(true);
    }

    fn source(&self, topic: &str) -> Result<(Topic, Db), Error> {
        let found = self.shared.topics.get(topic).cloned();
        found.ok_or_else(|| Error::Topic(format!("there is no topic {topic:?} on this bus")))
    }
}
