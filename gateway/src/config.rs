//! What an operator may set about the REST edge.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The REST edge.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Largest JSON body, in bytes, also after decompression.
    pub body_bytes: usize,
    /// Largest raw upload, in bytes.
    pub upload_bytes: u64,
    /// Largest body of single RPCs (`package.Service.Method`), in bytes, instead of the above.
    pub body_bytes_of: BTreeMap<String, u64>,
    /// Largest response message that is accepted from a service, in bytes.
    pub response_bytes: usize,
    /// Longest request target, in bytes.
    pub uri_bytes: usize,
    /// Largest request head, in bytes.
    pub header_bytes: usize,
    /// Open connections; further ones wait.
    pub connections: usize,
    /// Unary requests at a time; further ones get 503.
    pub in_flight: usize,
    /// Streams, uploads and downloads at a time; further ones get 503.
    pub streams: usize,
    /// How long a client may take to send a request's head, in seconds.
    pub header_seconds: u64,
    /// How long a client may take to send a JSON body, and may pause in an upload, in seconds.
    pub body_seconds: u64,
    /// Deadline of a call whose client names none, in seconds.
    pub deadline_seconds: u64,
    /// Longest deadline a client may ask for, in seconds.
    pub max_deadline_seconds: u64,
    /// Longest stream, upload or download, in seconds.
    pub stream_seconds: u64,
    /// Silence after which an event stream gets a sign of life, in seconds.
    pub heartbeat_seconds: u64,
    /// Proxies (addresses or CIDR blocks) whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Web origins that may call from browsers; `*` for any.
    pub cors_origins: Vec<String>,
    /// Tells browsers to use TLS only; set it when a proxy in front ends TLS.
    pub hsts: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            body_bytes: 1024 * 1024,
            upload_bytes: 512 * 1024 * 1024,
            body_bytes_of: BTreeMap::new(),
            response_bytes: 32 * 1024 * 1024,
            uri_bytes: 8 * 1024,
            header_bytes: 16 * 1024,
            connections: 10_000,
            in_flight: 1024,
            streams: 4096,
            header_seconds: 10,
            body_seconds: 30,
            deadline_seconds: 15,
            max_deadline_seconds: 60,
            stream_seconds: 3600,
            heartbeat_seconds: 15,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            hsts: false,
        }
    }
}

/// A setting of the edge that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not the origin of a page.
    #[error("cors_origins: {0:?} is not an origin such as https://example.org, nor *")]
    Origin(String),
    /// Nothing could be answered.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
}

impl Config {
    /// Refuses what cannot be meant.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let is_origin = |origin: &str| {
            let host = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
            origin == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
        };
        if let Some(wrong) = self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError::Origin(wrong.clone()));
        }
        let sizes = [
            ("in_flight", self.in_flight),
            ("streams", self.streams),
            ("connections", self.connections),
            ("uri_bytes", self.uri_bytes),
            ("header_bytes", self.header_bytes),
        ];
        match sizes.into_iter().find(|(_, size)| *size == 0) {
            Some((name, _)) => Err(ConfigError::Zero(name)),
            None => Ok(()),
        }
    }

    /// The deadline of a call: what the client asked for, within bounds.
    pub(crate) fn deadline(&self, asked: Option<Duration>, stream: bool) -> Duration {
        let longest = if stream { self.stream_seconds } else { self.max_deadline_seconds };
        let usual = if stream { self.stream_seconds } else { self.deadline_seconds };
        asked
            .unwrap_or(Duration::from_secs(usual))
            .clamp(Duration::from_millis(1), Duration::from_secs(longest.max(1)))
    }
}

/// A block of addresses, such as `10.0.0.0/8`, `::1` or `127.0.0.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address lies in the block. IPv4 addresses in IPv6 form count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let mask = |address: u128, width: u8| match u32::from(width - self.bits) {
            shift if shift >= 128 => 0,
            shift => address >> shift,
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                mask(own.to_bits().into(), 32) == mask(other.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                mask(own.to_bits(), 128) == mask(other.to_bits(), 128)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an address or a block such as 10.0.0.0/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(wrong());
        }
        Ok(Network { address, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        format!("{}/{}", network.address, network.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let inside = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(inside("10.0.0.0/8", "10.1.2.3") && !inside("10.0.0.0/8", "11.1.2.3"));
        assert!(inside("127.0.0.1", "127.0.0.1") && inside("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(inside("0.0.0.0/0", "1.2.3.4") && inside("::/0", "::1"));
        assert!(inside("fd00::/8", "fd12::1") && !inside("fd00::/8", "fe80::1"));
        for wrong in ["", "10.0.0.0/33", "a/8", "10.0.0.0/-1", "::/129"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_that_cannot_be_meant() {
        let origins =
            |origin: &str| Config { cors_origins: vec![origin.into()], ..Config::default() };
        assert!(origins("*").check().is_ok() && origins("https://a.example:8443").check().is_ok());
        assert!(origins("a.example").check().is_err() && origins("https://a/b").check().is_err());
        assert!(Config { in_flight: 0, ..Config::default() }.check().is_err());
    }

    #[test]
    fn deadlines_are_clamped() {
        let config = Config::default();
        assert_eq!(config.deadline(None, false), Duration::from_secs(15));
        assert_eq!(config.deadline(Some(Duration::from_secs(999)), false), Duration::from_secs(60));
        assert_eq!(config.deadline(Some(Duration::ZERO), false), Duration::from_millis(1));
        assert_eq!(config.deadline(None, true), Duration::from_secs(3600));
    }
}
