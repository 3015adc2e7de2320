//! The outbox lanes that this relay may publish: one lease per lane, renewed before it expires.

use std::time::Duration;

use db::Db;
use db::lease::{self, Lease};
use tokio::time::Instant;

use crate::outbox::LANES;

const TTL: Duration = Duration::from_secs(15);
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// How often to try to acquire lanes that other relays hold.
const ACQUIRE_INTERVAL: Duration = Duration::from_secs(2);
/// A lease counts as expired this long before its end: allows for different clock rates. Also the retry delay.
const MARGIN: Duration = Duration::from_secs(1);

pub(super) struct LaneLeases {
    owner: String,
    held: Vec<Held>,
    /// When [`LaneLeases::renew`] must be called next.
    pub due: Instant,
}

struct Held {
    lane: i64,
    lease: Lease,
    /// Measured from before the renewal, so it is never later than the expiry in the database.
    expires: Instant,
}

pub(crate) fn lease_name(lane: i64) -> String {
    format!("relay/{lane}")
}

impl LaneLeases {
    pub fn new(db: &Db) -> Self {
        Self { owner: db.clock().new_id().to_string(), held: Vec::new(), due: Instant::now() }
    }

    /// The lanes whose leases have not expired.
    pub fn held(&self) -> Vec<i64> {
        let now = Instant::now() + MARGIN;
        self.held.iter().filter(|held| held.expires > now).map(|held| held.lane).collect()
    }

    pub fn holds_all(&self) -> bool {
        i64::try_from(self.held.len()) == Ok(LANES)
    }

    /// Renews the leases and acquires free ones. Returns true if the set of lanes has changed.
    pub async fn renew(&mut self, db: &Db) -> db::Result<bool> {
        let before = self.held();
        // In case of an error; the end of this function sets the normal interval.
        self.due = Instant::now() + MARGIN;
        let mut kept = Vec::new();
        for held in std::mem::take(&mut self.held) {
            let expires = Instant::now() + TTL;
            match lease::renew(db, &held.lease).await {
                Ok(true) => kept.push(Held { expires, ..held }),
                Ok(false) => {}
                Err(error) => {
                    // Still held until it expires.
                    kept.push(held);
                    tracing::debug!(%error, "renewing lane lease failed");
                }
            }
        }
        self.held = kept;
        let now = Instant::now();
        self.held.retain(|held| held.expires > now);
        for lane in 0..LANES {
            if self.held.iter().any(|held| held.lane == lane) {
                continue;
            }
            let expires = Instant::now() + TTL;
            if let Some(lease) = lease::acquire(db, &lease_name(lane), &self.owner, TTL).await? {
                self.held.push(Held { lane, lease, expires });
            }
        }
        self.held.sort_by_key(|held| held.lane);
        let interval = if self.holds_all() { RENEW_INTERVAL } else { ACQUIRE_INTERVAL };
        self.due = Instant::now() + interval;
        Ok(self.held() != before)
    }

    /// Releases all leases, so that other relays need not wait for their expiry.
    pub async fn release(&mut self, db: &Db) {
        for held in self.held.drain(..) {
            lease::release(db, &held.lease).await.ok();
        }
    }
}
