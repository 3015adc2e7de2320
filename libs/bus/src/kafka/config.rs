//! How a Kafka cluster is reached.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A Kafka cluster and how to use it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// `kafka://host:port`, with more brokers behind commas.
    pub url: String,
    /// What the names of topics and groups begin with, for several installations on one cluster.
    pub prefix: String,
    /// Partitions of a new topic. Never grown later: keys would move to others.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
    /// Copies that must have an event before it counts as published.
    pub min_insync_replicas: i32,
    /// How long events are kept, in hours; 0 keeps them for good, so that what is derived from them can be made
    /// again.
    pub retention_hours: u64,
    /// Further settings of librdkafka's clients, such as `security.protocol` and `sasl.username`.
    pub client: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            prefix: String::new(),
            partitions: 12,
            replication: 1,
            min_insync_replicas: 1,
            retention_hours: 0,
            client: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The defaults for a cluster.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The brokers, as librdkafka wants them.
    pub(super) fn servers(&self) -> Result<String, Error> {
        let wrong = || Error::Config(format!("{:?}: give kafka://host:port,host:port", self.url));
        let servers = self.url.strip_prefix("kafka://").ok_or_else(wrong)?;
        let plain = |server: &str| {
            server.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !host.contains('@') && port.parse::<u16>().is_ok()
            })
        };
        if servers.split(',').all(plain) { Ok(servers.to_owned()) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let servers = |url: &str| Config::new(url).servers();
        assert_eq!(servers("kafka://a:9092,b:9092").unwrap(), "a:9092,b:9092");
        for wrong in ["", "kafka://", "kafka://a", "a:9092", "kafka://a:9092,", "kafka://u@a:1"] {
            assert!(servers(wrong).is_err(), "{wrong}");
        }
    }
}
