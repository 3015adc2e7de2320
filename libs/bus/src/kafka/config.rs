//! Configuration of the bus.

use serde::{Deserialize, Serialize};

use super::security::{self, OWN_KEYS, Sasl, Tls};
use crate::Error;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `embedded:` (event logs in the services' databases, for one process with all services), or
    /// `kafka://host:port,host:port`, or `kafkas://…` for TLS.
    pub url: String,
    /// A prefix of topic and group names, for several installations on one cluster.
    pub prefix: String,
    /// Partitions of a new topic. Must not grow later: keys would move to other partitions.
    pub partitions: i32,
    /// Replicas of each partition.
    pub replication: i32,
    /// Replicas that must have an event before it counts as published.
    pub min_insync_replicas: i32,
    /// Retention of events, in hours. 0 keeps them forever, so that projections can be rebuilt.
    pub retention_hours: u64,
    /// TLS, for `kafkas://`.
    pub tls: Tls,
    /// Authentication.
    pub sasl: Sasl,
    /// Additional librdkafka settings, as `key=value`, such as `socket.keepalive.enable=true`.
    pub client: Vec<String>,
}

const TLS_SCHEME: &str = "kafkas://";

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

/// Leaves room for a topic's own name: the limit for both is 249 characters.
const MAX_PREFIX: usize = 100;

impl Config {
    /// The default configuration with this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Whether events go to Kafka.
    pub fn is_kafka(&self) -> bool {
        self.url != "embedded:"
    }

    /// Validates the configuration.
    ///
    /// # Errors
    /// Starts with the key of the invalid setting.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_kafka() {
            self.servers()?;
        }
        self.settings()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !self.prefix.chars().all(plain) || self.prefix.len() > MAX_PREFIX {
            return Err(Error::Config(format!(
                "prefix: must be at most {MAX_PREFIX} letters, digits, `.`, `_` and `-`, got {:?}",
                self.prefix
            )));
        }
        let counts = [
            ("partitions", self.partitions, 1..=1000),
            ("replication", self.replication, 1..=32),
            ("min_insync_replicas", self.min_insync_replicas, 1..=self.replication.max(1)),
        ];
        for (key, value, range) in counts {
            if !range.contains(&value) {
                let (min, max) = range.into_inner();
                return Err(Error::Config(format!("{key}: must be {min} to {max}, got {value}")));
            }
        }
        Ok(())
    }

    /// The librdkafka settings, except the brokers.
    pub(super) fn settings(&self) -> Result<Vec<(&str, String)>, Error> {
        let encrypted = self.url.starts_with(TLS_SCHEME);
        let mut settings = security::settings(encrypted, &self.tls, &self.sasl)?;
        for text in &self.client {
            settings.push(additional(text)?);
        }
        Ok(settings)
    }

    /// `bootstrap.servers` of librdkafka.
    pub(super) fn servers(&self) -> Result<String, Error> {
        // The URL is not shown, because it may contain a password.
        let wrong = || {
            let expected = "embedded:, kafka://host:port,host:port, or kafkas://... for TLS";
            Error::Config(format!("url: must be {expected}"))
        };
        let schemes = ["kafka://", TLS_SCHEME];
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

/// Parses a setting of `client`.
fn additional(text: &str) -> Result<(&str, String), Error> {
    let wrong = |what: &str| Error::Config(format!("client: {text:?}: {what}"));
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| wrong("must be key=value, such as socket.keepalive.enable=true"))?;
    match OWN_KEYS.iter().find(|(name, _)| *name == key) {
        // The value is not shown, because it may be a password.
        Some((_, own)) => Err(Error::Config(format!("client: {key}: use events.{own} instead"))),
        None => Ok((key, value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_urls_and_settings_are_rejected() {
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
