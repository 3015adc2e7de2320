//! Counting of attempts and the wait that follows. Pure.

use chrono::{DateTime, Duration, Utc};

#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Attempts per window.
    pub allowed: u32,
    pub window: Duration,
    /// Wait after the attempt that reaches the limit. It doubles with each further attempt, up to
    /// the window. If `None`, the wait lasts until the window ends.
    pub backoff: Option<Duration>,
}

/// The attempts of one key.
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

    pub fn count(&mut self, rule: &Rule, now: DateTime<Utc>) {
        // With a backoff, the window starts after the block: otherwise a long block would reset the
        // count.
        if now >= self.since.max(self.blocked_until) + rule.window {
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

    /// Removes a successful attempt from the count.
    pub fn refund(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// Whether it can be dropped.
    pub fn is_over(&self, rule: &Rule, now: DateTime<Utc>) -> bool {
        self.count == 0 || now >= self.since.max(self.blocked_until) + rule.window
    }
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
            tally.count(&rule, at(second));
        }
        assert_eq!(tally.wait(&rule, at(10)), Some(Duration::seconds(50)));
        assert_eq!(tally.wait(&rule, at(60)), None);
        tally.refund();
        assert_eq!(tally.wait(&rule, at(10)), None);
        tally.count(&rule, at(100));
        assert_eq!(tally.count, 1);
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
            assert_eq!(tally.wait(&rule, now), None);
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
    }
}
