//! All partitions of some topics, read without a group: for subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::{Kafka, message};
use crate::{Error, Received, Topic};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads on from a place in each partition.
pub(crate) struct Reader {
    consumer: Arc<StreamConsumer>,
    topics: Vec<(String, Topic)>,
    ahead: Option<(String, Received)>,
}

/// The last offset that was passed, by topic and partition (`topic/3`).
pub(crate) type Offsets = BTreeMap<String, i64>;

impl Reader {
    /// Begins behind `places`; a partition that is not there at its end, or at its start.
    pub async fn open(
        kafka: &Kafka,
        topics: &[Topic],
        places: &mut Offsets,
        from_start: bool,
    ) -> Result<Reader, Error> {
        let consumer: StreamConsumer = kafka
            .client()
            // Needed, though nothing is committed to it.
            .set("group.id", kafka.group("subscribe"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false")
            .set("queued.min.messages", "100")
            .set("queued.max.messages.kbytes", "1024")
            .create()?;
        let consumer = Arc::new(consumer);
        let topics: Vec<(String, Topic)> =
            topics.iter().map(|topic| (kafka.name(topic.name), *topic)).collect();
        let (asking, names, known) = (consumer.clone(), topics.clone(), places.clone());
        let asked = tokio::task::spawn_blocking(move || begin(&asking, &names, &known, from_start));
        let (list, begun) = asked.await.map_err(|error| Error::Kafka(error.to_string()))??;
        *places = begun;
        consumer.assign(&list)?;
        Ok(Reader { consumer, topics, ahead: None })
    }

    /// The next event that is here, with the name of its partition.
    pub fn next(&mut self) -> Option<(String, Received)> {
        if let Some(event) = self.ahead.take() {
            return Some(event);
        }
        loop {
            // An error passes: the client goes on by itself.
            let message = self.consumer.recv().now_or_never()?.ok()?;
            if let Some(event) = self.event(&message) {
                return Some(event);
            }
        }
    }

    /// Waits until there is one.
    pub async fn wait(&mut self) {
        if self.ahead.is_none() {
            match self.consumer.recv().await {
                Ok(message) => self.ahead = self.event(&message),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn event(&self, message: &rdkafka::message::BorrowedMessage<'_>) -> Option<(String, Received)> {
        let (_, topic) = self.topics.iter().find(|(name, _)| name == message.topic())?;
        let event = message::received(message, topic);
        // What is no event is nothing to show.
        (!event.type_name.is_empty())
            .then(|| (format!("{}/{}", topic.name, message.partition()), event))
    }
}

type Begun = (TopicPartitionList, Offsets);

/// Where to begin in each partition. Blocks.
fn begin(
    consumer: &StreamConsumer,
    topics: &[(String, Topic)],
    places: &Offsets,
    from_start: bool,
) -> rdkafka::error::KafkaResult<Begun> {
    let (mut list, mut begun) = (TopicPartitionList::new(), Offsets::new());
    for (name, topic) in topics {
        let metadata = consumer.fetch_metadata(Some(name), PATIENCE)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        for partition in partitions {
            let key = format!("{}/{}", topic.name, partition.id());
            let last = match places.get(&key) {
                Some(last) => *last,
                None if from_start => -1,
                None => consumer.fetch_watermarks(name, partition.id(), PATIENCE)?.1 - 1,
            };
            list.add_partition_offset(name, partition.id(), Offset::Offset(last + 1))?;
            begun.insert(key, last);
        }
    }
    Ok((list, begun))
}
