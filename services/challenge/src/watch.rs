//! Following one submission until its verdict stands.
//!
//! Live messages are lossy, so a watcher subscribes first, then reads what is durable, then
//! listens; and every now and then it looks for itself. A lost message costs freshness, never the
//! verdict.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::{self, Stream};
use prost::Message;
use proto::judge::JudgementProgress;
use tokio::time::Instant;
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::judging::{Judging, State};
use crate::submission::{Sight, Submission, View, Viewer};
use crate::submissions::parse_id;
use crate::wire;

/// The channel of what the judge lets see of a submission. An empty message on it says that
/// something durable has changed.
pub fn channel(id: Uuid) -> String {
    format!("submission/{id}")
}

/// Live messages; none at all where they cannot be had.
struct Glimpses(Option<cache::Subscription>);

impl Glimpses {
    async fn of(cache: &cache::Cache, id: Uuid) -> Self {
        let subscription = cache.subscribe(&channel(id)).await;
        if let Err(error) = &subscription {
            tracing::warn!(%error, "watching without live messages");
        }
        Self(subscription.ok())
    }

    async fn next(&mut self) -> Bytes {
        if let Some(subscription) = &mut self.0 {
            if let Some(message) = subscription.next().await {
                return message;
            }
            self.0 = None;
        }
        std::future::pending().await
    }
}

struct Watch {
    challenge: Challenge,
    glimpses: Glimpses,
    sight: Sight,
    submission: Submission,
    judging: Judging,
    /// What the viewer saw last.
    shown: Option<View>,
    refresh_at: Instant,
    /// Whether the judge told something since the last refresh.
    heard: bool,
}

impl Challenge {
    /// Tells all watchers of a submission to look again.
    pub(crate) fn wake(&self, id: Uuid) {
        self.cache.publish(&channel(id), Bytes::new());
    }

    /// The submission now and after every change; ends with its verdict.
    pub async fn watch(
        &self,
        viewer: &Viewer,
        id: &str,
    ) -> Result<impl Stream<Item = Result<View, Error>> + Send + use<>, Error> {
        let id = parse_id(id)?;
        let glimpses = Glimpses::of(&self.cache, id).await;
        let submission = self.find(id).await?;
        let sight = viewer.sight(submission.user_id);
        if !sight.submission {
            return Err(Error::NotFound);
        }
        let mut watch = Watch {
            challenge: self.clone(),
            glimpses,
            sight,
            submission,
            judging: Judging::default(),
            shown: None,
            refresh_at: Instant::now() + self.spread_refresh(id),
            heard: false,
        };
        watch.judging = self.peers.judging(id).await;
        Ok(stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(Some(view)) => Some((Ok(view), Some(watch))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// Watchers do not all look at the same moment.
    fn spread_refresh(&self, id: Uuid) -> Duration {
        let every = self.config.watch_refresh();
        every + every.mul_f64(f64::from(id.as_bytes()[15]) / 1024.0)
    }
}

impl Watch {
    /// The next view that differs from the last; `None` behind the verdict.
    async fn next(&mut self) -> Result<Option<View>, Error> {
        if self.shown.as_ref().is_some_and(|view| view.state == State::Done) {
            return Ok(None);
        }
        loop {
            let view = View::new(self.submission.clone(), &self.judging, self.sight);
            let view = view.ok_or(Error::NotFound)?;
            if self.shown.as_ref() != Some(&view) {
                self.shown = Some(view.clone());
                return Ok(Some(view));
            }
            self.change().await?;
        }
    }

    /// Waits until something may have changed, and takes it in.
    async fn change(&mut self) -> Result<(), Error> {
        let shutdown = self.challenge.shutdown.clone();
        tokio::select! {
            () = shutdown.begun() => Err(Error::ShuttingDown),
            glimpse = self.glimpses.next() => self.see(glimpse).await,
            () = tokio::time::sleep_until(self.refresh_at) => {
                let silent = !std::mem::take(&mut self.heard);
                self.look(silent).await
            }
        }
    }

    /// Takes in a glimpse and all that have come meanwhile: a slow reader gets fewer, newer views.
    async fn see(&mut self, first: Bytes) -> Result<(), Error> {
        let mut look = false;
        let mut next = Some(first);
        while let Some(bytes) = next {
            look |= bytes.is_empty();
            if let Ok(progress) = JudgementProgress::decode(bytes) {
                self.judging.see(wire::glimpse(progress));
            }
            self.heard = true;
            next = self.glimpses.next().now_or_never();
        }
        if look { self.look(true).await } else { Ok(()) }
    }

    /// Reads what is durable, and asks the judge where that is worth it.
    async fn look(&mut self, ask: bool) -> Result<(), Error> {
        let id = self.submission.id;
        self.submission = self.challenge.find(id).await?;
        if ask {
            let answer = self.challenge.peers.judging(id).await;
            self.judging.hear(answer);
        }
        self.refresh_at = Instant::now() + self.challenge.spread_refresh(id);
        Ok(())
    }
}
