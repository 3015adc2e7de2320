//! Rate limits: a token bucket, kept as the one moment at which it is full again.
//!
//! `limit` can be done at once, after that one more every `window / limit`; so in any span of time `t` at most
//! `limit + limit * t / window` pass. Pure: time is a parameter.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How much of something is allowed in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How often in a row, after a pause of `window`.
    pub limit: u32,
    /// The time in which the whole limit becomes free again.
    pub window: Duration,
}

impl Rate {
    /// `limit` in `window`.
    #[must_use]
    pub const fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window }
    }
}

/// The answer of a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done. If so, it was counted.
    pub allowed: bool,
    /// How often more it may be done at once.
    pub remaining: u32,
    /// When to ask again; zero where it was allowed.
    pub retry_after: Duration,
}

/// A rate in microseconds: what the backends count in, one of them in Lua, where a number is exact up to 2^53.
///
/// A token comes back every `step`, rounded up, so that never more pass than promised. A full bucket is `limit` of
/// them, so that a burst is never less; where the limit does not divide the window, that takes a few microseconds
/// more than the window to fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub step: u64,
    pub most: u64,
}

/// A century is as good as for ever, and neither twice as much nor that time from now comes near 2^53.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Bucket {
    /// None where nothing is allowed.
    pub fn of(rate: Rate) -> Option<Self> {
        let window = u64::try_from(rate.window.min(FOREVER).as_micros()).unwrap_or(u64::MAX);
        let limit = u64::from(rate.limit);
        let step = window.max(1).checked_add(limit.checked_sub(1)?)? / limit;
        Some(Self { step, most: step * limit })
    }

    /// The answer, where `missing` is the time until the bucket is full again.
    pub fn decision(self, allowed: bool, missing: u64) -> Decision {
        let wait = if allowed { 0 } else { (missing + self.step).saturating_sub(self.most) };
        let remaining = self.most.saturating_sub(missing) / self.step;
        Decision {
            allowed,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            retry_after: Duration::from_micros(wait),
        }
    }
}

impl Decision {
    /// The answer where nothing is allowed.
    pub(crate) fn never(rate: Rate) -> Self {
        Self { allowed: false, remaining: 0, retry_after: rate.window }
    }
}

/// What was taken from a bucket: when it is full again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    full_at: DateTime<Utc>,
}

impl Spent {
    /// Takes one token, if there is one. `redis/rate.lua` does the same.
    pub fn take(&mut self, rate: Rate, now: DateTime<Utc>) -> Decision {
        let Some(bucket) = Bucket::of(rate) else { return Decision::never(rate) };
        // Not later than a full bucket from now, also when the clock was set back.
        let missing = (self.full_at - now).num_microseconds().unwrap_or(0);
        let missing = u64::try_from(missing).unwrap_or(0).min(bucket.most);
        let allowed = missing + bucket.step <= bucket.most;
        let missing = if allowed { missing + bucket.step } else { missing };
        self.full_at = now + Duration::from_micros(missing);
        bucket.decision(allowed, missing)
    }

    /// When the bucket is full again, and so can be forgotten.
    pub fn full_at(&self) -> DateTime<Utc> {
        self.full_at
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
    fn a_burst_then_one_at_a_time() {
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
    fn a_clock_set_back_denies_for_a_window_at_most() {
        let mut spent = Spent::default();
        while spent.take(TEN, at(3_600_000)).allowed {}
        assert!(!spent.take(TEN, at(0)).allowed);
        assert!(spent.take(TEN, at(6_000)).allowed);
    }

    #[test]
    fn nothing_is_allowed_by_a_limit_of_none() {
        let decision = Spent::default().take(Rate::new(0, Duration::from_secs(1)), at(0));
        assert!(!decision.allowed);
        assert!(Spent::default().take(Rate::new(1, Duration::ZERO), at(0)).allowed);
    }

    #[test]
    fn a_window_that_the_limit_does_not_divide() {
        let (mut spent, seven) = (Spent::default(), Rate::new(7, Duration::from_secs(1)));
        for left in (0..7).rev() {
            assert_eq!(spent.take(seven, at(0)).remaining, left);
        }
        assert_eq!(spent.take(seven, at(0)).retry_after, Duration::from_micros(142_858));
    }

    #[test]
    fn extreme_rates_stay_exact_in_lua() {
        for limit in [1, 2, 1_000_003, u32::MAX] {
            for window in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                let bucket = Bucket::of(Rate::new(limit, window)).unwrap();
                let year_2100 = 4_102_444_800_000_000;
                assert!(year_2100 + bucket.most < 1 << 53);
                assert!(bucket.most + bucket.step < 1 << 53);
                assert!(Spent::default().take(Rate::new(limit, window), at(0)).allowed);
            }
        }
    }

    proptest! {
        /// In no span does more pass than the burst and what has become free in it, and waiting as told is enough.
        #[test]
        fn never_more_than_promised(
            limit in 1_u32..20,
            seconds in 1_u64..100,
            pauses in prop::collection::vec(0_i64..20_000, 1..200),
        ) {
            let rate = Rate::new(limit, Duration::from_secs(seconds));
            let (mut spent, mut now, mut passed) = (Spent::default(), 0, Vec::new());
            for pause in pauses {
                now += pause;
                let decision = spent.take(rate, at(now));
                if decision.allowed {
                    passed.push(now);
                } else {
                    let mut later = spent;
                    let wait = i64::try_from(decision.retry_after.as_millis()).unwrap() + 1;
                    prop_assert!(later.take(rate, at(now + wait)).allowed);
                }
            }
            for (i, from) in passed.iter().enumerate() {
                for (j, to) in passed.iter().enumerate().skip(i) {
                    let span = (to - from) as f64 / 1000.0;
                    let most = f64::from(limit) * (1.0 + span / seconds as f64);
                    prop_assert!((j - i + 1) as f64 <= most + 1e-6);
                }
            }
        }
    }
}
