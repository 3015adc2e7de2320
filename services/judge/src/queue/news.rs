//! What the instances of the queue tell each other: that jobs wait which their own workers did not take.

use std::time::Duration;

use bytes::Bytes;
use cache::Subscription;
use tokio::time::Instant;

use super::Queue;

/// The channel on which instances tell each other that jobs wait. The message is the teller's id.
const CHANNEL: &str = "judge/jobs";
/// Between two such messages: many jobs at once are one piece of news.
const PAUSE: Duration = Duration::from_millis(10);

/// What the instances tell each other.
pub(super) struct News {
    own: Bytes,
    /// None where nothing can be heard: then the tick has to do.
    heard: Option<Subscription>,
    told: Option<Instant>,
}

impl News {
    pub async fn of(queue: &Queue) -> News {
        let heard = queue.0.cache.subscribe(CHANNEL).await;
        if let Err(error) = &heard {
            tracing::warn!(%error, "other instances of the queue are not heard");
        }
        let own = queue.0.db.clock().new_id().into_bytes();
        News { own: Bytes::copy_from_slice(&own), heard: heard.ok(), told: None }
    }

    /// Waits until another instance has jobs to give away.
    pub async fn next(&mut self) {
        while let Some(heard) = &mut self.heard {
            match heard.next().await {
                Some(teller) if teller == self.own => {}
                Some(_) => return,
                None => self.heard = None,
            }
        }
        std::future::pending::<()>().await;
    }

    /// Tells the others, unless that was done a moment ago; then gives when to come again.
    pub fn tell(&mut self, queue: &Queue) -> Option<Instant> {
        let mut state = queue.state();
        if !state.unannounced {
            return None;
        }
        let now = Instant::now();
        let next = self.told.map(|told| told + PAUSE).filter(|next| *next > now);
        if next.is_none() {
            state.unannounced = false;
            drop(state);
            self.told = Some(now);
            queue.0.cache.publish(CHANNEL, self.own.clone());
        }
        next
    }
}

/// Waits until then, or for ever.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
