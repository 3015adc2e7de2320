//! One transaction: events are applied and the cursor moves with them.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use db::Tx;
use futures_util::FutureExt as _;

use super::Processor;
use crate::cursor::{self, Cursor};
use crate::dead_letters::NewDeadLetter;
use crate::{Fault, Received, inbox};

/// A transaction takes no further event after this time: on SQLite it locks out the service's own writes.
const BATCH_TIME: Duration = Duration::from_millis(50);

pub(super) enum Applied {
    /// The cursor is now at this event.
    To(Cursor),
    /// Another process had moved the cursor; nothing was applied.
    CursorMoved,
}

impl Processor<'_> {
    /// Updates the known cursor after a transaction. Returns the events that are still to be applied.
    pub(super) fn advance<'e>(
        &mut self,
        applied: &Applied,
        events: &'e [Received],
    ) -> &'e [Received] {
        match applied {
            Applied::To(cursor) => {
                (self.at, self.skipped) = (Some(*cursor), None);
                let done = events.partition_point(|event| event.log_id <= cursor.log_id);
                &events[done..]
            }
            Applied::CursorMoved => {
                self.at = None;
                &[]
            }
        }
    }

    /// Applies as many of `events` as fit in one transaction.
    pub(super) async fn apply(&mut self, events: &[Received]) -> Result<Applied, Fault> {
        let Some(at) = self.at else { return Ok(Applied::CursorMoved) };
        let repeatable = !self.is_partition() && self.application.handler.is_repeatable();
        let db = self.db();
        let begin = if repeatable { db.begin_repeatable() } else { db.begin() };
        let mut tx = begin.await?;
        match self.apply_in(&mut tx, at, events).await {
            Ok(Some((to, held))) => {
                tx.commit().await?;
                let done = events.partition_point(|event| event.log_id <= to.log_id);
                self.count("applied", done - held);
                self.count("held", held);
                self.dead_letters += held as u64;
                Ok(Applied::To(to))
            }
            Ok(None) => {
                tx.rollback().await;
                Ok(Applied::CursorMoved)
            }
            Err(fault) => {
                tx.rollback().await;
                Err(fault)
            }
        }
    }

    /// Returns the new cursor and the number of events held behind a dead letter, or `None` if another process moved
    /// the cursor.
    async fn apply_in(
        &self,
        tx: &mut Tx,
        at: Cursor,
        events: &[Received],
    ) -> Result<Option<(Cursor, usize)>, Fault> {
        let (consumer, name, started) = (self.consumer(), &self.name, Instant::now());
        // A batch of a partition is never cut short, so its cursor can move first: the claim below needs that lock.
        let partition = self.is_partition();
        let last = events.last().map_or(at, Cursor::after);
        let locked = match partition {
            true => cursor::advance(tx, consumer, name, at, last).await?,
            false => cursor::lock(tx, consumer, name, at).await?,
        };
        if !locked {
            return Ok(None);
        }
        let blocked = match self.blocked.is_empty() {
            true => HashSet::new(),
            false => self.scope.blocked_keys(&mut *tx).await?,
        };
        // A relay may publish an event twice; an event log contains it once.
        let duplicates = match partition {
            true => inbox::claim(tx, consumer, events).await?,
            false => HashSet::new(),
        };
        let (mut to, mut held) = (at, 0);
        for event in events {
            if duplicates.contains(&event.log_id) {
                self.count("duplicate", 1);
            } else if blocked.contains(&event.aggregate_id) && !event.type_name.is_empty() {
                self.hold(tx, event).await?;
                held += 1;
            } else {
                self.handle(tx, event).await?;
            }
            to = Cursor::after(event);
            if !partition && started.elapsed() > BATCH_TIME {
                break;
            }
        }
        if !partition {
            cursor::advance(tx, consumer, name, at, to).await?;
        }
        Ok(Some((to, held)))
    }

    async fn hold(&self, tx: &mut Tx, event: &Received) -> db::Result<()> {
        let reason = "held behind an earlier dead letter of its key";
        let time = tx.now();
        let (attempts, held, replay, blocks_key) = (0, true, false, true);
        let letter = NewDeadLetter { event, reason, attempts, held, replay, blocks_key, time };
        letter.insert(tx, self.consumer()).await
    }

    /// Calls the handler in the trace of the event. A panic is a [`Fault::Retry`].
    pub(super) async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        if event.type_name.is_empty() {
            return Err(Fault::undecodable(
                "not an event: its key, its value or a ce_ header is missing or invalid",
            ));
        }
        let mut context = rpc::Context::continuing(event.traceparent.as_deref());
        context.start(self.span(event));
        let handled = context.clone().scope(self.application.handler.handle(tx, event));
        let handled = AssertUnwindSafe(handled).catch_unwind().await;
        let handled = handled.unwrap_or_else(|panic| {
            Err(Fault::Retry(format!("panicked: {}", panic_message(&*panic))))
        });
        if handled.is_err() {
            context.fail("the event was not applied");
        }
        handled
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
