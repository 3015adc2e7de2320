//! The configuration of the REST gateway.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use rpc::Pace;
use serde::{Deserialize, Serialize};

/// The configuration of the REST gateway.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Maximum size of a JSON body in bytes, before and after decompression.
    pub body_bytes: usize,
    /// Maximum size of a raw upload in bytes.
    pub upload_bytes: u64,
    /// Maximum body size in bytes by RPC (`package.Service.Method`); overrides the limits above.
    pub body_bytes_of: BTreeMap<String, u64>,
    /// Maximum size of a response message of a service in bytes.
    pub response_bytes: usize,
    /// Maximum length of the request target in bytes.
    pub uri_bytes: usize,
    /// Maximum size of the request headers in bytes.
    pub header_bytes: usize,
    /// Maximum number of open connections; further ones wait.
    pub connections: usize,
    /// Maximum number of open connections of an address; further ones are closed. Loopback,
    /// `trusted_proxies` and `auth.trusted_networks` have no limit.
    pub connections_per_address: usize,
    /// Maximum size of all bodies that are still arriving, in bytes; one address may use an eighth.
    pub reading_bytes: usize,
    /// Maximum number of concurrent unary requests; further ones get 503.
    pub in_flight: usize,
    /// Maximum number of concurrent streams, uploads and downloads; further ones get 503.
    pub streams: usize,
    /// Timeout for the request headers, in seconds.
    pub header_seconds: u64,
    /// Longest time to wait for the next part of a body, in seconds.
    pub body_seconds: u64,
    /// Minimum rate at which a body must arrive in the long run, in bytes per second.
    pub body_bytes_per_second: u32,
    /// Default deadline of a call, in seconds.
    pub deadline_seconds: u64,
    /// Maximum deadline that a client may request, in seconds.
    pub max_deadline_seconds: u64,
    /// Maximum duration of a stream, upload or download, in seconds.
    pub stream_seconds: u64,
    /// Idle time after which an event stream sends a heartbeat comment, in seconds.
    pub heartbeat_seconds: u64,
    /// Addresses or CIDR blocks of proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// Web origins allowed by CORS; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Sends `Strict-Transport-Security`; set it when a proxy in front terminates TLS.
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
            connections_per_address: 256,
            reading_bytes: 256 * 1024 * 1024,
            in_flight: 1024,
            streams: 4096,
            header_seconds: 10,
            body_seconds: 10,
            body_bytes_per_second: 4096,
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

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cors_origins must be * or origins such as https://example.org, got {0:?}")]
    Origin(String),
    #[error("{0} must be at least 1, got 0")]
    Zero(&'static str),
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let is_origin = |origin: &str| {
            let host = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
            origin == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
        };
        if let Some(invalid) = self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError::Origin(invalid.clone()));
        }
        let sizes = [
            ("in_flight", self.in_flight),
            ("streams", self.streams),
            ("connections", self.connections),
            ("connections_per_address", self.connections_per_address),
            ("reading_bytes", self.reading_bytes),
            ("body_bytes_per_second", self.body_bytes_per_second as usize),
            ("uri_bytes", self.uri_bytes),
            ("header_bytes", self.header_bytes),
        ];
        match sizes.into_iter().find(|(_, size)| *size == 0) {
            Some((name, _)) => Err(ConfigError::Zero(name)),
            None => Ok(()),
        }
    }

    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_seconds)
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace { pause: Duration::from_secs(self.body_seconds), rate: self.body_bytes_per_second }
    }

    /// The deadline of a call: the requested one, limited by the configured maximum.
    pub(crate) fn deadline(&self, requested: Option<Duration>, stream: bool) -> Duration {
        let max = if stream { self.stream_seconds } else { self.max_deadline_seconds };
        let default = if stream { self.stream_seconds } else { self.deadline_seconds };
        requested
            .unwrap_or(Duration::from_secs(default))
            .clamp(Duration::from_millis(1), Duration::from_secs(max))
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
    /// IPv4-mapped IPv6 addresses count as IPv4.
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
        let invalid =
            || format!("must be an address or a CIDR block such as 10.0.0.0/8, got {text:?}");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(invalid());
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
    fn networks_contain_their_addresses() {
        let inside = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(inside("10.0.0.0/8", "10.1.2.3") && !inside("10.0.0.0/8", "11.1.2.3"));
        assert!(inside("127.0.0.1", "127.0.0.1") && inside("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(inside("0.0.0.0/0", "1.2.3.4") && inside("::/0", "::1"));
        assert!(inside("fd00::/8", "fd12::1") && !inside("fd00::/8", "fe80::1"));
        for invalid in ["", "10.0.0.0/33", "a/8", "10.0.0.0/-1", "::/129"] {
            assert!(invalid.parse::<Network>().is_err(), "{invalid}");
        }
    }

    #[test]
    fn invalid_settings_are_refused() {
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
