//! Kafka as the bus: a relay publishes each service's outbox, and every consumer is a consumer group.
//!
//! - Order: a lane of an outbox is published by one process at a time, in the order of ids, and the broker keeps the
//!   order of a key within its partition.
//! - Once: a consumer's place in a partition moves in the transaction of the effect, as in a log. Kafka's own
//!   committed offsets only say where to begin. What a relay published twice (it died between the broker's
//!   acknowledgement and the deletion) is known by its id (`inbox`).

mod config;
mod floor;
mod group;
mod lanes;
mod message;
mod partition;
mod presence;
mod reader;
mod relay;
mod security;
mod survey;
mod topics;
mod waiting;

pub use config::Config;
pub use relay::Relay;
pub use security::{Mechanism, Sasl, Tls};
pub use topics::Created;

pub(crate) use group::run as run_group;
pub(crate) use partition::Partition;
pub(crate) use reader::Reader;

use ids::Uuid;
use rdkafka::ClientConfig;
use sha2::{Digest as _, Sha256};

use crate::{Error, Topic};

/// Lanes of an outbox.
pub(crate) const LANES: i64 = 4;
/// How many bits of a place in a topic are the offset; the others are the partition.
const OFFSET_BITS: u32 = 44;

/// The lane of a key.
pub(crate) fn lane_of(topic: &str, key: Uuid) -> i64 {
    let digest = Sha256::new().chain_update(topic).chain_update(key.as_bytes()).finalize();
    i64::from(digest[0]) % LANES
}

/// A place in a topic as one number, which rises along each partition.
pub(crate) fn place(partition: i32, offset: i64) -> i64 {
    (i64::from(partition) << OFFSET_BITS) | offset
}

/// The offset of a place.
pub(crate) fn offset(place: i64) -> i64 {
    place & ((1 << OFFSET_BITS) - 1)
}

/// The partition of a place.
pub(crate) fn partition_of(place: i64) -> i32 {
    // What is above the offset came from an `i32`.
    i32::try_from(place >> OFFSET_BITS).unwrap_or(i32::MAX)
}

/// The first place of a partition, and the first behind it.
pub(crate) fn places(partition: i32) -> (i64, i64) {
    (place(partition, 0), place(partition + 1, 0))
}

/// A Kafka cluster.
#[derive(Clone, Debug)]
pub(crate) struct Kafka {
    config: Config,
    servers: String,
}

impl Kafka {
    pub fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        let servers = config.servers()?;
        Ok(Self { config, servers })
    }

    /// What every client of it is made with.
    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.servers)
            .set("client.id", "agon")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            // What the broker says about itself is in our words where it matters.
            .set("log_level", "3");
        for (key, value) in self.config.settings().unwrap_or_default() {
            client.set(key, value);
        }
        client
    }

    /// The name of a topic on the broker.
    fn name(&self, topic: &str) -> String {
        format!("{}{topic}", self.config.prefix)
    }

    /// The name of a consumer's group.
    fn group(&self, consumer: &str) -> String {
        format!("{}agon.{consumer}", self.config.prefix)
    }

    /// The dead-letter topic of a consumer.
    pub fn dead_letters(topic: &Topic, consumer: &str) -> String {
        format!("{}.dlq.{consumer}", topic.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_rise_within_a_partition() {
        assert!(place(0, 5) < place(0, 6));
        assert_eq!(offset(place(11, 123_456_789_012)), 123_456_789_012);
        assert_eq!(partition_of(place(11, 123_456_789_012)), 11);
        let (first, end) = places(3);
        assert!(first <= place(3, 0) && place(3, (1 << OFFSET_BITS) - 1) < end);
    }

    #[test]
    fn keys_spread_over_the_lanes() {
        let clock = ids::Clock::system();
        let lanes: std::collections::BTreeSet<i64> =
            (0..100).map(|_| lane_of("agon.user.v1", clock.new_id())).collect();
        assert_eq!(lanes.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
