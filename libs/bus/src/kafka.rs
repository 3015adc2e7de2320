//! Kafka as the bus: a relay publishes each service's outbox, and every consumer is a consumer group.
//!
//! - Order: a lane of an outbox is published by one relay at a time, in the order of ids, and the broker keeps the
//!   order of a key within its partition.
//! - Exactly once: a consumer's cursor in a partition moves in the transaction of the effect, as in an event log. The
//!   offsets committed to Kafka are only a hint where to start. Duplicates of a relay (it died between the broker's
//!   acknowledgement and the deletion) are detected by id (`inbox`).

mod config;
mod group;
mod known_topics;
mod lane_leases;
mod lower_bound;
mod member;
mod message;
mod outage;
mod outbox_rows;
mod partition;
mod producer;
mod reader;
mod relay;
mod scan;
mod security;
mod topics;

pub use config::Config;
pub use relay::Relay;
pub use security::{Mechanism, Sasl, Tls};
pub use topics::Created;

pub(crate) use group::run as run_group;
pub(crate) use lane_leases::lease_name;
pub(crate) use message::headers as event_headers;
pub(crate) use partition::Partition;
pub(crate) use reader::Reader;

use outage::{Observer, Outage};
use rdkafka::ClientConfig;

use crate::{Error, Topic};

/// A position in a topic is one number: the partition, then this many bits of the offset.
const OFFSET_BITS: u32 = 44;

/// The position of an event. Positions of one partition are ordered by offset.
pub(crate) fn position(partition: i32, offset: i64) -> i64 {
    (i64::from(partition) << OFFSET_BITS) | offset
}

pub(crate) fn offset_of(position: i64) -> i64 {
    position & ((1 << OFFSET_BITS) - 1)
}

pub(crate) fn partition_of(position: i64) -> i32 {
    // The bits above the offset came from an `i32`.
    i32::try_from(position >> OFFSET_BITS).unwrap_or(i32::MAX)
}

/// The first position of a partition, and the first one after it.
pub(crate) fn partition_range(partition: i32) -> (i64, i64) {
    (position(partition, 0), position(partition + 1, 0))
}

#[derive(Clone, Debug)]
pub(crate) struct Kafka {
    config: Config,
    servers: String,
    outage: Outage,
}

impl Kafka {
    pub fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        let servers = config.servers()?;
        Ok(Self { config, servers, outage: Outage::default() })
    }

    /// The context of a client that needs no other callbacks.
    fn observer(&self) -> Observer {
        Observer(self.outage.clone())
    }

    /// The settings that all clients share.
    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.servers)
            .set("client.id", "agon")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("log_level", "3");
        for (key, value) in self.config.settings().unwrap_or_default() {
            client.set(key, value);
        }
        client
    }

    /// The settings of a client that is assigned partitions itself and commits no offsets. The client library requires a
    /// group all the same.
    fn reader_client(&self, group: &str) -> ClientConfig {
        let mut client = self.client();
        client
            .set("group.id", self.group_id(group))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false");
        client
    }

    fn topic_name(&self, topic: &str) -> String {
        format!("{}{topic}", self.config.prefix)
    }

    fn group_id(&self, consumer: &str) -> String {
        format!("{}agon.{consumer}", self.config.prefix)
    }

    pub fn dead_letter_topic(topic: &Topic, consumer: &str) -> String {
        format!("{}.dlq.{consumer}", topic.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_within_a_partition() {
        assert!(position(0, 5) < position(0, 6));
        assert_eq!(offset_of(position(11, 123_456_789_012)), 123_456_789_012);
        assert_eq!(partition_of(position(11, 123_456_789_012)), 11);
        let (first, end) = partition_range(3);
        assert!(first <= position(3, 0) && position(3, (1 << OFFSET_BITS) - 1) < end);
    }
}
