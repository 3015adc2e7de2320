//! How long a server waits for the bytes of a request.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// A client may keep the server waiting for `pause`; every received byte earns waiting time back, at
/// the minimum rate. Time in which the server does not wait for the client does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The longest pause.
    pub pause: Duration,
    /// The minimum rate, in bytes per second.
    pub rate: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { pause: Duration::from_secs(10), rate: 4096 }
    }
}

impl Pace {
    pub fn begin(self) -> Patience {
        Patience { pace: self, left: self.pause }
    }
}

/// The client was slower than its [`Pace`].
#[derive(Debug, PartialEq, Eq)]
pub struct TooSlow;

/// The waiting time that is left for one request.
#[derive(Debug)]
pub struct Patience {
    pace: Pace,
    left: Duration,
}

impl Patience {
    /// Waits for the next bytes of the client.
    pub async fn wait<T>(&mut self, bytes: impl Future<Output = T>) -> Result<T, TooSlow> {
        let started = Instant::now();
        let received = tokio::time::timeout(self.left, bytes).await.map_err(|_| TooSlow)?;
        self.left = self.left.saturating_sub(started.elapsed());
        Ok(received)
    }

    /// Earns the waiting time of `bytes`, up to the longest pause.
    pub fn received(&mut self, bytes: usize) {
        let earned = bytes as f64 / f64::from(self.pace.rate.max(1));
        self.left = self.left.saturating_add(Duration::from_secs_f64(earned)).min(self.pace.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trickling_clients_run_out_of_time() {
        let pace = Pace { pause: Duration::from_secs(4), rate: 100 };
        let trickle = async |bytes: usize, every: Duration| {
            let mut patience = pace.begin();
            for _ in 0..50 {
                patience.wait(tokio::time::sleep(every)).await?;
                patience.received(bytes);
            }
            Ok::<_, TooSlow>(())
        };
        assert_eq!(trickle(1, Duration::from_secs(1)).await, Err(TooSlow));
        assert_eq!(trickle(100, Duration::from_secs(1)).await, Ok(()));
        assert_eq!(trickle(100_000, Duration::from_secs(5)).await, Err(TooSlow));
        assert_eq!(trickle(0, Duration::ZERO).await, Ok(()));
    }
}
