//! Streams an import until it is complete.
//!
//! Live messages are lossy: a watcher subscribes, reads the durable state, then waits for messages and polls
//! periodically.

use std::time::Duration;

use cache::{Cache, Subscription};
use futures_util::stream::{self, Stream};
use uuid::Uuid;

use crate::Service;
use crate::error::{Error, Result};
use crate::import::Report;
use crate::viewer::Viewer;

fn channel(id: Uuid) -> String {
    format!("problem-import/{id}")
}

/// Notifies all watchers of an import.
pub fn notify(cache: &Cache, id: Uuid) {
    cache.publish(&channel(id), bytes::Bytes::new());
}

struct Watch {
    service: Service,
    viewer: Viewer,
    id: String,
    messages: Option<Subscription>,
    first: Option<Report>,
    revision: i64,
    done: bool,
}

impl Service {
    /// Streams the import now and after every change; ends when it is complete.
    pub async fn watch(
        &self,
        viewer: Viewer,
        id: String,
    ) -> Result<impl Stream<Item = Result<Report>> + Send + use<>> {
        let messages = match ids::parse(&id) {
            Some(id) => self.cache.subscribe(&channel(id)).await.ok(),
            None => None,
        };
        let first = Some(self.report(&viewer, &id).await?);
        let service = self.clone();
        let watch = Watch { service, viewer, id, messages, first, revision: 0, done: false };
        Ok(stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(Some(report)) => Some((Ok(report), Some(watch))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<Option<Report>> {
        if self.done {
            return Ok(None);
        }
        loop {
            let report = match self.first.take() {
                Some(report) => report,
                None => self.service.report(&self.viewer, &self.id).await?,
            };
            if report.import.revision != self.revision {
                self.revision = report.import.revision;
                self.done = report.import.state != "verifying";
                return Ok(Some(report));
            }
            self.wait_for_change().await?;
        }
    }

    /// Waits for a message or the next poll.
    async fn wait_for_change(&mut self) -> Result<()> {
        let refresh = Duration::from_millis(self.service.config.watch_refresh_ms.max(10));
        let shutdown = self.service.shutdown.clone();
        let message = async {
            match &mut self.messages {
                Some(messages) => messages.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.begun() => return Err(Error::ShuttingDown),
            received = message => if received.is_none() { self.messages = None },
            () = tokio::time::sleep(refresh) => {}
        }
        Ok(())
    }
}
