//! Which service produces and consumes which topics.

use bus::{Consumes, Topic};

use crate::services;

/// The topics of each producing service.
pub fn produced() -> Vec<&'static [Topic]> {
    services::ALL.iter().map(|service| service.publishes).collect()
}

/// Each consumer with its topics. Every consumer has a dead-letter topic.
pub fn consumed() -> Vec<Consumes> {
    services::ALL.iter().flat_map(|service| service.consumes).copied().collect()
}

/// The service that produces a topic.
pub fn producer(topic: &str) -> Option<&'static str> {
    let mut topics = services::ALL.iter().flat_map(|service| service.publishes);
    topics.find(|known| known.name == topic).map(|topic| topic.producer)
}
