//! The inbox: ids of the events that a consumer has applied recently, to detect duplicates.
//!
//! A row holds the ids that one transaction applied and whose UUIDv7 time is in one minute. So an event is a duplicate
//! if it is in a row whose highest id lies between the event and the end of its minute.

use std::collections::HashSet;

use chrono::TimeDelta;
use db::{Db, Tx};
use ids::Uuid;

use crate::Received;

/// How long ids are kept: a relay may publish a duplicate this long after the event.
const RETENTION: TimeDelta = TimeDelta::days(30);
/// The time of a UUIDv7, in ms, is its value shifted right by this many bits.
const TIME_SHIFT: u32 = 80;
/// The time range of the ids of one row, in ms.
const SPAN: u128 = 60_000;

const ID_BYTES: usize = 16;

struct Minute {
    lowest: Uuid,
    highest: Uuid,
    /// All ids, concatenated.
    ids: Vec<u8>,
}

/// Claims events for this transaction, which holds the cursor's lock. Returns the log ids of duplicates: events that
/// were applied before, or occur twice here.
pub(crate) async fn claim(
    tx: &mut Tx,
    consumer: &str,
    events: &[Received],
) -> db::Result<HashSet<i64>> {
    let mut ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let known = record(tx, consumer, &ids).await?;
    ids.retain(|id| known.binary_search(id).is_err());
    if ids.len() == events.len() {
        return Ok(HashSet::new());
    }
    let mut fresh: HashSet<Uuid> = ids.into_iter().collect();
    let duplicates = events.iter().filter(|event| !fresh.remove(&event.id));
    Ok(duplicates.map(|event| event.log_id).collect())
}

