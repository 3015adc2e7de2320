//! Consumers: what applies events to a service's database.

use std::future::Future;
use std::sync::Arc;

use db::{Db, Tx};
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use crate::lane::Lane;
use crate::state::State;
use crate::{Bus, Fault, Received, Retry, Topic};

/// Applies events.
///
/// An event is handled inside a transaction in which the consumer's cursor moves too, so its effect happens exactly
/// once, as long as it is an effect on `tx` alone. Several events may share a transaction; when one of them fails they
/// are handled again one by one, so a handler must not keep state of its own.
pub trait Handler: Send + Sync + 'static {
    /// Applies one event. Types that the consumer does not care for are `Ok(())`.
    fn handle(
        &self,
        tx: &mut Tx,
        event: &Received,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// A consumer; see [`Bus::consumer`].
pub struct Consumer<H> {
    pub(crate) state: Arc<State>,
    pub(crate) handler: H,
    pub(crate) retry: Retry,
    sources: Vec<(Topic, Db)>,
}

impl<H: Handler> Consumer<H> {
    pub(crate) fn new(
        bus: &Bus,
        name: &'static str,
        db: Db,
        sources: Vec<(Topic, Db)>,
        handler: H,
    ) -> Self {
        let state = bus.shared.consumers.add(name, db);
        Self { state, handler, retry: Retry::default(), sources }
    }

    /// With another patience.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Applies events, as they come, until `stop`; then finishes what it is handling.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let stop = stop.boxed().shared();
        let lanes = self
            .sources
            .iter()
            .map(|(topic, log)| Lane::new(&self, topic, log, stop.clone()).run());
        join_all(lanes).await;
    }
}
