//! The cursor of a consumer, stored in its own database: the last event applied of a topic or of a partition.

use db::{Db, Sql, Tx};
use futures_util::future::BoxFuture;
use ids::Uuid;

use crate::{Error, Received, log};

db::record! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Cursor {
        pub log_id: i64,
        pub event_id: Uuid,
    }
}

impl Cursor {
    pub fn after(event: &Received) -> Self {
        Self { log_id: event.log_id, event_id: event.id }
    }
}

/// Before the first event.
pub(crate) const START: Cursor = Cursor { log_id: 0, event_id: Uuid::nil() };

/// Reads the cursor; creates that of a new consumer at [`START`].
pub(crate) async fn load(db: &Db, consumer: &str, topic: &str) -> db::Result<Cursor> {
    let find = || {
        db.query("SELECT log_id, event_id FROM consumer_cursors WHERE consumer = $1 AND topic = $2")
            .bind_all((consumer, topic))
    };
    if let Some(cursor) = find().fetch_optional().await? {
        return Ok(cursor);
    }
    const INSERT: &str =
        "INSERT INTO consumer_cursors (consumer, topic, log_id, event_id, updated_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let values = (consumer, topic, START.log_id, START.event_id, db.clock().now());
    db.execute(|tx| tx.query(INSERT).bind_all(values)).await?;
    // Another process may have created and moved it.
    find().fetch_one().await
}

/// Locks the cursor until the transaction ends, so that two processes cannot apply the same event. Returns false if it
/// is not at `at`.
pub(crate) async fn lock(tx: &mut Tx, consumer: &str, topic: &str, at: Cursor) -> db::Result<bool> {
    // SQLite has one writer.
    let found: Option<i32> = tx
        .query(Sql::either(
            "SELECT 1 FROM consumer_cursors
             WHERE consumer = $1 AND topic = $2 AND log_id = $3 AND event_id = $4 FOR UPDATE",
            "SELECT 1 FROM consumer_cursors
             WHERE consumer = $1 AND topic = $2 AND log_id = $3 AND event_id = $4",
        ))
        .bind_all((consumer, topic, at.log_id, at.event_id))
        .fetch_scalar_optional()
        .await?;
    Ok(found.is_some())
}

/// Moves the cursor, and locks it until the transaction ends, so that two processes cannot apply the same event. Returns
/// false if it is not at `from`.
pub(crate) async fn advance(
    tx: &mut Tx,
    consumer: &str,
    topic: &str,
    from: Cursor,
    to: Cursor,
) -> db::Result<bool> {
    let now = tx.now();
    let moved = tx
        .query(
            "UPDATE consumer_cursors SET log_id = $1, event_id = $2, updated_at = $3
             WHERE consumer = $4 AND topic = $5 AND log_id = $6 AND event_id = $7",
        )
        .bind_all((to.log_id, to.event_id, now, consumer, topic, from.log_id, from.event_id))
        .execute()
        .await?;
    Ok(moved == 1)
}

/// Sets a consumer's cursor to the end of a topic's log, without applying the events before it. For operators, after
/// databases were restored to different moments.
pub fn reset<'a>(
    db: &'a Db,
    log: &'a Db,
    consumer: &'a str,
    topic: &'a str,
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        let last = log::last(log, topic).await?;
        let end = last.map_or(START, |(log_id, event_id)| Cursor { log_id, event_id });
        let current = load(db, consumer, topic).await?;
        db.transact(|mut tx| async move {
            advance(&mut tx, consumer, topic, current, end).await.map(drop)
        })
        .await?;
        Ok(())
    })
}

/// Describes each cursor in `db` whose event is missing in the log: the two databases were restored to different
/// moments. `log_of` returns the database of a topic's producer.
pub async fn ahead(db: &Db, log_of: impl Fn(&str) -> Option<Db>) -> Result<Vec<String>, Error> {
    let cursors: Vec<(String, String, i64, Uuid)> = db
        .query("SELECT consumer, topic, log_id, event_id FROM consumer_cursors WHERE log_id > 0")
        .fetch_all()
        .await?;
    let mut ahead = Vec::new();
    for (consumer, topic, log_id, event_id) in cursors {
        let Some(log) = log_of(&topic) else { continue };
        let there: Option<Uuid> = log
            .query("SELECT event_id FROM event_log WHERE id = $1")
            .bind(log_id)
            .fetch_scalar_optional()
            .await?;
        if there != Some(event_id) {
            ahead.push(format!(
                "{consumer} has applied event {event_id} of {topic}, which its log does not contain"
            ));
        }
    }
    Ok(ahead)
}
