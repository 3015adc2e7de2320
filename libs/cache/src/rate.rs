//! Rate limits: a token bucket, stored as the time at which it is full again.
//!
//! A full bucket holds `limit` tokens, and one token is added every `window / limit`; so in any span of time `t` at most
//! `limit + limit * t / window` calls are allowed. Pure: time is a parameter.

use std::time::Duration;

use chrono::{DateTime, Utc};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens of a full bucket. 0 allows nothing.
    pub limit: u32,
    /// The time in which an empty bucket becomes full.
    pub window: Duration,
}

impl Rate {
    /// `limit` calls per `window`.
    pub const fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the call is allowed. If so, it took a token.
    pub allowed: bool,
    /// Tokens left.
    pub remaining: u32,
    /// The time until the next token; zero when allowed.
    pub retry_after: Duration,
}

/// A rate in microseconds. One backend calculates in Lua, whose numbers are exact up to 2^53.
///
/// `step` is the time per token, rounded up so that the limit is never exceeded, and `capacity` that of `limit` tokens.
/// Where the limit does not divide the window, filling takes a few microseconds longer than the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub step: u64,
    pub capacity: u64,
}

/// 100 years: twice as much, and that much from now, is below 2^53 microseconds.
const MAX_WINDOW: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Bucket {
    /// None for a limit of 0.
    pub fn of(rate: Rate) -> Option<Self> {
        let window = u64::try_from(rate.window.min(MAX_WINDOW).as_micros()).unwrap_or(u64::MAX);
        let limit = u64::from(rate.limit);
        let step = window.max(1).checked_add(limit.checked_sub(1)?)? / limit;
        Some(Self { step, capacity: step * limit })
    }

    /// `missing`: microseconds until the bucket is full.
    pub fn decision(self, allowed: bool, missing: u64) -> Decision {
        let wait = if allowed { 0 } else { (missing + self.step).saturating_sub(self.capacity) };
        let remaining = self.capacity.saturating_sub(missing) / self.step;
        Decision {
            allowed,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            retry_after: Duration::from_micros(wait),
        }
    }
}

impl Decision {
    /// The result of a limit of 0.
    pub(crate) fn never(rate: Rate) -> Self {
        Self { allowed: false, remaining: 0, retry_after: rate.window }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// When the bucket is full, and need not be stored any more.
    pub full_at: DateTime<Utc>,
}

impl Spent {
    /// Takes one token, if one is left. `redis/rate.lua` is the same algorithm.
    pub fn take(&mut self, rate: Rate, now: DateTime<Utc>) -> Decision {
        let Some(bucket) = Bucket::of(rate) else { return Decision::never(rate) };
        // Capped, because the clock may have been set back.
        let missing = (self.full_at - now).num_microseconds().unwrap_or(0);
        let missing = u64::try_from(missing).unwrap_or(0).min(bucket.capacity);
        let allowed = missing + bucket.step <= bucket.capacity;
        let missing = if allowed { missing + bucket.step } else { missing };
        self.full_at = now + Duration::from_micros(missing);
        bucket.decision(allowed, missing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN: Rate = Rate::new(10, Duration::from_secs(60));

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + millis).expect("valid")
    }

    #[test]
    fn burst_is_allowed_then_one_call_per_step() {
        let mut spent = Spent::default();
        for left in (0..10).rev() {
            let decision = spent.take(TEN, at(0));
            assert!(decision.allowed);
            assert_eq!(decision.remaining, left);
        }
        let refused = spent.take(TEN, at(0));
        assert!(!refused.allowed);
        assert_eq!(refused.retry_after, Duration::from_secs(6));
        assert!(!spent.take(TEN, at(5_999)).allowed);
        assert!(spent.take(TEN, at(6_000)).allowed);
        assert!(!spent.take(TEN, at(6_000)).allowed);
        assert_eq!(spent.take(TEN, at(200_000)).remaining, 9);
    }

    #[test]
    fn clock_set_back_denies_for_one_window_at_most() {
        let mut spent = Spent::default();
        while spent.take(TEN, at(3_600_000)).allowed {}
        assert!(!spent.take(TEN, at(0)).allowed);
        assert!(spent.take(TEN, at(6_000)).allowed);
    }

    #[test]
    fn step_is_rounded_up_when_the_limit_does_not_divide_the_window() {
        let (mut spent, seven) = (Spent::default(), Rate::new(7, Duration::from_secs(1)));
        for left in (0..7).rev() {
            assert_eq!(spent.take(seven, at(0)).remaining, left);
        }
        assert_eq!(spent.take(seven, at(0)).retry_after, Duration::from_micros(142_858));
    }

    #[test]
    fn extreme_rates_are_exact_in_lua() {
        for limit in [1, 2, 1_000_003, u32::MAX] {
            for window in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                let bucket = Bucket::of(Rate::new(limit, window)).unwrap();
                let year_2100 = 4_102_444_800_000_000;
                assert!(year_2100 + bucket.capacity < 1 << 53);
                assert!(bucket.capacity + bucket.step < 1 << 53);
                assert!(Spent::default().take(Rate::new(limit, window), at(0)).allowed);
            }
        }
    }

    proptest! {
        /// No span of time exceeds the limit, and a call after `retry_after` is allowed.
        #[test]
        fn limit_is_never_exceeded(
            limit in 1_u32..20,
            seconds in 1_u64..100,
            pauses in prop::collection::vec(0_i64..20_000, 1..200),
        ) {
            let rate = Rate::new(limit, Duration::from_secs(seconds));
            let (mut spent, mut now, mut allowed) = (Spent::default(), 0, Vec::new());
            for pause in pauses {
                now += pause;
                let decision = spent.take(rate, at(now));
                if decision.allowed {
                    allowed.push(now);
                } else {
                    let mut later = spent;
                    let wait = i64::try_from(decision.retry_after.as_millis()).unwrap() + 1;
                    prop_assert!(later.take(rate, at(now + wait)).allowed);
                }
            }
            for (i, from) in allowed.iter().enumerate() {
                for (j, to) in allowed.iter().enumerate().skip(i) {
                    let span = (to - from) as f64 / 1000.0;
                    let max = f64::from(limit) * (1.0 + span / seconds as f64);
                    prop_assert!((j - i + 1) as f64 <= max + 1e-6);
                }
            }
        }
    }
}
