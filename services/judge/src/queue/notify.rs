//! Notifications between instances of the queue about jobs that no local worker has taken.

use std::time::Duration;

use bytes::Bytes;
use cache::Subscription;
use tokio::time::Instant;

use super::Queue;

/// The cache channel. The message is the id of the sender.
const CHANNEL: &str = "judge/jobs";
/// The minimum interval between two notifications.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Sends and receives the notifications.
pub(super) struct JobNotifier {
    own_id: Bytes,
    /// `None` if subscribing failed; then the dispatcher relies on polling.
    subscription: Option<Subscription>,
    sent_at: Option<Instant>,
}

impl JobNotifier {
    pub async fn open(queue: &Queue) -> JobNotifier {
        let subscription = queue.0.cache.subscribe(CHANNEL).await;
        if let Err(error) = &subscription {
            tracing::warn!(%error, "cannot subscribe, polling for jobs");
        }
        let id = queue.0.db.clock().new_id().into_bytes();
        let own_id = Bytes::copy_from_slice(&id);
        JobNotifier { own_id, subscription: subscription.ok(), sent_at: None }
    }

    /// Waits for a notification from another instance.
    pub async fn notified(&mut self) {
        while let Some(subscription) = &mut self.subscription {
            match subscription.next().await {
                Some(sender) if sender == self.own_id => {}
                Some(_) => return,
                None => self.subscription = None,
            }
        }
        std::future::pending::<()>().await;
    }

    /// Notifies the other instances of unannounced jobs. Returns when to call again if the last notification is too
    /// recent.
    pub fn announce(&mut self, queue: &Queue) -> Option<Instant> {
        let mut state = queue.state();
        if !state.unannounced {
            return None;
        }
        let now = Instant::now();
        let next = self.sent_at.map(|sent| sent + MIN_INTERVAL).filter(|next| *next > now);
        if next.is_none() {
            state.unannounced = false;
            drop(state);
            self.sent_at = Some(now);
            queue.0.cache.publish(CHANNEL, self.own_id.clone());
        }
        next
    }
}

/// Waits until a time, or forever.
pub(super) async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
