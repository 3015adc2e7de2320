//! The last step: moves the cursors and the dead letters of consumers.

use std::collections::{BTreeMap, HashSet};

use db::Tx;
use db::promotion::{Progress, progress, save_progress};
use futures_util::future::BoxFuture;
use ids::Uuid;

use super::topic_index::{TopicIndex, each};
use super::{OnProgress, Promotion};
use crate::dead_letters::{self, DeadLetter, NewDeadLetter};
use crate::envelope::Envelope;
use crate::kafka::{Kafka, partition_of, partition_range};
use crate::{Error, Received, Topic, inbox, outbox};

const STEP: &str = "consumers";

/// A consumer's cursor in a topic on Kafka.
#[derive(Debug, Default, PartialEq, Eq)]
struct TopicCursor {
    /// Partition, position and id of the last event applied of each partition.
    last: Vec<(i32, i64, Uuid)>,
    /// Applied events that a relay published again after that position.
    duplicates: Vec<Uuid>,
}

impl Promotion {
    /// Verifies that the topics contain the events of the logs, and moves all cursors and dead letters. Returns the
    /// number of events.
    pub fn move_cursors<'a>(
        &'a self,
        on_progress: OnProgress<'a>,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let (mut indexes, mut count) = (BTreeMap::new(), 0);
            for (topic, source) in self.topics() {
                on_progress(&format!("verifying {}", topic.name), 0, 0);
                let index = self.index(&topic).await?;
                count += index.verify(&topic, &source).await?;
                indexes.insert(topic.name, (topic, source, index));
            }
            for service in &self.services {
                if progress(&service.target, STEP).await?.done {
                    continue;
                }
                let log_cursors: Vec<(String, String, i64)> = service
                    .source
                    .query("SELECT consumer, topic, log_id FROM consumer_cursors WHERE log_id > 0")
                    .fetch_all()
                    .await?;
                let mut cursors = Vec::new();
                for (consumer, topic, log_id) in log_cursors {
                    let Some((topic, source, index)) = indexes.get(topic.as_str()) else {
                        continue;
                    };
                    let mut unread = HashSet::new();
                    each(source, topic, log_id + 1, |event| _ = unread.insert(event.id)).await?;
                    cursors.push((consumer, topic, topic_cursor(index, &unread)));
                }
                let letters = dead_letters::all(&service.source).await?;
                let (cursors, letters, indexes) = (&cursors, &letters, &indexes);
                let moved = service.target.transact(|mut tx| async move {
                    for (consumer, topic, cursor) in cursors {
                        insert_cursor(&mut tx, consumer, topic, cursor).await?;
                    }
                    for letter in letters {
                        if let Some((topic, _, index)) = indexes.get(letter.topic.as_str()) {
                            insert_dead_letter(&mut tx, letter, topic, index).await?;
                        }
                    }
                    save_progress(&mut tx, STEP, Progress { done: true, ..Progress::default() })
                        .await
                });
                moved.await?;
            }
            Ok(count)
        })
    }
}

/// The cursor of a consumer that has applied all events except `unread`.
fn topic_cursor(index: &TopicIndex, unread: &HashSet<Uuid>) -> TopicCursor {
    let mut first_unread: BTreeMap<i32, i64> = BTreeMap::new();
    for position in unread.iter().filter_map(|id| index.first_position.get(id)) {
        let first = first_unread.entry(partition_of(*position)).or_insert(*position);
        *first = (*first).min(*position);
    }
    let mut cursor = TopicCursor::default();
    let mut from = i64::MIN;
    while let Some((position, _)) = index.events.range(from..).next() {
        let partition = partition_of(*position);
        let (start, end) = partition_range(partition);
        let first_unread = first_unread.get(&partition).copied().unwrap_or(end);
        if let Some((last, id)) = index.events.range(start..first_unread).next_back() {
            cursor.last.push((partition, *last, *id));
        }
        let later = index.events.range(first_unread..end).map(|(_, id)| *id);
        cursor.duplicates.extend(later.filter(|id| !unread.contains(id)));
        from = end;
    }
    cursor
}

async fn insert_cursor(
    tx: &mut Tx,
    consumer: &str,
    topic: &Topic,
    cursor: &TopicCursor,
) -> db::Result<()> {
    let now = tx.now();
    for (partition, position, event_id) in &cursor.last {
        tx.query(
            "INSERT INTO consumer_cursors (consumer, topic, log_id, event_id, updated_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind_all((consumer, format!("{}/{partition}", topic.name), *position, *event_id, now))
        .execute()
        .await?;
    }
    let mut duplicates = cursor.duplicates.clone();
    duplicates.sort_unstable();
    inbox::record(tx, consumer, &duplicates).await.map(drop)
}

/// Inserts a dead letter at its event's position, and a copy for the dead-letter topic.
async fn insert_dead_letter(
    tx: &mut Tx,
    letter: &DeadLetter,
    topic: &Topic,
    index: &TopicIndex,
) -> db::Result<()> {
    let position = index.first_position.get(&letter.row.event_id);
    let Some(position) = position else { return Err(db::Error::NotFound) };
    let event = Received { log_id: *position, ..letter.row.clone().received(topic.name) };
    let new = NewDeadLetter {
        event: &event,
        reason: &letter.reason,
        attempts: letter.attempt_count,
        held: letter.held,
        replay: letter.replay,
        blocks_key: letter.blocks_key,
        time: letter.parked_at,
    };
    new.insert(tx, &letter.consumer).await?;
    // Held events have no copy in the dead-letter topic.
    if !letter.held {
        let DeadLetter { consumer, reason, .. } = letter;
        let envelope = Envelope::of_dead_letter(&event, topic, consumer, reason);
        outbox::copy(tx, &Kafka::dead_letter_topic(topic, consumer), &event, &envelope).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::position;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn index(messages: &[(i32, i64, u128)]) -> TopicIndex {
        let mut index = TopicIndex::default();
        for (partition, offset, n) in messages {
            let position = position(*partition, *offset);
            index.events.insert(position, id(*n));
            index.first_position.entry(id(*n)).or_insert(position);
        }
        index
    }

    #[test]
    fn cursor_is_the_last_applied_event_of_each_partition() {
        let index = index(&[(0, 0, 1), (0, 1, 3), (0, 2, 4), (1, 0, 2), (2, 0, 5)]);
        let cursor = topic_cursor(&index, &HashSet::from([id(4), id(5)]));
        assert_eq!(cursor.last, [(0, position(0, 1), id(3)), (1, position(1, 0), id(2))]);
        assert!(cursor.duplicates.is_empty());
        let all_read = topic_cursor(&index, &HashSet::new());
        assert_eq!(all_read.last.len(), 3);
        assert_eq!(all_read.last[2], (2, position(2, 0), id(5)));
    }

    #[test]
    fn events_published_twice_are_duplicates() {
        let index = index(&[(0, 0, 1), (0, 1, 2), (0, 2, 1), (0, 3, 2), (0, 4, 3)]);
        let cursor = topic_cursor(&index, &HashSet::from([id(2), id(3)]));
        let last = vec![(0, position(0, 0), id(1))];
        assert_eq!(cursor, TopicCursor { last, duplicates: vec![id(1)] });
    }
}
