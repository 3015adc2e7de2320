//! How a Kafka cluster is reached.

use serde::{Deserialize, Serialize};

use super::security::{self, OWN_KEYS, Sasl, Tls};
use crate::Error;

/// Where events go, and how a Kafka cluster is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `embedded:` (each service's log, for one process with all of them) or `kafka://host:port`, with more brokers
    /// behind commas; `kafkas://…` with TLS.
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
    /// TLS, with `kafkas://`.
    pub tls: Tls,
    /// The account.
    pub sasl: Sasl,
    /// Further settings of librdkafka's clients, as `key=value`, such as `socket.keepalive.enable=true`.
    pub client: Vec<String>,
}

/// The scheme of brokers that speak TLS.
const ENCRYPTED: &str = "kafkas://";

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "embedded:".into(),
            prefix: String::new(),
            partitions: 12,
            replication: 1,
            min_insync_replicas: 1,
            retention_hours: 0,
            tls: Tls::default(),
            sasl: Sasl::default(),
            client: Vec::new(),
        }
    }
}

/// A topic's name has 249 characters, and ours are long.
const LONGEST_PREFIX: usize = 100;

impl Config {
    /// The defaults for a cluster.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Whether events go to Kafka.
    #[must_use]
    pub fn is_kafka(&self) -> bool {
        self.url != "embedded:"
    }

    /// Checks what no single value's type can; the error is for people.
    ///
    /// # Errors
    /// When something makes no sense, with its key.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_kafka() {
            self.servers()?;
        }
        self.settings()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !self.prefix.chars().all(plain) || self.prefix.len() > LONGEST_PREFIX {
            let what = format!("give at most {LONGEST_PREFIX} letters, digits, `.`, `_` and `-`");
            return Err(Error::Config(format!("prefix: {what}, not {:?}", self.prefix)));
        }
        let counts = [
            ("partitions", self.partitions, 1..=1000),
            ("replication", self.replication, 1..=32),
            ("min_insync_replicas", self.min_insync_replicas, 1..=self.replication.max(1)),
        ];
        for (key, value, range) in counts {
            if !range.contains(&value) {
                let (least, most) = range.into_inner();
                return Err(Error::Config(format!("{key}: give {least} to {most}, not {value}")));
            }
        }
        Ok(())
    }

    /// What librdkafka's clients are told beside the brokers.
    pub(super) fn settings(&self) -> Result<Vec<(&str, String)>, Error> {
        let encrypted = self.url.starts_with(ENCRYPTED);
        let mut settings = security::settings(encrypted, &self.tls, &self.sasl)?;
        for text in &self.client {
            settings.push(further(text)?);
        }
        Ok(settings)
    }

    /// The brokers, as librdkafka wants them.
    pub(super) fn servers(&self) -> Result<String, Error> {
        let wrong = || {
            let known = "`embedded:`, kafka://host:port,host:port, or kafkas://… with TLS";
            Error::Config(format!("url: give {known}"))
        };
        let schemes = ["kafka://", ENCRYPTED];
        let mut servers = schemes.iter().filter_map(|scheme| self.url.strip_prefix(scheme));
        let servers = servers.next().ok_or_else(wrong)?;
        let plain = |server: &str| {
            server.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !host.contains('@') && port.parse::<u16>().is_ok()
            })
        };
        if servers.split(',').all(plain) { Ok(servers.to_owned()) } else { Err(wrong()) }
    }
}

/// One of the further settings.
fn further(text: &str) -> Result<(&str, String), Error> {
    let wrong = |what: &str| Error::Config(format!("client: {text:?}: {what}"));
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| wrong("give key=value, such as socket.keepalive.enable=true"))?;
    match OWN_KEYS.iter().find(|(name, _)| *name == key) {
        // Without the value, which may be a password.
        Some((_, own)) => Err(Error::Config(format!("client: {key}: use events.{own}"))),
        None => Ok((key, value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let servers = |url: &str| Config::new(url).servers();
        assert_eq!(servers("kafka://a:9092,b:9092").unwrap(), "a:9092,b:9092");
        assert_eq!(servers("kafkas://a:9093").unwrap(), "a:9093");
        assert!(Config::default().check().is_ok() && !Config::default().is_kafka());
        let config = Config { client: vec!["no pair".into()], ..Config::default() };
        assert!(config.check().unwrap_err().to_string().contains("key=value"));
        let config = Config { client: vec!["sasl.password=hush".into()], ..Config::default() };
        let text = config.check().unwrap_err().to_string();
        assert!(text.contains("events.sasl.password") && !text.contains("hush"), "{text}");
        let config = Config { min_insync_replicas: 2, ..Config::default() };
        assert!(config.check().unwrap_err().to_string().contains("1 to 1"));
        for wrong in ["", "kafka://", "kafka://a", "a:9092", "kafka://a:9092,", "kafka://u@a:1"] {
            assert!(servers(wrong).is_err(), "{wrong}");
        }
    }
}
