//! Consumers: which topics a handler reads, from logs or from Kafka.

use std::future::Future;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};

use crate::handler::Application;
use crate::kafka::{self, Kafka};
use crate::processor::{Processor, Source};
use crate::{Log, Retry, Stop, Topic};

/// A consumer; see [`Bus::consumer`](crate::Bus::consumer).
pub struct Consumer {
    application: Application,
    sources: Vec<(Topic, Log)>,
}

impl Consumer {
    pub(crate) fn new(application: Application, sources: Vec<(Topic, Log)>) -> Self {
        Self { application, sources }
    }

    pub fn retry(mut self, retry: Retry) -> Self {
        self.application.retry = retry;
        self
    }

    /// Applies events until `stop`, then finishes the events in progress.
    pub fn run<'a>(self, stop: impl Future<Output = ()> + Send + 'a) -> BoxFuture<'a, ()> {
        self.run_until(stop.boxed())
    }

    fn run_until(self, stop: BoxFuture<'_, ()>) -> BoxFuture<'_, ()> {
        async move { self.apply(stop.shared()).await }.boxed()
    }

    async fn apply<'a>(&'a self, stop: Stop<'a>) {
        let tables = self.sources.iter().filter_map(|(topic, log)| match log {
            Log::Table(db) => {
                let source = Source::Log(db, db.appended());
                Some(Processor::new(&self.application, topic, source, stop.clone()).run())
            }
            Log::Kafka(_) => None,
        });
        let group = async {
            if let Some((kafka, topics)) = self.kafka_topics() {
                kafka::run_group(&self.application, kafka, &topics, stop.clone()).await;
            }
        };
        tokio::join!(join_all(tables), group);
    }

    fn kafka_topics(&self) -> Option<(&Kafka, Vec<&Topic>)> {
        let on_kafka = self.sources.iter().filter_map(|(topic, log)| match log {
            Log::Kafka(kafka) => Some((&**kafka, topic)),
            Log::Table(_) => None,
        });
        let (clusters, topics): (Vec<&Kafka>, Vec<&Topic>) = on_kafka.unzip();
        clusters.first().map(|kafka| (*kafka, topics))
    }
}
