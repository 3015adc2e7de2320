//! The configuration of auth.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Who may register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    #[default]
    Open,
    /// Holders of an invitation code.
    Invite,
    Closed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who may register: `open`, `invite` or `closed`.
    pub registration: Registration,
    /// Minimum length of new passwords, in characters; 8 to 64.
    pub password_min_length: usize,
    /// Concurrent password hashes, each of which uses a core and 19 MiB; 0 = one per core. The memory
    /// is allocated at the first hashes and reused, so that it does not grow with the number of
    /// sign-ins.
    pub hash_threads: usize,
    /// Password hashes that may wait; further ones are refused with RetryInfo.
    pub hash_queue: usize,
    /// Lifetime of access tokens in seconds, 30 to 3600; randomly shortened by up to a tenth.
    pub access_token_seconds: i64,
    /// Days without a refresh after which a session ends.
    pub session_idle_days: i64,
    /// Seconds for which a used refresh token can be retried and gets the same successor; 0 = none.
    pub refresh_grace_seconds: i64,
    /// Days after which the signing key is rotated.
    pub signing_key_days: i64,
    pub registrations_per_hour: u32,
    /// Failed sign-ins per address (an IPv4 address, or an IPv6 /64) and minute; as many wrong
    /// one-time codes. Successes do not count.
    pub failures_per_minute: u32,
    /// Failed sign-ins per identifier and hour, from all networks. After more, sign-ins from devices
    /// and addresses that the account has not used before are delayed.
    pub failures_per_identifier: u32,
    /// That delay, in milliseconds; at most 10,000.
    pub suspicion_delay_milliseconds: u64,
    /// Networks such as `10.0.0.0/8` in which many people share an address (contest labs):
    /// registrations are not counted, and `failures_per_minute` is ten times as high. Always
    /// contains loopback.
    pub trusted_networks: Vec<String>,
    /// Minimum duration of a failed sign-in, in milliseconds.
    pub reply_floor_milliseconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            registration: Registration::Open,
            password_min_length: 15,
            hash_threads: 0,
            hash_queue: 64,
            access_token_seconds: 300,
            session_idle_days: 30,
            refresh_grace_seconds: 60,
            signing_key_days: 30,
            registrations_per_hour: 20,
            failures_per_minute: 60,
            failures_per_identifier: 10,
            suspicion_delay_milliseconds: 2000,
            trusted_networks: Vec::new(),
            reply_floor_milliseconds: 100,
        }
    }
}

impl Config {
    /// Checks the ranges of the values. The error names the key.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: i64, from: i64, to: i64| {
            let error = || format!("auth.{name} must be {from} to {to}, got {value}");
            (from..=to).contains(&value).then_some(()).ok_or_else(error)
        };
        let length = i64::try_from(self.password_min_length).unwrap_or(i64::MAX);
        within("password_min_length", length, 8, 64)?;
        within("access_token_seconds", self.access_token_seconds, 30, 3600)?;
        within("session_idle_days", self.session_idle_days, 1, 3650)?;
        within("refresh_grace_seconds", self.refresh_grace_seconds, 0, 300)?;
        within("signing_key_days", self.signing_key_days, 1, 3650)?;
        let delay = i64::try_from(self.suspicion_delay_milliseconds).unwrap_or(i64::MAX);
        within("suspicion_delay_milliseconds", delay, 0, 10_000)?;
        for network in &self.trusted_networks {
            if parse_network(network).is_none() {
                return Err(format!(
                    "auth.trusted_networks must hold networks such as 10.0.0.0/8, got {network:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whether an address is loopback or in a trusted network.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let mut networks = self.trusted_networks.iter().filter_map(|text| parse_network(text));
        address.is_loopback() || networks.any(|network| network.contains(&address))
    }
}

/// Parses a network, or an address as a network of its own.
fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(IpAddr::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_networks_contain_their_addresses() {
        let config = Config {
            trusted_networks: vec!["10.1.0.0/16".into(), "2001:db8::/32".into(), "9.9.9.9".into()],
            ..Config::default()
        };
        assert_eq!(config.check(), Ok(()));
        let trusts = |text: &str| config.trusts(text.parse().unwrap());
        assert!(trusts("127.0.0.1") && trusts("::1") && trusts("10.1.255.1"));
        assert!(trusts("2001:db8:1::1") && trusts("9.9.9.9"));
        assert!(!trusts("10.2.0.1") && !trusts("2001:db9::1") && !trusts("9.9.9.8"));
        assert!(!trusts("::a01:1"));
    }

    #[test]
    fn errors_name_the_key() {
        let bad = |change: fn(&mut Config), key: &str| {
            let mut config = Config::default();
            change(&mut config);
            assert!(config.check().unwrap_err().starts_with(&format!("auth.{key}")));
        };
        bad(|c| c.password_min_length = 7, "password_min_length");
        bad(|c| c.access_token_seconds = 1, "access_token_seconds");
        bad(|c| c.suspicion_delay_milliseconds = 10_001, "suspicion_delay_milliseconds");
        bad(|c| c.trusted_networks = vec!["10.0.0.0/33".into()], "trusted_networks");
        bad(|c| c.trusted_networks = vec!["home".into()], "trusted_networks");
        assert_eq!(Config::default().check(), Ok(()));
    }
}
