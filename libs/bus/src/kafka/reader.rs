//! Reads all partitions of some topics without a consumer group: for subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::outage::Observer;
use super::{Kafka, message};
use crate::{Error, Received, Topic};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Reader {
    consumer: Arc<StreamConsumer<Observer>>,
    /// With their names on the broker.
    topics: Vec<(String, Topic)>,
    /// An event received while waiting.
    buffered: Option<(String, Received)>,
}

/// The last offset read, by topic and partition (`topic/3`).
pub(crate) type Offsets = BTreeMap<String, i64>;

impl Reader {
    /// Starts after `offsets`. Partitions without an offset start at their beginning or at their end.
    pub async fn open(
        kafka: &Kafka,
        topics: &[Topic],
        offsets: &mut Offsets,
        from_start: bool,
    ) -> Result<Reader, Error> {
        let consumer: StreamConsumer<Observer> = kafka
            .reader_client("subscribe")
            .set("auto.offset.reset", "earliest")
            .set("queued.min.messages", "100")
            .set("queued.max.messages.kbytes", "1024")
            .create_with_context(kafka.observer())?;
        let consumer = Arc::new(consumer);
        let topics: Vec<(String, Topic)> =
            topics.iter().map(|topic| (kafka.topic_name(topic.name), *topic)).collect();
        let (client, names, known) = (consumer.clone(), topics.clone(), offsets.clone());
        let resolve =
            tokio::task::spawn_blocking(move || resolve(&client, &names, &known, from_start));
        let (list, resolved) = resolve.await.map_err(|error| Error::Kafka(error.to_string()))??;
        *offsets = resolved;
        consumer.assign(&list)?;
        Ok(Reader { consumer, topics, buffered: None })
    }

    /// The next received event, if any, and the key of its partition in [`Offsets`].
    pub fn next(&mut self) -> Option<(String, Received)> {
        if let Some(event) = self.buffered.take() {
            return Some(event);
        }
        loop {
            // The client recovers from errors by itself.
            let message = self.consumer.recv().now_or_never()?.ok()?;
            if let Some(event) = self.event(&message) {
                return Some(event);
            }
        }
    }

    pub async fn wait(&mut self) {
        if self.buffered.is_none() {
            match self.consumer.recv().await {
                Ok(message) => self.buffered = self.event(&message),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn event(&self, message: &rdkafka::message::BorrowedMessage<'_>) -> Option<(String, Received)> {
        let (_, topic) = self.topics.iter().find(|(name, _)| name == message.topic())?;
        let event = message::received(message, topic);
        // Messages that are not events are skipped.
        (!event.type_name.is_empty())
            .then(|| (format!("{}/{}", topic.name, message.partition()), event))
    }
}

/// The start of each partition, and the last offset before it. Blocks.
fn resolve(
    consumer: &StreamConsumer<Observer>,
    topics: &[(String, Topic)],
    offsets: &Offsets,
    from_start: bool,
) -> rdkafka::error::KafkaResult<(TopicPartitionList, Offsets)> {
    let (mut list, mut resolved) = (TopicPartitionList::new(), Offsets::new());
    for (name, topic) in topics {
        let metadata = consumer.fetch_metadata(Some(name), REQUEST_TIMEOUT)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        for partition in partitions {
            let key = format!("{}/{}", topic.name, partition.id());
            let last = match offsets.get(&key) {
                Some(last) => *last,
                None if from_start => -1,
                None => consumer.fetch_watermarks(name, partition.id(), REQUEST_TIMEOUT)?.1 - 1,
            };
            list.add_partition_offset(name, partition.id(), Offset::Offset(last + 1))?;
            resolved.insert(key, last);
        }
    }
    Ok((list, resolved))
}
