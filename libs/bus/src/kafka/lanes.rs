//! Which lanes of an outbox this process publishes: leases, looked after in time.

use std::time::Duration;

use db::Db;
use db::lease::{self, Lease};
use tokio::time::Instant;

use super::LANES;

/// How long a lane stays with a process that does not say anything.
const TTL: Duration = Duration::from_secs(15);
/// How often it says something.
const TEND: Duration = Duration::from_secs(5);
/// How often a process asks for the lanes that it has not.
const ASK: Duration = Duration::from_secs(2);
/// The clocks of two machines run alike to this much in the time of a lease.
const MARGIN: Duration = Duration::from_secs(1);

pub(super) struct Lanes {
    owner: String,
    held: Vec<Held>,
    due: Instant,
}

struct Held {
    lane: i64,
    lease: Lease,
    /// By our clock, which began before the database's.
    until: Instant,
}

impl Lanes {
    pub fn new(db: &Db) -> Self {
        Self { owner: db.clock().new_id().to_string(), held: Vec::new(), due: Instant::now() }
    }

    /// When to look after them next.
    pub fn due(&self) -> Instant {
        self.due
    }

    pub fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// The lanes that are ours now.
    pub fn ours(&self) -> Vec<i64> {
        let now = Instant::now() + MARGIN;
        self.held.iter().filter(|held| held.until > now).map(|held| held.lane).collect()
    }

    pub fn are_all_ours(&self) -> bool {
        i64::try_from(self.held.len()) == Ok(LANES)
    }

    /// Extends our leases and asks for those that nobody has; true when they are no longer the same.
    pub async fn tend(&mut self, db: &Db) -> db::Result<bool> {
        let before = self.ours();
        // Tried again soon where it fails.
        self.due = Instant::now() + MARGIN;
        let mut kept = Vec::new();
        for held in std::mem::take(&mut self.held) {
            let until = Instant::now() + TTL;
            match lease::renew(db, &held.lease).await {
                Ok(true) => kept.push(Held { until, ..held }),
                Ok(false) => {}
                Err(error) => {
                    // Ours until it ends by itself.
                    kept.push(held);
                    tracing::debug!(%error, "a lease was not extended");
                }
            }
        }
        self.held = kept;
        let now = Instant::now();
        self.held.retain(|held| held.until > now);
        for lane in 0..LANES {
            if self.held.iter().any(|held| held.lane == lane) {
                continue;
            }
            let until = Instant::now() + TTL;
            let name = format!("relay/{lane}");
            if let Some(lease) = lease::acquire(db, &name, &self.owner, TTL).await? {
                self.held.push(Held { lane, lease, until });
            }
        }
        self.held.sort_by_key(|held| held.lane);
        self.due = Instant::now() + if self.are_all_ours() { TEND } else { ASK };
        Ok(self.ours() != before)
    }

    /// Gives all of them back, so that others need not wait.
    pub async fn release(&mut self, db: &Db) {
        for held in self.held.drain(..) {
            lease::release(db, &held.lease).await.ok();
        }
    }
}
