//! How often and how soon a failed event is tried again.

use std::time::Duration;

/// The patience of a consumer.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Before the second attempt.
    pub first: Duration,
    /// At most between two attempts.
    pub most: Duration,
    /// The failure with this number parks the event.
    pub attempts: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), most: Duration::from_secs(30), attempts: 8 }
    }
}

impl Retry {
    /// The pause after failure number `failures` (from 1): doubling, with `jitter` (0 to 1) choosing from its upper
    /// half, so that consumers do not try again in step.
    #[must_use]
    pub fn pause(&self, failures: u32, jitter: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.most).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most() {
        let retry = Retry::default();
        assert_eq!(retry.pause(1, 1.0), Duration::from_millis(100));
        assert_eq!(retry.pause(2, 1.0), Duration::from_millis(200));
        assert_eq!(retry.pause(2, 0.0), Duration::from_millis(100));
        assert_eq!(retry.pause(8, 1.0), Duration::from_millis(12_800));
        assert_eq!(retry.pause(4000, 1.0), Duration::from_secs(30));
    }
}
