//! The events of one partition, read from the cursor in the consumer's own database.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;

use super::member::{Member, Rebalances};
use super::{message, offset_of};
use crate::cursor::{Cursor, START};
use crate::{Received, Topic};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The retry delay while a partition has no leader.
const ELECTION_DELAY: Duration = Duration::from_millis(50);
/// How often to poll in case a wake-up is lost.
const POLL: Duration = Duration::from_secs(1);

pub(crate) struct Partition {
    member: Arc<Member>,
    queue: StreamPartitionQueue<Rebalances>,
    topic: Topic,
    /// The topic's name on the broker.
    name: String,
    pub number: i32,
    /// The last event returned. The next message of the queue follows it.
    last: Option<Cursor>,
    /// Events received while waiting.
    buffered: VecDeque<Received>,
    /// The position that was stored as the group's offset last.
    stored: i64,
}

impl Partition {
    /// Splits the partition's queue off the member's common queue.
    pub(super) fn open(
        member: &Arc<Member>,
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
            buffered: VecDeque::new(),
            stored: -1,
        })
    }

    /// Up to `limit` of the received events after `at`, without waiting. The error is for operators.
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
            self.last = Some(Cursor::after(event));
        }
        Ok(events)
    }

    /// Waits for an event, at most [`POLL`].
    pub async fn wait(&mut self) {
        if self.buffered.is_empty()
            && let Ok(Ok(message)) = tokio::time::timeout(POLL, self.queue.recv()).await
        {
            self.buffered.push_back(message::received(&message, &self.topic));
        }
    }

    /// The next received event, if any.
    fn next(&mut self) -> Option<Result<Received, String>> {
        if let Some(event) = self.buffered.pop_front() {
            return Some(Ok(event));
        }
        match self.queue.recv().now_or_never()? {
            Ok(message) => Some(Ok(message::received(&message, &self.topic))),
            Err(error) => Some(Err(error.to_string())),
        }
    }

    /// Moves to the event after `at`, and checks that the topic still contains the event at `at`.
    async fn seek(&mut self, at: Cursor) -> Result<(), String> {
        self.last = None;
        let (low, high) = self.watermarks().await?;
        let applied = (at != START).then(|| offset_of(at.log_id));
        let from = match applied {
            None => low,
            Some(applied) if applied >= high => {
                return Err(self.contradiction(at, "but the partition is shorter"));
            }
            Some(applied) if applied + 1 < low => {
                return Err(self.contradiction(at, "but later events have been deleted"));
            }
            Some(applied) => applied.max(low),
        };
        let member = self.member.clone();
        let (name, number) = (self.name.clone(), self.number);
        let seek = tokio::task::spawn_blocking(move || {
            member.seek(&name, number, Offset::Offset(from), REQUEST_TIMEOUT)
        });
        let result = seek.await.map_err(|error| error.to_string())?;
        result.map_err(|error| format!("no response from Kafka: {error}"))?;
        self.buffered.clear();
        if let Some(applied) = applied.filter(|applied| *applied >= low) {
            let found = loop {
                let message = tokio::time::timeout(REQUEST_TIMEOUT, self.queue.recv()).await;
                let message = message.map_err(|_| "no response from Kafka".to_owned())?;
                let event = message::received(&message.map_err(|e| e.to_string())?, &self.topic);
                if offset_of(event.log_id) >= applied {
                    break event;
                }
            };
            if found.log_id != at.log_id || found.id != at.event_id {
                return Err(self.contradiction(at, "but the partition has another event there"));
            }
        }
        self.last = Some(at);
        Ok(())
    }

    /// The first offset, and the one after the last.
    async fn watermarks(&self) -> Result<(i64, i64), String> {
        let started = Instant::now();
        loop {
            let member = self.member.clone();
            let (name, number) = (self.name.clone(), self.number);
            let range = move || member.fetch_watermarks(&name, number, REQUEST_TIMEOUT);
            let range = tokio::task::spawn_blocking(range).await.map_err(|e| e.to_string())?;
            match range {
                Ok(range) => return Ok(range),
                Err(error) if has_no_leader(&error) && started.elapsed() < REQUEST_TIMEOUT => {
                    tokio::time::sleep(ELECTION_DELAY).await;
                }
                Err(error) => return Err(format!("no response from Kafka: {error}")),
            }
        }
    }

    fn contradiction(&self, at: Cursor, problem: &str) -> String {
        let (event_id, offset) = (at.event_id, offset_of(at.log_id));
        let Self { name, number, topic, .. } = self;
        format!(
            "event {event_id} at offset {offset} of {name} partition {number} was the last one applied, {problem}: the \
             topic was recreated, or the consumer's database was restored to a different moment. Restore both; or \
             accept the difference and delete the consumer's row for {}/{number} in consumer_cursors to apply the \
             whole partition again",
            topic.name
        )
    }

    /// Stores the group's offset. It is only a hint where to start: the cursor is authoritative.
    fn store(&mut self, at: Cursor) {
        if at != START && at.log_id != self.stored {
            self.stored = at.log_id;
            self.member.store_offset(&self.name, self.number, offset_of(at.log_id)).ok();
        }
    }
}

/// Whether a leader election is in progress.
fn has_no_leader(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    matches!(error.rdkafka_error_code(), Some(NotLeaderForPartition | LeaderNotAvailable))
}
