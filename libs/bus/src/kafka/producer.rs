//! The producer of a relay.
//!
//! The library's `FutureProducer` polls for 100 ms at a time and spins in the last millisecond of each poll, which costs
//! an idle process one percent of a core. This one polls for longer; a delivery report ends the wait at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig,
};
use tokio::sync::oneshot;

use super::outage::{Observer, Outage};

/// The duration of a poll, and so how long the thread of a dropped producer may live on.
const POLL: Duration = Duration::from_secs(5);

/// The broker's acknowledgement of a message. Fails if the producer was dropped.
pub(super) type Delivery = oneshot::Receiver<KafkaResult<()>>;

/// Cheap to clone. The last clone that is dropped ends the thread that polls.
#[derive(Clone)]
pub(super) struct Producer(Arc<Polled>);

struct Polled {
    inner: Arc<BaseProducer<Reports>>,
    stopped: Arc<AtomicBool>,
}

/// A message without its topic.
pub(super) struct Message<'a> {
    pub key: Option<&'a [u8]>,
    pub payload: &'a [u8],
    pub headers: OwnedHeaders,
}

impl Producer {
    pub fn new(config: &ClientConfig, outage: Outage) -> KafkaResult<Self> {
        let reports = Reports(Observer(outage));
        let inner: Arc<BaseProducer<Reports>> = Arc::new(config.create_with_context(reports)?);
        let stopped = Arc::new(AtomicBool::new(false));
        let (polled, stop) = (inner.clone(), stopped.clone());
        let poll = move || {
            while !stop.load(Ordering::Relaxed) {
                polled.poll(POLL);
            }
        };
        let thread = std::thread::Builder::new().name("kafka producer".into()).spawn(poll);
        thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self(Arc::new(Polled { inner, stopped })))
    }

    /// Queues a message.
    pub fn send(&self, topic: &str, message: Message<'_>) -> KafkaResult<Delivery> {
        let (report, delivery) = oneshot::channel();
        let mut record = BaseRecord::with_opaque_to(topic, Box::new(report));
        record.key = message.key;
        let record = record.payload(message.payload).headers(message.headers);
        self.0.inner.send(record).map_err(|(error, _)| error)?;
        Ok(delivery)
    }

    /// Drops all messages that are not acknowledged. Blocks.
    pub fn purge(&self) {
        self.0.inner.purge(PurgeConfig::default().queue().inflight());
    }

    pub fn client(&self) -> &rdkafka::client::Client<impl ClientContext> {
        self.0.inner.client()
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

struct Reports(Observer);

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<KafkaResult<()>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Self::DeliveryOpaque) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        report.send(result).ok();
    }
}
