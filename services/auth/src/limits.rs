//! Limits on sign-ins and registrations, in the memory of this process.
//!
//! Only failures count. Failures to sign in to an account count together where they come from one
//! network; devices and addresses from which the account was used before have budgets of their own.
//! So no other user can lock the owner out. Attempts beyond the number that may still fail wait for
//! the results of the earlier ones. So concurrent guesses cannot pass a limit, and concurrent correct
//! passwords are not refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache::{Cache, Rate};
use chrono::{DateTime, Duration, Utc};
use ids::{Clock, Uuid};
use tokio::sync::Notify;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::limit::{Key, Rule, Tallies};
use crate::network::{network, region, subscriber};
use crate::secret::{random, sha256};

/// Maximum number of tallies of each kind.
const MAX_KEYS: usize = 100_000;
/// Maximum number of attempts with one budget that wait for the results of others.
const MAX_WAITING: u32 = 64;

/// See the module documentation. Cheap to clone.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    clock: Clock,
    cache: Cache,
    config: Config,
    budget: Rule,
    suspicion: Rule,
    /// Makes keys unpredictable, so that clients cannot choose with whom they share a tally.
    salt: [u8; 16],
    counts: Mutex<Counts>,
    /// Woken when an attempt ends.
    ended: Notify,
}

struct Counts {
    /// Failures by identifier and network.
    strangers: Tallies,
    /// Failures by known device or address of an account.
    known: Tallies,
    /// Failures by identifier, from everywhere.
    identifiers: Tallies,
    /// Failed sign-ins by subscriber.
    sign_ins: Tallies,
    /// Wrong one-time codes by subscriber.
    codes: Tallies,
    /// Attempts by budget.
    attempts: HashMap<Key, Attempts>,
}

#[derive(Clone, Copy, Default)]
struct Attempts {
    running: u32,
    waiting: u32,
}

/// From where an account is signed in to.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    /// A device that has signed in to the account before, or a session of it.
    Device(Uuid),
    /// An address from which the account (an id) was used before.
    Known(Uuid, IpAddr),
    /// Any other address; `None` inside this process.
    Stranger(Option<IpAddr>),
}

/// An attempt to sign in that was admitted. Dropped without a result, it does not count.
#[must_use]
pub struct Attempt {
    limits: Limits,
    budget: Key,
    group: Key,
    identifier: Key,
    origin: Origin,
    address: Option<IpAddr>,
}

enum Admission {
    Now,
    /// The running attempts may use up the budget.
    AfterOthers,
    Never(Error),
}

impl Limits {
    pub fn new(config: &Config, cache: Cache, clock: Clock) -> Self {
        Self::with(config, cache, clock, MAX_KEYS)
    }

    fn with(config: &Config, cache: Cache, clock: Clock, max: usize) -> Self {
        let quarter = Duration::minutes(15);
        let budget = Rule { allowed: 5, window: quarter, backoff: Some(Duration::seconds(30)) };
        // Suspicion needs one more.
        let allowed = config.failures_per_identifier.saturating_add(1);
        let suspicion = Rule { allowed, window: Duration::hours(1), backoff: None };
        let tallies = || Tallies::new(max);
        let counts = Mutex::new(Counts {
            strangers: tallies(),
            known: tallies(),
            identifiers: tallies(),
            sign_ins: tallies(),
            codes: tallies(),
            attempts: HashMap::new(),
        });
        let (config, salt, ended) = (config.clone(), random(), Notify::new());
        Self(Arc::new(Inner { clock, cache, config, budget, suspicion, salt, counts, ended }))
    }

