//! Limits on sign-ins and registrations, in the memory of this process.
//!
//! An attempt is counted before its secret is checked, and removed from the count when the secret was
//! right. Concurrent guesses cannot pass the limit, and many people who sign in correctly from one
//! address never reach it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use cache::{Cache, Rate};
use chrono::{DateTime, Duration, Utc};
use ids::Clock;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::limit::{Rule, Tally};
use crate::secret::sha256;

/// Maximum number of counted keys. At the limit, expired ones are dropped.
const MAX_KEYS: usize = 100_000;

/// See the module documentation. Cheap to clone.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    clock: Clock,
    cache: Cache,
    config: Config,
    pair: Rule,
    identifier: Rule,
    tallies: Mutex<HashMap<Key, Entry>>,
}

type Key = [u8; 16];

/// The shared key for all that exceed `MAX_KEYS`.
const OVERFLOW: Key = [0; 16];

#[derive(Clone, Copy)]
struct Entry {
    tally: Tally,
    rule: Rule,
}

#[must_use]
pub struct Attempt {
    limits: Limits,
    pair: Key,
    identifier: Key,
    address: Option<IpAddr>,
}

impl Limits {
    pub fn new(config: &Config, cache: Cache, clock: Clock) -> Self {
        let quarter = Duration::minutes(15);
        let pair = Rule { allowed: 5, window: quarter, backoff: Some(Duration::seconds(30)) };
        let allowed = config.failures_per_identifier;
        let identifier = Rule { allowed, window: Duration::hours(1), backoff: None };
        let (config, tallies) = (config.clone(), Mutex::default());
        Self(Arc::new(Inner { clock, cache, config, pair, identifier, tallies }))
    }

    /// Counts an attempt to sign in as `identifier`; an error when it has to wait.
    pub fn attempt(&self, identifier: &str, address: Option<IpAddr>) -> Result<Attempt> {
        let network = address.map(network).unwrap_or_default();
        let attempt = Attempt {
            limits: self.clone(),
            pair: key(&["pair", identifier, &network]),
            identifier: key(&["identifier", identifier]),
            address,
        };
        let now = self.0.clock.now();
        let mut tallies = self.lock();
        let rules = [(attempt.pair, self.0.pair), (attempt.identifier, self.0.identifier)];
        let address = self.address_rule(address).map(|(key, rule)| wait(&tallies, key, &rule, now));
        let waits = rules.iter().map(|(key, rule)| wait(&tallies, *key, rule, now));
        if let Some(longest) = waits.chain(address).flatten().max() {
            return Err(too_many(longest));
        }
        for (key, rule) in rules {
            count(&mut tallies, key, rule, now);
        }
        Ok(attempt)
    }

    /// An error when the address has to wait; for secrets without an identifier.
    pub fn check_address(&self, address: Option<IpAddr>) -> Result<()> {
        let Some((key, rule)) = self.address_rule(address) else { return Ok(()) };
        match wait(&self.lock(), key, &rule, self.0.clock.now()) {
            Some(wait) => Err(too_many(wait)),
            None => Ok(()),
        }
    }

    /// Counts a wrong secret from an address.
    pub fn failed(&self, address: Option<IpAddr>) {
        if let Some((key, rule)) = self.address_rule(address) {
            count(&mut self.lock(), key, rule, self.0.clock.now());
        }
    }

    /// Counts a registration from an address.
    pub async fn register(&self, address: Option<IpAddr>) -> Result<()> {
        let Some(address) = address.filter(|address| !self.0.config.trusts(*address)) else {
            return Ok(());
        };
        let hour = std::time::Duration::from_secs(3600);
        let rate = Rate::new(self.0.config.registrations_per_hour, hour);
        let decision =
            self.0.cache.rate(&format!("auth/register/{}", network(address)), rate).await;
        if decision.allowed {
            return Ok(());
        }
        Err(Error::TooManyAttempts { after: decision.retry_after })
    }

