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

    /// Submissions before this time do not count.
    pub fn since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.window
    }

    /// Whether one more submission is allowed now, given the times of the latest `count` submissions, newest first. The
    /// error is the time to wait.
    pub fn check(
        &self,
        newest_first: &[DateTime<Utc>],
        now: DateTime<Utc>,
    ) -> Result<(), Duration> {
        let Some(last) = (self.count as usize).checked_sub(1) else { return Ok(()) };
        // A submission is allowed once the oldest of the last `count` has left the window.
        let Some(oldest) = newest_first.get(last) else { return Ok(()) };
        let wait = *oldest + self.window - now;
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
        assert_eq!(limit.check(&[], at(0)), Ok(()));
        assert_eq!(limit.check(&[at(20), at(10)], at(21)), Ok(()));
        let full = [at(20), at(10), at(0)];
        assert_eq!(limit.check(&full, at(21)), Err(Duration::from_secs(39 * 60)));
        assert_eq!(limit.check(&full, at(60)), Ok(()));
        let more = [at(30), at(20), at(10), at(0)];
        assert_eq!(limit.check(&more, at(60)), Err(Duration::from_secs(600)));
    }

    #[test]
    fn zero_means_no_limit() {
        assert_eq!(Limit::hourly(0).check(&[at(0); 9], at(0)), Ok(()));
    }
}
