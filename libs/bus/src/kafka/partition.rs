//! The events of one partition, read from where a consumer's own database says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use rdkafka::Offset;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;

use super::group::Member;
use super::{message, offset};
use crate::cursor::{Cursor, START};
use crate::{Received, Topic};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to leave a partition alone whose leader is being chosen.
const SETTLING: Duration = Duration::from_millis(50);
/// Should a wake-up ever be lost.
const POLL: Duration = Duration::from_secs(1);

/// One partition.
pub(crate) struct Partition {
    member: Arc<StreamConsumer<Member>>,
    queue: StreamPartitionQueue<Member>,
    topic: Topic,
    name: String,
    pub number: i32,
    /// The last event that was handed out; what comes next follows it.
    last: Option<Cursor>,
    /// Received while waiting.
    ahead: VecDeque<Received>,
    /// The place up to which the group knows that everything is dealt with.
    stored: i64,
}

impl Partition {
    /// Takes the partition's messages out of the common queue.
    pub(super) fn open(
        member: &Arc<StreamConsumer<Member>>,
        topic: &Topic,
        name: &str,
        number: i32,
    ) -> Option<Partition> {
        let queue = member.split_partition_queue(name, number)?;
        Some(Partition {
            member: member.clone(),
            queue,
            topic: *topic,
            name: name.to_owned(),
            number,
            last: None,
            ahead: VecDeque::new(),
            stored: -1,
        })
    }

    /// Up to `limit` events behind `at`, of those that are here; an error is for people.
    pub async fn read(&mut self, at: Cursor, limit: usize) -> Result<Vec<Received>, String> {
        self.store(at);
        if self.last != Some(at) {
            self.seek(at).await?;
        }
        let mut events = Vec::new();
        while events.len() < limit {
            let Some(next) = self.next() else { break };
            events.push(next?);
        }
        if let Some(event) = events.last() {
            self.last = Some(Cursor::behind(event));
        }
        Ok(events)
    }

    /// Waits until there is something to read, but not for ever.
    pub async fn wait(&mut self) {
        if self.ahead.is_empty()
            && let Ok(Ok(message)) = tokio::time::timeout(POLL, self.queue.recv()).await
        {
            self.ahead.push_back(message::received(&message, &self.topic));
        }
    }

    /// The next event that is here.
    fn next(&mut self) -> Option<Result<Received, String>> {
        if let Some(event) = self.ahead.pop_front() {
            return Some(Ok(event));
        }
        match self.queue.recv().now_or_never()? {
            Ok(message) => Some(Ok(message::received(&message, &self.topic))),
            Err(error) => Some(Err(error.to_string())),
        }
    }

    /// Goes to the event behind `at`, and sees that `at` itself is still what it was.
    async fn seek(&mut self, at: Cursor) -> Result<(), String> {
        self.last = None;
        let (low, high) = self.watermarks().await?;
        let applied = (at != START).then(|| offset(at.log_id));
        let from = match applied {
            None => low,
            Some(applied) if applied >= high => {
                return Err(self.contradiction(at, "which is shorter than that"));
            }
            Some(applied) if applied + 1 < low => {
                return Err(self.contradiction(at, "which has lost events behind it"));
            }
            Some(applied) => applied.max(low),
        };
        let member = self.member.clone();
        let (name, number) = (self.name.clone(), self.number);
        let sought = tokio::task::spawn_blocking(move || {
            member.seek(&name, number, Offset::Offset(from), PATIENCE)
        });
        let sought = sought.await.map_err(|error| error.to_string())?;
        sought.map_err(|error| format!("Kafka does not answer: {error}"))?;
        self.ahead.clear();
        if let Some(applied) = applied.filter(|applied| *applied >= low) {
            let there = loop {
                let message = tokio::time::timeout(PATIENCE, self.queue.recv()).await;
                let message = message.map_err(|_| "Kafka does not answer".to_owned())?;
                let event = message::received(&message.map_err(|e| e.to_string())?, &self.topic);
                if offset(event.log_id) >= applied {
                    break event;
                }
            };
            if there.log_id != at.log_id || there.id != at.event_id {
                return Err(self.contradiction(at, "which has another one there"));
            }
        }
        self.last = Some(at);
        Ok(())
    }

    /// The first place, and the first behind the last one.
    async fn watermarks(&self) -> Result<(i64, i64), String> {
        let began = Instant::now();
        loop {
            let member = self.member.clone();
            let (name, number) = (self.name.clone(), self.number);
            let range = move || member.fetch_watermarks(&name, number, PATIENCE);
            let range = tokio::task::spawn_blocking(range).await.map_err(|e| e.to_string())?;
            match range {
                Ok(range) => return Ok(range),
                Err(error) if is_moving(&error) && began.elapsed() < PATIENCE => {
                    tokio::time::sleep(SETTLING).await;
                }
                Err(error) => return Err(format!("Kafka does not answer: {error}")),
            }
        }
    }

    fn contradiction(&self, at: Cursor, how: &str) -> String {
        format!(
            "event {} at offset {} was the last one applied of {} partition {}, {how}: the topic was made anew, or \
             the consumer's database was restored to another moment. Restore both; or accept the difference and \
             delete the consumer's row of {}/{} in consumer_cursors to apply the whole partition again",
            at.event_id,
            offset(at.log_id),
            self.name,
            self.number,
            self.topic.name,
            self.number,
        )
    }

    /// Tells the group how far this consumer is. It only begins there: the consumer's own database decides.
    fn store(&mut self, at: Cursor) {
        if at != START && at.log_id != self.stored {
            self.stored = at.log_id;
            self.member.store_offset(&self.name, self.number, offset(at.log_id)).ok();
        }
    }
}

/// Whether the partition is about to have another leader, or its first.
fn is_moving(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    matches!(error.rdkafka_error_code(), Some(NotLeaderForPartition | LeaderNotAvailable))
}
