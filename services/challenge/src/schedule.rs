//! Work that is due at certain times, done by one process under a lease.

use std::time::Duration;

use chrono::{DateTime, Utc};
use db::lease::{self, Lease};
use runtime::Component;

use crate::Challenge;
use crate::error::Error;

const TTL: Duration = Duration::from_secs(15);
/// The longest time between two looks at the database.
const PERIOD: Duration = Duration::from_secs(1);

pub trait Schedule: Send + Sync + 'static {
    /// The name of the lease and of the work in messages.
    const NAME: &'static str;
    /// The shortest time between two rounds.
    const PAUSE: Duration = Duration::from_millis(10);

    /// When the next work is due; `None` if none is planned.
    fn next(&self) -> impl Future<Output = Result<Option<DateTime<Utc>>, Error>> + Send;

    /// Does all work that is due. Each transaction must check the lease.
    fn run(&self, lease: &Lease) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Challenge {
    /// Does the work of a schedule until the shutdown. After a pause of all processes it is done late, but once.
    pub(crate) async fn run_schedule<S: Schedule>(self, schedule: S, health: Component) {
        health.ready();
        let owner = self.clock.new_id().to_string();
        let round = async || {
            let wait = match self.run_if_due(&schedule, &owner).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, schedule = S::NAME, "scheduled work failed");
                    PERIOD
                }
            };
            tokio::time::sleep(wait).await;
        };
        while self.shutdown.unless_begun(round()).await.is_some() {}
        // The next holder need not wait for the expiry.
        if let Ok(Some(lease)) = lease::acquire(&self.db, S::NAME, &owner, Duration::ZERO).await {
            lease::release(&self.db, &lease).await.ok();
        }
    }

    /// Returns the time until the next look. A process without due work leaves the lease alone, so that idle ones cost
    /// one read.
    async fn run_if_due<S: Schedule>(&self, schedule: &S, owner: &str) -> Result<Duration, Error> {
        let next = schedule.next().await?;
        let now = self.clock.now();
        let overdue = next.map_or(0, |next| (now - next).num_seconds().max(0));
        #[expect(clippy::cast_precision_loss, reason = "a number of seconds")]
        metrics::gauge!("agon_schedule_overdue_seconds", "schedule" => S::NAME).set(overdue as f64);
        let Some(next) = next else { return Ok(PERIOD) };
        let wait = (next - now).to_std().unwrap_or_default();
        if !wait.is_zero() {
            return Ok(wait.clamp(S::PAUSE, PERIOD));
        }
        match lease::acquire(&self.db, S::NAME, owner, TTL).await? {
            Some(lease) => schedule.run(&lease).await.map(|()| S::PAUSE),
            None => Ok(PERIOD),
        }
    }
}
