//! Consumers of events.

use bus::{Bus, Consumes, Handler};
use db::Db;
use runtime::Tasks;

use crate::OpenError;

/// Runs one consumer group of a service as a task: `handler` applies the events to `db`.
pub fn consume(
    tasks: &Tasks,
    bus: &Bus,
    db: &Db,
    consumes: &Consumes,
    handler: impl Handler,
) -> Result<(), OpenError> {
    let consumer = bus.consumer(consumes.consumer, db.clone(), consumes.topics, handler)?;
    tasks.spawn("event consumer", consumer.run(tasks.shutdown().wait()));
    Ok(())
}
