//! Live streams of a resource: its state now, and again after every change.
//!
//! Live messages are lossy. A watcher therefore subscribes first, then reads the durable state, then follows the
//! messages, and reads the durable state again at a fixed interval. A lost message costs freshness until the next
//! read, never correctness. A slow client gets fewer, newer states.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use cache::{Cache, Subscription};
use futures_util::stream::{self, Stream};
use futures_util::{FutureExt as _, StreamExt as _};
use runtime::Shutdown;
use tokio::time::Instant;

use crate::Error;

/// A resource that can be watched.
pub trait Watched: Send + 'static {
    /// What the client sees.
    type View: Clone + PartialEq + Send;
    type Error: From<Error> + Send;

    /// Reads the durable state. `live` is true when this is the regular refresh and messages have arrived since the last
    /// one: what they carry need not be fetched again.
    fn read(&mut self, live: bool) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Applies a live message. True when the durable state has to be read.
    fn apply(&mut self, message: Bytes) -> bool {
        let _ = message;
        true
    }

    /// The current state, as the client may see it.
    fn view(&self) -> Result<Self::View, Self::Error>;

    /// Whether the resource does not change after this state, which then ends the stream.
    fn is_final(view: &Self::View) -> bool;
}

pub type Views<W> =
    Pin<Box<dyn Stream<Item = Result<<W as Watched>::View, <W as Watched>::Error>> + Send>>;

struct Watcher<W: Watched> {
    resource: W,
    messages: Messages,
    shutdown: Shutdown,
    refresh: Duration,
    refresh_at: Instant,
    live: bool,
    sent: Option<W::View>,
}

/// Streams the views of `resource`: the current one, then every different one, until the final one. Messages on
/// `channel` announce changes; without any, the state is read every `refresh`.
///
/// Fails when the first read fails. Ends with SHUTTING_DOWN when the process stops.
pub async fn watch<W: Watched>(
    cache: &Cache,
    channel: &str,
    refresh: Duration,
    shutdown: Shutdown,
    mut resource: W,
) -> Result<Views<W>, W::Error> {
    let messages = Messages::subscribe(cache, channel).await;
    resource.read(false).await?;
    let refresh_at = Instant::now() + refresh;
    let (live, sent) = (false, None);
    let watcher = Watcher { resource, messages, shutdown, refresh, refresh_at, live, sent };
    let views = stream::unfold(Some(watcher), |watcher| async {
        let mut watcher = watcher?;
        match watcher.next().await {
            Ok(Some(view)) => Some((Ok(view), Some(watcher))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(views.boxed())
}

impl<W: Watched> Watcher<W> {
    /// The next view that differs from the last one; `None` after the final one.
    async fn next(&mut self) -> Result<Option<W::View>, W::Error> {
        if self.sent.as_ref().is_some_and(W::is_final) {
            return Ok(None);
        }
        loop {
            let view = self.resource.view()?;
            if self.sent.as_ref() != Some(&view) {
                self.sent = Some(view.clone());
                return Ok(Some(view));
            }
            self.wait().await?;
        }
    }

    /// Waits for a message or the next refresh, and applies it.
    async fn wait(&mut self) -> Result<(), W::Error> {
        let live = tokio::select! {
            () = self.shutdown.begun() => return Err(Error::ShuttingDown.into()),
            message = self.messages.next() => {
                self.live = true;
                if !self.apply(message) {
                    return Ok(());
                }
                false
            }
            () = tokio::time::sleep_until(self.refresh_at) => std::mem::take(&mut self.live),
        };
        self.resource.read(live).await?;
        self.refresh_at = Instant::now() + self.refresh;
        Ok(())
    }

    /// Applies a message and all that are queued behind it. True when the durable state has to be read.
    fn apply(&mut self, first: Bytes) -> bool {
        let (mut must_read, mut next) = (false, Some(first));
        while let Some(message) = next {
            must_read |= self.resource.apply(message);
            next = self.messages.next().now_or_never();
        }
        must_read
    }
}

/// A subscription that may be missing or end: then no message arrives, and only the refresh is left.
struct Messages(Option<Subscription>);

impl Messages {
    async fn subscribe(cache: &Cache, channel: &str) -> Self {
        let subscription = cache.subscribe(channel).await;
        if let Err(error) = &subscription {
            tracing::warn!(%error, channel, "watching without live messages");
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