/// Records ids as applied. Returns those that had been recorded before. Both lists are sorted.
pub(crate) async fn record(tx: &mut Tx, consumer: &str, ids: &[Uuid]) -> db::Result<Vec<Uuid>> {
    let minutes = minutes(ids);
    let query = tx.query("WITH these AS (SELECT * FROM unnest(");
    let query = query.push_array(minutes.iter().map(|minute| minute.lowest).collect());
    let query = query.push(", ").push_array(minutes.iter().map(|m| m.highest).collect());
    let query = query.push(", ").push_array(minutes.iter().map(|m| end(m.highest)).collect());
    let query = query.push(", ").push_array(minutes.into_iter().map(|m| m.ids).collect());
    let query = query.push(
        ") AS these (lowest, highest, until, ids)), new AS
         (INSERT INTO inbox (consumer, lowest, highest, ids) SELECT ",
    );
    // Reads the snapshot from before the INSERT.
    let query = query.push_bind(consumer).push(
        ", lowest, highest, ids FROM these)
         SELECT inbox.ids FROM these JOIN inbox ON inbox.lowest <= these.highest
         AND inbox.highest BETWEEN these.lowest AND until AND consumer = ",
    );
    let rows: Vec<(Vec<u8>,)> = query.push_bind(consumer).fetch_all().await?;
    let found = rows.iter().flat_map(|(row,)| row.chunks_exact(ID_BYTES));
    let found = found.filter_map(|id| Uuid::from_slice(id).ok());
    let mut known: Vec<Uuid> = found.filter(|id| ids.binary_search(id).is_ok()).collect();
    known.sort_unstable();
    Ok(known)
}

/// Deletes ids older than the retention. Returns the number of rows.
pub(crate) async fn prune(db: &Db, consumer: &str) -> db::Result<u64> {
    let before = (db.clock().now() - RETENTION).timestamp_millis();
    let oldest = Uuid::from_u128(u128::try_from(before).unwrap_or(0) << TIME_SHIFT);
    const DELETE: &str = "DELETE FROM inbox WHERE consumer = $1 AND highest < $2";
    db.execute(|tx| tx.query(DELETE).bind_all((consumer, oldest))).await
}

/// Groups sorted ids by minute.
fn minutes(ids: &[Uuid]) -> Vec<Minute> {
    let by_minute = ids.chunk_by(|one, next| millis(*one) / SPAN == millis(*next) / SPAN);
    let minute = |ids: &[Uuid]| Minute {
        lowest: ids[0],
        highest: ids[ids.len() - 1],
        ids: ids.iter().flat_map(|id| *id.as_bytes()).collect(),
    };
    by_minute.map(minute).collect()
}

fn millis(id: Uuid) -> u128 {
    id.as_u128() >> TIME_SHIFT
}

/// The highest possible id in the minute of `id`.
fn end(id: Uuid) -> Uuid {
    let next = (millis(id) / SPAN + 1) * SPAN;
    Uuid::from_u128(if next >> (128 - TIME_SHIFT) == 0 {
        (next << TIME_SHIFT) - 1
    } else {
        u128::MAX
    })
}

#[cfg(test)]
mod tests {
    use db::testing::{self, Kind};
    use db::{Migration, Migrations};

    use super::*;
    use crate::{Event, Topic};

    const READER: Migrations = Migrations {
        service: "reader",
        files: &[Migration::new("0001_nothing", "SELECT 1", "SELECT 1")],
    };
    const USERS: Topic = Topic::new("agon.user.v1", "auth").key("user_id");

    fn at(millis: u128, rest: u128) -> Uuid {
        Uuid::from_u128((millis << TIME_SHIFT) | rest)
    }

    fn event(id: Uuid, log_id: i64) -> Received {
        let event = Event {
            topic: USERS,
            aggregate_id: id,
            version: 1,
            type_name: "agon.event.v1.UserUpdated".into(),
            data: Vec::new(),
        };
        Received { id, log_id, ..Received::testing(&event) }
    }

    #[test]
    fn a_row_holds_ids_of_one_minute() {
        let ids = [at(59_999, 1), at(60_000, 1), at(119_999, 7), at(120_000, 0), Uuid::max()];
        let found: Vec<(Uuid, Uuid, usize)> =
            minutes(&ids).into_iter().map(|m| (m.lowest, m.highest, m.ids.len())).collect();
        let expected = [
            (ids[0], ids[0], 16),
            (ids[1], ids[2], 32),
            (ids[3], ids[3], 16),
            (ids[4], ids[4], 16),
        ];
        assert_eq!(found, expected);
        assert_eq!(end(at(60_000, 1)), at(119_999, (1 << TIME_SHIFT) - 1));
        assert_eq!(end(Uuid::max()), Uuid::max());
        assert!(minutes(&[]).is_empty());
    }

    #[tokio::test]
    async fn an_event_can_be_claimed_once_per_consumer() {
        let Some(kind) = testing::kinds().into_iter().find(|k| matches!(k, Kind::Postgres(_)))
        else {
            return;
        };
        let db = kind.create(&READER).await;
        let claim_all = async |consumer: &'static str, ids: &[Uuid]| {
            let events: Vec<Received> = (0..).zip(ids).map(|(n, id)| event(*id, n)).collect();
            let mut tx = db.begin().await.unwrap();
            let duplicates = claim(&mut tx, consumer, &events).await.unwrap();
            tx.commit().await.unwrap();
            let mut duplicates: Vec<i64> = duplicates.into_iter().collect();
            duplicates.sort_unstable();
            duplicates
        };
        // Many minutes in random order, some ids that are not a UUIDv7, and one duplicate.
        let mut backlog: Vec<Uuid> = (1..=300).map(|n| at(n * 7919 * 13 % 40_000_000, n)).collect();
        backlog.extend([Uuid::nil(), Uuid::max(), at(1 << 47, 3), Uuid::max()]);
        assert_eq!(claim_all("one", &backlog).await, [303]);
        assert_eq!(claim_all("two", &backlog[..2]).await, [0i64; 0]);
        // Claimed and new ids, in the same minute and in others.
        let mixed = [backlog[7], at(50_000_000, 1), backlog[200], Uuid::max(), at(1 << 47, 4)];
        assert_eq!(claim_all("one", &mixed).await, [0, 2, 3]);
        let all: Vec<Uuid> = backlog.iter().chain(&mixed).copied().collect();
        assert_eq!(claim_all("one", &all).await.len(), all.len());
        assert_eq!(claim_all("two", &mixed).await, [0i64; 0]);
        // All ids except three are older than the retention.
        let deleted = prune(&db, "one").await.unwrap();
        assert!(deleted >= 200, "{deleted} rows");
        assert_eq!(claim_all("one", &mixed).await, [3, 4]);
    }
}
