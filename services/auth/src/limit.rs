//! Counting of failures and the wait that follows. Pure.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};

#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Failures per window.
    pub allowed: u32,
    pub window: Duration,
    /// Wait after the failure that reaches the limit. It doubles with each further failure, up to
    /// the window. If `None`, the wait lasts until the window ends.
    pub backoff: Option<Duration>,
}

/// The failures of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    count: u32,
    since: DateTime<Utc>,
    blocked_until: DateTime<Utc>,
}

impl Tally {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { count: 0, since: now, blocked_until: now }
    }

    /// How long the next attempt has to wait, if at all.
    pub fn wait(&self, rule: &Rule, now: DateTime<Utc>) -> Option<Duration> {
        if now < self.blocked_until {
            return Some(self.blocked_until - now);
        }
        let over = self.since + rule.window;
        let full = rule.backoff.is_none() && self.count >= rule.allowed && now < over;
        full.then(|| over - now)
    }

    /// How many attempts may be checked at a time, where none has to wait: if all of them fail, the
    /// limit is reached and not exceeded.
    pub fn free(&self, rule: &Rule, now: DateTime<Utc>) -> u32 {
        let count = if self.is_over(rule, now) { 0 } else { self.count };
        rule.allowed.saturating_sub(count).max(1)
    }

    pub fn count(&mut self, rule: &Rule, now: DateTime<Utc>) {
        if self.is_over(rule, now) {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(1);
        if let Some(first) = rule.backoff
            && self.count >= rule.allowed
        {
            let doublings = (self.count - rule.allowed).min(16);
            let wait = (first * (1 << doublings)).min(rule.window);
            self.blocked_until = now + wait;
        }
    }

    /// Whether it can be dropped. With a backoff, the window starts after the block: otherwise a long
    /// block would reset the count.
    pub fn is_over(&self, rule: &Rule, now: DateTime<Utc>) -> bool {
        self.count == 0 || now >= self.since.max(self.blocked_until) + rule.window
    }
}

/// A digest of what is counted.
pub type Key = [u8; 16];

/// Tallies that keys share when there is no room for more.
const SHARED: u16 = 1024;
/// Seconds between two removals of expired tallies.
const SWEEP_SECONDS: i64 = 10;

/// Tallies by key, in bounded memory.
///
/// Tallies are never evicted before they expire: a flood of made-up keys must not reset the others.
/// When the table is full, new keys share a tally with their group, such as the region of an address.
/// So a flood makes limits stricter where it comes from, and hardly anywhere else.
pub struct Tallies {
    max: usize,
    own: HashMap<Key, Tally>,
    shared: HashMap<u16, Tally>,
    sweep_at: DateTime<Utc>,
}

impl Tallies {
    pub fn new(max: usize) -> Self {
        let (own, shared) = Default::default();
        Self { max, own, shared, sweep_at: DateTime::UNIX_EPOCH }
    }

    pub fn get(&self, key: Key, group: Key) -> Option<&Tally> {
        self.own.get(&key).or_else(|| self.shared.get(&slot(group)))
    }

    pub fn count(&mut self, key: Key, group: Key, rule: &Rule, now: DateTime<Utc>) {
        if self.own.len() >= self.max && now >= self.sweep_at {
            self.own.retain(|_, tally| !tally.is_over(rule, now));
            self.shared.retain(|_, tally| !tally.is_over(rule, now));
            self.sweep_at = now + Duration::seconds(SWEEP_SECONDS);
        }
        let has_room = self.own.len() < self.max || self.own.contains_key(&key);
        let shared = self.shared.get(&slot(group)).copied().unwrap_or_else(|| Tally::new(now));
        let tally = if has_room {
            // A key that shared a tally before keeps it.
            self.own.entry(key).or_insert(shared)
        } else {
            self.shared.entry(slot(group)).or_insert(shared)
        };
        tally.count(rule, now);
    }

    pub fn remove(&mut self, key: Key) {
        self.own.remove(&key);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.own.len() + self.shared.len()
    }
}

fn slot(group: Key) -> u16 {
    u16::from_le_bytes([group[0], group[1]]) % SHARED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_limit_holds_until_the_window_ends() {
        let rule = Rule { allowed: 3, window: Duration::seconds(60), backoff: None };
        let mut tally = Tally::new(at(0));
        for second in 0..3 {
            assert_eq!(tally.wait(&rule, at(second)), None);
            assert_eq!(i64::from(tally.free(&rule, at(second))), 3 - second);
            tally.count(&rule, at(second));
        }
        assert_eq!(tally.wait(&rule, at(10)), Some(Duration::seconds(50)));
        assert_eq!(tally.wait(&rule, at(60)), None);
        tally.count(&rule, at(100));
        assert_eq!((tally.count, tally.free(&rule, at(100))), (1, 2));
        assert!(tally.is_over(&rule, at(160)) && !tally.is_over(&rule, at(159)));
    }

    #[test]
    fn waits_double_up_to_the_window() {
        let minute = Duration::seconds(60);
        let rule = Rule { allowed: 5, window: minute * 15, backoff: Some(Duration::seconds(30)) };
        let mut tally = Tally::new(at(0));
        for _ in 0..4 {
            tally.count(&rule, at(0));
            assert_eq!(tally.wait(&rule, at(0)), None);
        }
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..8 {
            tally.count(&rule, now);
            let wait = tally.wait(&rule, now).unwrap();
            waits.push(wait.num_seconds());
            now += wait;
            assert_eq!((tally.wait(&rule, now), tally.free(&rule, now)), (None, 1));
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
    }

    #[test]
    fn a_flood_of_keys_neither_resets_nor_blocks_the_others() {
        let rule = Rule { allowed: 3, window: Duration::seconds(60), backoff: None };
        let key = |n: u32| {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&n.to_le_bytes());
            key
        };
        let (attacker, other) = (key(1), key(2));
        let mut tallies = Tallies::new(100);
        for _ in 0..3 {
            tallies.count(key(7), other, &rule, at(0));
        }
        for n in 0..10_000 {
            tallies.count(key(1000 + n), attacker, &rule, at(1));
        }
        assert!(tallies.len() <= 100 + usize::from(SHARED));
        let waits = |key, group| tallies.get(key, group).and_then(|t| t.wait(&rule, at(2)));
        assert!(waits(key(7), other).is_some(), "kept");
        assert!(waits(key(99_999), attacker).is_some(), "new keys of the flood share a tally");
        assert!(waits(key(99_999), other).is_none(), "keys from elsewhere do not");
        // All have expired.
        tallies.count(key(8), other, &rule, at(100));
        assert_eq!(tallies.len(), 1);
    }
}
