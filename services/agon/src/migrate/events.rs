//! The event logs and the consumers' places in them, where events go to Kafka.

use bus::Bus;
use bus::promotion::Promotion;

use super::step::Step;
use crate::config::Config;
use crate::failure::Failure;
use crate::server::databases::Databases;
use crate::server::topics;

/// The events' way to the target's cluster. Makes the topics.
///
/// # Errors
/// Also when the topics hold events of others.
pub async fn open(target: &Config, from: &Databases, to: &Databases) -> Result<Promotion, Failure> {
    let topics = topics::produced().map(|(_, topics)| topics);
    let bus = Bus::kafka(target.events.clone(), &topics).map_err(worded)?;
    bus.create_topics(&topics::consumed()).await.map_err(worded)?;
    let pairs = from.each().zip(to.each()).map(|((from, _), (to, _))| (from.clone(), to.clone()));
    let events = Promotion::new(bus, pairs.collect());
    events.check().await.map_err(|error| match error {
        bus::Error::Topic(text) => Failure::config(format!("--events: {text}")),
        error => worded(error),
    })?;
    Ok(events)
}

/// Publishes every event, compares, and brings the consumers to their places.
pub async fn publish(events: &Promotion) -> Result<(), Failure> {
    let mut pace = Step::start("events");
    let mut seen = |what: &str, done: u64, total: u64| pace.seen(what, done, total);
    events.fill(&mut seen).await.map_err(worded)?;
    events.publish(&mut seen).await.map_err(worded)?;
    let count = events.settle(&mut seen).await.map_err(worded)?;
    pace.done("events", count, "events");
    Ok(())
}

fn worded(error: bus::Error) -> Failure {
    match error {
        bus::Error::Kafka(text) => Failure::unavailable(format!("events: Kafka: {text}")),
        bus::Error::Config(text) => Failure::config(format!("events.{text}")),
        error => Failure::new(format!("events: {error}")),
    }
}
