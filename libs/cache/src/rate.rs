//! Rate limits: a token bucket, kept as the one moment at which it is full again.
//!
//! `limit` can be done at once, after that one more every `window / limit`; so in any span of time `t` at most
//! `limit + limit * t / window` pass. Pure: time is a parameter.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

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

/// What was taken from a bucket: when it is full again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    full_at: DateTime<Utc>,
}

impl Spent {
    /// Takes one token, if there is one.
    pub fn take(&mut self, rate: Rate, now: DateTime<Utc>) -> Decision {
        let window = nanos(rate.window).max(1);
        let Some(step) = window.checked_div(i64::from(rate.limit)).map(|step| step.max(1)) else {
            return Decision { allowed: false, remaining: 0, retry_after: rate.window };
        };
        // Not later than a window from now, also when the clock was set back.
        let missing = (self.full_at - now).num_nanoseconds().unwrap_or(0).clamp(0, window);
        let allowed = missing + step <= window;
        let missing = if allowed { missing + step } else { missing };
        self.full_at = now + TimeDelta::nanoseconds(missing);
        let remaining = u32::try_from((window - missing) / step).unwrap_or(u32::MAX);
        let wait = if allowed { 0 } else { missing + step - window };
        Decision {
            allowed,
            remaining: remaining.min(rate.limit),
            retry_after: Duration::from_nanos(u64::try_from(wait).unwrap_or(0)),
        }
    }
}

fn nanos(time: Duration) -> i64 {
    // A century is as good as for ever.
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).min(i64::MAX / 4)
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
