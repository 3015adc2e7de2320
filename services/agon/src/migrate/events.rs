//! Promotes event logs and consumer offsets to Kafka.

use bus::Bus;
use bus::promotion::Promotion;

use super::step::Step;
use crate::config::Config;
use crate::failure::Failure;
use crate::server::databases::Databases;
use crate::server::topics;

/// Connects to the target's cluster and creates the topics.
///
/// # Errors
/// Also if the topics contain events of another installation.
pub async fn open(target: &Config, from: &Databases, to: &Databases) -> Result<Promotion, Failure> {
    let topics = topics::produced().map(|(_, topics)| topics);
    let bus = Bus::kafka(target.events.clone(), &topics).map_err(failure)?;
    bus.create_topics(&topics::consumed()).await.map_err(failure)?;
    let pairs = from.each().zip(to.each()).map(|((from, _), (to, _))| (from.clone(), to.clone()));
    let events = Promotion::new(bus, pairs.collect());
    events.check().await.map_err(|error| match error {
        bus::Error::Topic(text) => Failure::config(format!("--events: {text}")),
        error => failure(error),
    })?;
    Ok(events)
}

/// Publishes and verifies every event, then sets the consumers' offsets.
pub async fn publish(events: &Promotion) -> Result<(), Failure> {
    let mut step = Step::start("events");
    let mut progress = |what: &str, done: u64, total: u64| step.update(what, done, total);
    events.fill_outboxes(&mut progress).await.map_err(failure)?;
    events.publish(&mut progress).await.map_err(failure)?;
    let count = events.move_cursors(&mut progress).await.map_err(failure)?;
    step.finish("events", count, "events");
    Ok(())
}

fn failure(error: bus::Error) -> Failure {
    match error {
        bus::Error::Kafka(text) => Failure::unavailable(format!("events: Kafka: {text}")),
        bus::Error::Config(text) => Failure::config(format!("events.{text}")),
        error => Failure::new(format!("events: {error}")),
    }
}