    /// Admits an attempt to sign in as `identifier` from an address; an error when it has to wait for
    /// longer than other attempts run.
    pub async fn attempt(
        &self,
        identifier: &str,
        origin: Origin,
        address: Option<IpAddr>,
    ) -> Result<Attempt> {
        let (budget, group) = self.budget(identifier, origin);
        let identifier = self.key(&["identifier", identifier]);
        let attempt =
            || Attempt { limits: self.clone(), budget, group, identifier, origin, address };
        let mut waiting = None;
        loop {
            let ended = self.0.ended.notified();
            let mut ended = std::pin::pin!(ended);
            // From here on, no wake-up is missed.
            ended.as_mut().enable();
            match self.admit(budget, group, origin, address, waiting.is_some()) {
                Admission::Now => return Ok(attempt()),
                Admission::Never(error) => return Err(error),
                Admission::AfterOthers => {
                    waiting.get_or_insert_with(|| Waiting::new(self, budget));
                }
            }
            ended.await;
        }
    }

    /// The budget of an attempt, and the group that shares a tally when there are too many.
    fn budget(&self, identifier: &str, origin: Origin) -> (Key, Key) {
        match origin {
            Origin::Device(id) => {
                let key = self.key(&["device", &id.to_string()]);
                (key, key)
            }
            Origin::Known(account, address) => {
                let account = account.to_string();
                let key = self.key(&["known", &account, &subscriber(address)]);
                (key, self.key(&["account", &account]))
            }
            Origin::Stranger(address) => {
                let network = address.map(network).unwrap_or_default();
                (self.key(&["stranger", identifier, &network]), self.region(address))
            }
        }
    }

    fn admit(
        &self,
        budget: Key,
        group: Key,
        origin: Origin,
        address: Option<IpAddr>,
        is_waiting: bool,
    ) -> Admission {
        let now = self.0.clock.now();
        let mut counts = self.lock();
        // The address of a known device may be shared with others, whose failures are not its own.
        let of_address = match origin {
            Origin::Device(_) => None,
            _ => self.address_wait(&counts.sign_ins, address, now),
        };
        let tally = counts.budgets(origin).get(budget, group);
        let wait = tally.and_then(|tally| tally.wait(&self.0.budget, now)).max(of_address);
        if let Some(wait) = wait {
            return Admission::Never(too_many(wait));
        }
        let free = tally.map_or(self.0.budget.allowed, |tally| tally.free(&self.0.budget, now));
        let attempts = counts.attempts.entry(budget).or_default();
        if attempts.running < free {
            attempts.running += 1;
            return Admission::Now;
        }
        if !is_waiting && attempts.waiting >= MAX_WAITING {
            return Admission::Never(Error::Busy { after: std::time::Duration::from_secs(1) });
        }
        Admission::AfterOthers
    }

    /// An error when the address sent too many wrong one-time codes.
    pub fn check_codes(&self, address: Option<IpAddr>) -> Result<()> {
        match self.address_wait(&self.lock().codes, address, self.0.clock.now()) {
            Some(wait) => Err(too_many(wait)),
            None => Ok(()),
        }
    }

    /// Counts a wrong one-time code from an address.
    pub fn wrong_code(&self, address: Option<IpAddr>) {
        let Some((key, rule)) = self.address_rule(address) else { return };
        let group = self.region(address);
        self.lock().codes.count(key, group, &rule, self.0.clock.now());
    }

    /// Counts a registration from an address.
    pub async fn register(&self, address: Option<IpAddr>) -> Result<()> {
        let Some(address) = address.filter(|address| !self.0.config.trusts(*address)) else {
            return Ok(());
        };
        let hour = std::time::Duration::from_secs(3600);
        let rate = Rate::new(self.0.config.registrations_per_hour, hour);
        let key = format!("auth/register/{}", subscriber(address));
        let decision = self.0.cache.rate(&key, rate).await;
        if decision.allowed {
            return Ok(());
        }
        Err(Error::TooManyAttempts { after: decision.retry_after })
    }

