//! Moves the event logs of all services, and the consumers' cursors in them, to Kafka.
//!
//! - Events keep their ids, and their order within a key. They are published through the outbox and the relay, as all
//!   events are.
//! - A cursor in a log becomes one cursor per partition, so consumers continue after the last event applied, however
//!   old it is. (The inbox alone is not sufficient: it deletes old ids.) This needs complete topics, so the events are
//!   published here and not by the next server.
//! - Events that an interrupted attempt has published are not published again.

mod cursors;
mod outbox;
mod publish;
mod topic_index;

use db::Db;

use crate::Bus;

/// The tables that [`Promotion`] moves, to be excluded from a plain copy of a database.
pub const MOVED_TABLES: [&str; 3] = ["event_log", "consumer_cursors", "dead_letters"];

/// A progress callback: the step, and how many of how many items are done.
pub type OnProgress<'a> = &'a mut (dyn FnMut(&str, u64, u64) + Send);

/// Moves the events of all services from SQLite through PostgreSQL to Kafka. No other process may use the databases
/// at the same time.
pub struct Promotion {
    bus: Bus,
    services: Vec<Service>,
}

struct Service {
    source: Db,
    target: Db,
}

impl Promotion {
    /// From the log in the first database of each pair, through the outbox in the second, to `bus`, which is on Kafka
    /// and whose topics exist.
    pub fn new(bus: Bus, databases: Vec<(Db, Db)>) -> Self {
        let service = |(source, target)| Service { source, target };
        Self { bus, services: databases.into_iter().map(service).collect() }
    }
}
