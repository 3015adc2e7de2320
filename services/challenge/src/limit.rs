//! The rate limit of submissions.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A number of submissions within a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// 0 = unlimited.
    pub count: u32,
    pub window: TimeDelta,
}

impl Limit {
    pub fn hourly(count: u32) -> Self {
        Self { count, window: TimeDelta::hours(1) }
    }

    /// The ordinal of the submission that decides whether one with this ordinal (from 1) is allowed: the oldest of the
    /// last `count`. `None` if there are fewer, which allows it.
    pub fn decisive(&self, ordinal: i64) -> Option<i64> {
        let decisive = ordinal - i64::from(self.count);
        (self.count > 0 && decisive > 0).then_some(decisive)
    }

    /// Whether one more submission is allowed now, given the time of the decisive one. The error is the time to wait.
    pub fn check(
        &self,
        decisive: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), Duration> {
        let Some(oldest) = decisive else { return Ok(()) };
        let wait = oldest + self.window - now;
        if wait <= TimeDelta::zero() { Ok(()) } else { Err(wait.to_std().unwrap_or_default()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minute)
    }

    #[test]
    fn the_next_submission_is_allowed_when_the_oldest_leaves_the_window() {
        let limit = Limit::hourly(3);
        assert_eq!([1, 3, 4, 9].map(|n| limit.decisive(n)), [None, None, Some(1), Some(6)]);
        assert_eq!(limit.check(None, at(0)), Ok(()));
        assert_eq!(limit.check(Some(at(0)), at(21)), Err(Duration::from_secs(39 * 60)));
        assert_eq!(limit.check(Some(at(0)), at(60)), Ok(()));
        assert_eq!(limit.check(Some(at(10)), at(60)), Err(Duration::from_secs(600)));
    }

    #[test]
    fn zero_means_no_limit() {
        assert_eq!(Limit::hourly(0).decisive(9), None);
    }
}
