//! Moving the event logs of all services, and the consumers' places in them, to Kafka.
//!
//! - Events keep their ids, and their order within a key. They go the way of every event: through the outbox and
//!   the relay.
//! - A consumer's place becomes its place in each partition, so it goes on behind what it has applied, however long
//!   ago that was. (The inbox alone would not do: it forgets after a while what a consumer has applied.) For that
//!   the topics have to be full first, which is why the events are published here and not by the next server.
//! - What is on the broker already, from an attempt that was interrupted, is not published again.

mod fill;
mod publish;
mod settle;
mod survey;

use db::Db;

use crate::Bus;

/// The tables of a service's database that are moved here, and not copied as they are.
pub const APART: [&str; 3] = ["event_log", "consumer_cursors", "dead_letters"];

/// Who hears how far something is: what, how much is done, and of how much.
pub type Seen<'a> = &'a mut (dyn FnMut(&str, u64, u64) + Send);

/// The events of all services on their way from SQLite through PostgreSQL to Kafka. Nobody else may use any of the
/// databases meanwhile.
pub struct Promotion {
    bus: Bus,
    services: Vec<Service>,
}

/// One service's databases.
struct Service {
    source: Db,
    target: Db,
}

impl Promotion {
    /// From the logs in the first database of each pair, through the outbox in the second, to `bus`, which is on
    /// Kafka and whose topics are made.
    #[must_use]
    pub fn new(bus: Bus, databases: Vec<(Db, Db)>) -> Self {
        let service = |(source, target)| Service { source, target };
        Self { bus, services: databases.into_iter().map(service).collect() }
    }
}
