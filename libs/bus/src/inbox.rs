//! Events that a consumer has applied lately, by their ids.
//!
//! A row holds what one transaction applied of one minute, as the time in a UUIDv7 says. So one look at the rows whose
//! highest id is between an event and the end of its minute tells whether the event is in one of them.

use std::collections::HashSet;

use chrono::TimeDelta;
use db::{Db, Tx};
use ids::Uuid;

use crate::Received;

/// How long after an event a relay may still publish it once more.
const KEPT: TimeDelta = TimeDelta::days(30);
/// Behind which bits of a UUIDv7 its time is, in ms.
const TIME: u32 = 80;
/// The time that the ids of one row are of, in ms.
const SPAN: u128 = 60_000;

/// Bytes of an id.
const BYTES: usize = 16;

/// Ids of one minute: the lowest, the highest, the bytes of all of them.
struct Minute {
    lowest: Uuid,
    highest: Uuid,
    ids: Vec<u8>,
}

/// Claims events for this transaction, whose cursor is locked; gives the places of those that were applied before, or
/// are here twice.
pub(crate) async fn claim(
    tx: &mut Tx,
    consumer: &str,
    events: &[Received],
) -> db::Result<HashSet<i64>> {
    let mut ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let known = remember(tx, consumer, &ids).await?;
    ids.retain(|id| known.binary_search(id).is_err());
    if ids.len() == events.len() {
        return Ok(HashSet::new());
    }
    let mut fresh: HashSet<Uuid> = ids.into_iter().collect();
    let again = events.iter().filter(|event| !fresh.remove(&event.id));
    Ok(again.map(|event| event.log_id).collect())
}

/// Writes down that events are applied; gives those that were. Their ids are sorted, before and after.
pub(crate) async fn remember(tx: &mut Tx, consumer: &str, ids: &[Uuid]) -> db::Result<Vec<Uuid>> {
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
    // Looks at the rows that were there before.
    let query = query.push_bind(consumer).push(
        ", lowest, highest, ids FROM these)
         SELECT inbox.ids FROM these JOIN inbox ON inbox.lowest <= these.highest
         AND inbox.highest BETWEEN these.lowest AND until AND consumer = ",
    );
    let rows: Vec<(Vec<u8>,)> = query.push_bind(consumer).fetch_all().await?;
    let there = rows.iter().flat_map(|(row,)| row.chunks_exact(BYTES));
    let there = there.filter_map(|id| Uuid::from_slice(id).ok());
    let mut known: Vec<Uuid> = there.filter(|id| ids.binary_search(id).is_ok()).collect();
    known.sort_unstable();
    Ok(known)
}

/// Forgets what is older than any duplicate.
pub(crate) async fn prune(db: &Db, consumer: &str) -> db::Result<u64> {
    let before = (db.clock().now() - KEPT).timestamp_millis();
    let oldest = Uuid::from_u128(u128::try_from(before).unwrap_or(0) << TIME);
    db.transact(|mut tx| async move {
        let query = tx.query("DELETE FROM inbox WHERE consumer = $1 AND highest < $2");
        query.bind(consumer).bind(oldest).execute().await
    })
    .await
}

/// Sorted ids by their minutes.
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
    id.as_u128() >> TIME
}

/// The highest id of the minute of `id`.
fn end(id: Uuid) -> Uuid {
    let next = (millis(id) / SPAN + 1) * SPAN;
    Uuid::from_u128(if next >> (128 - TIME) == 0 { (next << TIME) - 1 } else { u128::MAX })
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
        Uuid::from_u128((millis << TIME) | rest)
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
    fn rows_are_of_one_minute() {
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
        assert_eq!(end(at(60_000, 1)), at(119_999, (1 << TIME) - 1));
        assert_eq!(end(Uuid::max()), Uuid::max());
        assert!(minutes(&[]).is_empty());
    }

    #[tokio::test]
    async fn an_event_is_new_once_and_for_each_consumer() {
        let Some(kind) = testing::kinds().into_iter().find(|k| matches!(k, Kind::Postgres(_)))
        else {
            return;
        };
        let db = kind.create(&READER).await;
        let claim_all = async |consumer: &'static str, ids: &[Uuid]| {
            let events: Vec<Received> = (0..).zip(ids).map(|(n, id)| event(*id, n)).collect();
            let mut tx = db.begin().await.unwrap();
            let again = claim(&mut tx, consumer, &events).await.unwrap();
            tx.commit().await.unwrap();
            let mut again: Vec<i64> = again.into_iter().collect();
            again.sort_unstable();
            again
        };
        // A backlog of many minutes, in any order, with ids that are no UUIDv7 and one that is there twice.
        let mut backlog: Vec<Uuid> = (1..=300).map(|n| at(n * 7919 * 13 % 40_000_000, n)).collect();
        backlog.extend([Uuid::nil(), Uuid::max(), at(1 << 47, 3), Uuid::max()]);
        assert_eq!(claim_all("one", &backlog).await, [303]);
        assert_eq!(claim_all("two", &backlog[..2]).await, [0i64; 0]);
        // Old ones among new ones, of the same minute and of others.
        let mixed = [backlog[7], at(50_000_000, 1), backlog[200], Uuid::max(), at(1 << 47, 4)];
        assert_eq!(claim_all("one", &mixed).await, [0, 2, 3]);
        let all: Vec<Uuid> = backlog.iter().chain(&mixed).copied().collect();
        assert_eq!(claim_all("one", &all).await.len(), all.len());
        assert_eq!(claim_all("two", &mixed).await, [0i64; 0]);
        // What is older than any duplicate is forgotten, which all of it is but three.
        let forgotten = prune(&db, "one").await.unwrap();
        assert!(forgotten >= 200, "{forgotten} rows");
        assert_eq!(claim_all("one", &mixed).await, [3, 4]);
    }
}