    /// The limit of an address; `None` for calls inside the process.
    fn address_rule(&self, address: Option<IpAddr>) -> Option<(Key, Rule)> {
        let address = address?;
        let factor = if self.0.config.trusts(address) { 10 } else { 1 };
        let allowed = self.0.config.failures_per_minute.saturating_mul(factor);
        let rule = Rule { allowed, window: Duration::minutes(1), backoff: None };
        Some((key(&["address", &network(address)]), rule))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The secret was right: removes the attempt, and earlier failures from the same network.
    pub fn succeeded(self) {
        let mut tallies = self.limits.lock();
        tallies.remove(&self.pair);
        if let Some(entry) = tallies.get_mut(&self.identifier) {
            entry.tally.refund();
        }
    }

    /// The secret was wrong: counts against the address too.
    pub fn failed(self) {
        self.limits.failed(self.address);
    }

    /// The secret was not checked: removes the attempt.
    pub fn abandoned(self) {
        let mut tallies = self.limits.lock();
        for key in [self.pair, self.identifier] {
            if let Some(entry) = tallies.get_mut(&key) {
                entry.tally.refund();
            }
        }
    }
}

fn too_many(wait: Duration) -> Error {
    // At least a second: clients must not retry at once.
    let after = wait.to_std().unwrap_or_default().max(std::time::Duration::from_secs(1));
    Error::TooManyAttempts { after }
}

fn wait(
    tallies: &HashMap<Key, Entry>,
    key: Key,
    rule: &Rule,
    now: DateTime<Utc>,
) -> Option<Duration> {
    let entry = tallies.get(&key).or_else(|| tallies.get(&OVERFLOW))?;
    entry.tally.wait(rule, now)
}

fn count(tallies: &mut HashMap<Key, Entry>, key: Key, rule: Rule, now: DateTime<Utc>) {
    if tallies.len() >= MAX_KEYS {
        tallies.retain(|_, entry| !entry.tally.is_over(&entry.rule, now));
    }
    // Still full: identifiers are being made up. New ones share one tally, which soon reaches its
    // limit.
    let key = if tallies.len() >= MAX_KEYS && !tallies.contains_key(&key) { OVERFLOW } else { key };
    let entry = tallies.entry(key).or_insert(Entry { tally: Tally::new(now), rule });
    entry.tally.count(&rule, now);
}

fn key(parts: &[&str]) -> Key {
    let digest = sha256(parts.join("\u{0}").as_bytes());
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

/// The network of one subscriber: an IPv4 address or an IPv6 /64.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> (Limits, Clock) {
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let cache = Cache::memory(clock.clone());
        (Limits::new(&Config::default(), cache, clock.clone()), clock)
    }

    fn from(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn identifier_and_network_wait_after_five_failures() {
        let (limits, clock) = limits();
        for _ in 0..5 {
            limits.attempt("ada", from("192.0.2.1")).unwrap().failed();
        }
        assert!(limits.attempt("ada", from("192.0.2.1")).is_err());
        limits.attempt("ada", from("192.0.2.2")).unwrap().abandoned();
        limits.attempt("eve", from("192.0.2.1")).unwrap().abandoned();
        clock.advance(std::time::Duration::from_secs(31));
        limits.attempt("ada", from("192.0.2.1")).unwrap().succeeded();
        for _ in 0..4 {
            limits.attempt("ada", from("192.0.2.1")).unwrap().failed();
        }
    }

    #[test]
    fn an_identifier_waits_after_ten_failures_from_all_networks() {
        let (limits, _) = limits();
        for n in 0..10 {
            limits.attempt("ada", from(&format!("192.0.2.{n}"))).unwrap().failed();
        }
        assert!(limits.attempt("ada", from("192.0.2.99")).is_err());
    }

    #[test]
    fn concurrent_guesses_are_counted() {
        let (limits, _) = limits();
        let running: Vec<_> =
            (0..20).filter_map(|_| limits.attempt("ada", from("192.0.2.1")).ok()).collect();
        assert_eq!(running.len(), 5);
    }

    #[test]
    fn successes_from_one_address_are_not_limited() {
        let (limits, _) = limits();
        let running: Vec<_> = (0..500)
            .map(|n| limits.attempt(&format!("player{n}"), from("192.0.2.1")).unwrap())
            .collect();
        running.into_iter().for_each(Attempt::succeeded);
        for n in 0..60 {
            limits.attempt(&format!("other{n}"), from("192.0.2.1")).unwrap().failed();
        }
        assert!(limits.attempt("another", from("192.0.2.1")).is_err());
        assert!(limits.check_address(from("192.0.2.1")).is_err());
        // Loopback is trusted: ten times the limit.
        for n in 0..600 {
            limits.attempt(&format!("other{n}"), from("::1")).unwrap().failed();
        }
        assert!(limits.attempt("another", from("::1")).is_err());
    }

    #[tokio::test]
    async fn registrations_are_limited_by_network() {
        let (limits, _) = limits();
        for _ in 0..20 {
            limits.register(from("2001:db8::1")).await.unwrap();
        }
        assert!(limits.register(from("2001:db8::2")).await.is_err(), "one network of 64 bits");
        assert!(limits.register(from("2001:db8:1::2")).await.is_ok());
        for _ in 0..100 {
            limits.register(from("127.0.0.1")).await.unwrap();
            limits.register(None).await.unwrap();
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (limits, _) = limits();
        for n in 0..MAX_KEYS {
            if let Ok(attempt) = limits.attempt(&format!("made-up-{n}"), None) {
                attempt.failed();
            }
        }
        assert!(limits.lock().len() <= MAX_KEYS + 1);
        assert!(limits.attempt("yet another", None).is_err(), "the overflow shares a tally");
    }
}
