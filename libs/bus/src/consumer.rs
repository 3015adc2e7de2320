//! Consumers: what applies events to a service's database.

use std::future::Future;
use std::sync::Arc;

use db::{Db, Tx};
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use crate::kafka::{self, Kafka};
use crate::lane::{Lane, Source, Stop};
use crate::state::State;
use crate::{Bus, Fault, Log, Received, Retry, Topic};

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
    sources: Vec<(Topic, Log)>,
}

impl<H: Handler> Consumer<H> {
    pub(crate) fn new(
        bus: &Bus,
        name: &'static str,
        db: Db,
        sources: Vec<(Topic, Log)>,
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
        let stop: Stop<'_> = stop.boxed().shared();
        let tables = self.sources.iter().filter_map(|(topic, log)| match log {
            Log::Table(db) => {
                let source = Source::Log(db, db.appended());
                Some(Lane::new(&self, topic, source, stop.clone()).run())
            }
            Log::Kafka(_) => None,
        });
        let group = self.group();
        let group = async {
            if let Some((kafka, topics)) = group {
                kafka::run_group(&self, kafka, &topics, stop.clone()).await;
            }
        };
        tokio::join!(join_all(tables), group);
    }

    /// The topics that are on Kafka.
    fn group(&self) -> Option<(&Kafka, Vec<&Topic>)> {
        let on_kafka = self.sources.iter().filter_map(|(topic, log)| match log {
            Log::Kafka(kafka) => Some((&**kafka, topic)),
            Log::Table(_) => None,
        });
        let (clusters, topics): (Vec<&Kafka>, Vec<&Topic>) = on_kafka.unzip();
        clusters.first().map(|kafka| (*kafka, topics))
    }
}