    fn address_wait(
        &self,
        tallies: &Tallies,
        address: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Option<Duration> {
        let (key, rule) = self.address_rule(address)?;
        tallies.get(key, self.region(address))?.wait(&rule, now)
    }

    /// The limit of an address; `None` for calls inside the process.
    fn address_rule(&self, address: Option<IpAddr>) -> Option<(Key, Rule)> {
        let address = address?;
        let factor = if self.0.config.trusts(address) { 10 } else { 1 };
        let allowed = self.0.config.failures_per_minute.saturating_mul(factor);
        let rule = Rule { allowed, window: Duration::minutes(1), backoff: None };
        Some((self.key(&["address", &subscriber(address)]), rule))
    }

    fn region(&self, address: Option<IpAddr>) -> Key {
        self.key(&["region", &address.map(region).unwrap_or_default()])
    }

    fn key(&self, parts: &[&str]) -> Key {
        let mut text = self.0.salt.to_vec();
        text.extend_from_slice(parts.join("\u{0}").as_bytes());
        *sha256(&text).first_chunk().expect("SHA-256 has 32 bytes")
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn budgets(&self, origin: Origin) -> &Tallies {
        match origin {
            Origin::Device(_) | Origin::Known(..) => &self.known,
            Origin::Stranger(_) => &self.strangers,
        }
    }

    fn budgets_mut(&mut self, origin: Origin) -> &mut Tallies {
        match origin {
            Origin::Device(_) | Origin::Known(..) => &mut self.known,
            Origin::Stranger(_) => &mut self.strangers,
        }
    }

    fn change(&mut self, budget: Key, change: impl FnOnce(&mut Attempts)) {
        let attempts = self.attempts.entry(budget).or_default();
        change(attempts);
        if attempts.running == 0 && attempts.waiting == 0 {
            self.attempts.remove(&budget);
        }
    }
}

impl Attempt {
    /// How long the check has to be delayed because the account is being guessed from many networks.
    /// The owner's known devices and addresses are not delayed.
    pub fn delay(&self) -> std::time::Duration {
        let Inner { clock, config, suspicion, .. } = &*self.limits.0;
        let known = !matches!(self.origin, Origin::Stranger(_));
        let counts = self.limits.lock();
        let tally = counts.identifiers.get(self.identifier, self.identifier);
        let suspicious = tally.is_some_and(|tally| tally.wait(suspicion, clock.now()).is_some());
        let delay = if suspicious && !known { config.suspicion_delay_milliseconds } else { 0 };
        std::time::Duration::from_millis(delay)
    }

    /// The secret was right: removes earlier failures with the same budget.
    pub fn succeeded(self) {
        self.limits.lock().budgets_mut(self.origin).remove(self.budget);
    }

    /// The secret was wrong.
    pub fn failed(self) {
        let limits = &self.limits;
        let Inner { clock, budget, suspicion, .. } = &*limits.0;
        let now = clock.now();
        let mut counts = limits.lock();
        counts.budgets_mut(self.origin).count(self.budget, self.group, budget, now);
        counts.identifiers.count(self.identifier, self.identifier, suspicion, now);
        if let Some((key, rule)) = limits.address_rule(self.address) {
            counts.sign_ins.count(key, limits.region(self.address), &rule, now);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.limits.lock().change(self.budget, |attempts| attempts.running -= 1);
        self.limits.0.ended.notify_waiters();
    }
}

/// An attempt that waits for the results of others.
struct Waiting<'l> {
    limits: &'l Limits,
    budget: Key,
}

impl<'l> Waiting<'l> {
    fn new(limits: &'l Limits, budget: Key) -> Self {
        limits.lock().change(budget, |attempts| attempts.waiting += 1);
        Self { limits, budget }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.limits.lock().change(self.budget, |attempts| attempts.waiting -= 1);
    }
}

fn too_many(wait: Duration) -> Error {
    // At least a second: clients must not retry at once.
    let after = wait.to_std().unwrap_or_default().max(std::time::Duration::from_secs(1));
    Error::TooManyAttempts { after }
}

#[cfg(test)]
mod tests;
