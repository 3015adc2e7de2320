//! Retry policy: how often, and after which delays.

use std::time::Duration;

/// How a consumer retries a failed event.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// The delay before the second attempt.
    pub initial: Duration,
    /// The longest delay.
    pub max: Duration,
    /// After this many failures the event becomes a dead letter.
    pub attempts: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { initial: Duration::from_millis(100), max: Duration::from_secs(30), attempts: 8 }
    }
}

impl Retry {
    /// The delay after failure number `failures` (from 1): exponential, with `jitter` (0 to 1) choosing from its upper
    /// half, so that consumers do not retry in step.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let doubled = self.initial.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.max).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum() {
        let retry = Retry::default();
        assert_eq!(retry.delay(1, 1.0), Duration::from_millis(100));
        assert_eq!(retry.delay(2, 1.0), Duration::from_millis(200));
        assert_eq!(retry.delay(2, 0.0), Duration::from_millis(100));
        assert_eq!(retry.delay(8, 1.0), Duration::from_millis(12_800));
        assert_eq!(retry.delay(4000, 1.0), Duration::from_secs(30));
    }
}
