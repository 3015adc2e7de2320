//! Applies the events of one source in order: a topic's event log, or one partition of a topic. Never applies an event
//! after a failed one of the same key.

mod apply;
mod failure;
mod metrics;
mod replay;

use std::collections::HashSet;
use std::time::Duration;

use db::{Db, Engine};
use futures_util::FutureExt as _;
use ids::Uuid;
use tokio::sync::watch;

use crate::cursor::{self, Cursor};
use crate::dead_letters::Scope;
use crate::handler::Application;
use crate::kafka::{self, Partition};
use crate::{Received, Stop, Topic, log};

/// Events of one transaction.
const BATCH: i64 = 500;
/// How often a stopped consumer checks whether the problem has been fixed.
const STOPPED_RETRY: Duration = Duration::from_secs(2);
/// The stored cursor follows after this number of skipped events.
const MAX_SKIPPED: usize = 1000;

pub(crate) struct Processor<'a> {
    application: &'a Application,
    topic: &'a Topic,
    /// The topic's name, on Kafka followed by `/partition`: names the cursor, and labels metrics and health.
    name: String,
    scope: Scope,
    source: Source<'a>,
    stop: Stop<'a>,
    wake: watch::Receiver<u64>,
    /// The cursor and the blocked keys as last read or written, if known. When another process changes them it also
    /// moves the cursor, so the next write here detects it.
    at: Option<Cursor>,
    /// The events after `at` that have been skipped, because the handler does nothing for them.
    skipped: Option<Skipped>,
    blocked: HashSet<Uuid>,
    /// The number of dead letters, those that block no key included.
    dead_letters: u64,
}

#[derive(Clone, Copy)]
struct Skipped {
    to: Cursor,
    count: usize,
}

pub(crate) enum Source<'a> {
    /// An event log, with the signal that it has grown.
    Log(&'a Db, watch::Receiver<u64>),
    Partition(Partition),
}

enum Step {
    /// There was no event.
    Idle,
    /// There may be more events.
    Processed,
    /// The log contradicts the cursor, or Kafka is unavailable.
    Stopped(String),
}

impl<'a> Processor<'a> {
    pub fn new(
        application: &'a Application,
        topic: &'a Topic,
        source: Source<'a>,
        stop: Stop<'a>,
    ) -> Self {
        let wake = application.state.wake.subscribe();
        let (name, (from, end)) = match &source {
            Source::Log(..) => (topic.name.to_owned(), (0, i64::MAX)),
            Source::Partition(partition) => (
                format!("{}/{}", topic.name, partition.number),
                kafka::partition_range(partition.number),
            ),
        };
        let scope = Scope { consumer: application.state.name, topic: topic.name, from, end };
        let (at, skipped, blocked, dead_letters) = (None, None, HashSet::new(), 0);
        Self {
            application,
            topic,
            name,
            scope,
            source,
            stop,
            wake,
            at,
            skipped,
            blocked,
            dead_letters,
        }
    }

    pub async fn run(mut self) {
        let mut failures = 0;
        while !self.is_stopping() {
            let delay = match self.step().await {
                Ok(Step::Processed) => {
                    failures = 0;
                    continue;
                }
                Ok(Step::Idle) => {
                    failures = 0;
                    self.wait().await;
                    continue;
                }
                Ok(Step::Stopped(reason)) => {
                    self.at = None;
                    if self.application.state.set_error(&self.name, &reason) {
                        let (consumer, topic) = (self.consumer(), &self.name);
                        tracing::error!(consumer, topic, reason, "consumer stopped");
                    }
                    STOPPED_RETRY
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        let (consumer, topic) = (self.consumer(), &self.name);
                        tracing::warn!(consumer, topic, %error, "consumer failed, retrying");
                    }
                    self.at = None;
                    self.application.retry.delay(failures, rand::random())
                }
            };
            self.sleep(delay).await;
        }
        // The next processor of this source reports its own health.
        self.application.state.clear_error(&self.name);
        (self.blocked, self.dead_letters) = (HashSet::new(), 0);
        self.record_dead_letters();
        self.record_lag(0, 0);
    }

    fn consumer(&self) -> &'static str {
        self.application.state.name
    }

    fn db(&self) -> &'a Db {
        &self.application.state.db
    }

    fn is_partition(&self) -> bool {
        matches!(self.source, Source::Partition(_))
    }

    fn is_stopping(&self) -> bool {
        self.stop.clone().now_or_never().is_some()
    }

    async fn sleep(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.stop.clone()).await;
    }

    /// Waits for an append, a replay or the stop. Polls too, because another process may append.
    async fn wait(&mut self) {
        let appended = match &mut self.source {
            Source::Log(log, appended) => {
                let poll = match log.engine() {
                    Engine::Sqlite => Duration::from_secs(1),
                    Engine::Postgres => Duration::from_millis(250),
                };
                async move { drop(tokio::time::timeout(poll, appended.changed()).await) }.boxed()
            }
            Source::Partition(partition) => partition.wait().boxed(),
        };
        tokio::select! {
            () = appended => {}
            _ = self.wake.changed() => {}
            () = self.stop.clone() => {}
        }
    }

    async fn step(&mut self) -> db::Result<Step> {
        if let Source::Log(_, appended) = &mut self.source {
            appended.borrow_and_update();
        }
        self.wake.borrow_and_update();
        let at = self.load_cursor().await?;
        if self.dead_letters > 0 {
            self.replay().await?;
        }
        let events = match self.read(at).await? {
            Ok(events) => events,
            Err(reason) => return Ok(Step::Stopped(reason)),
        };
        self.application.state.clear_error(&self.name);
        self.measure_lag(&events).await?;
        if events.is_empty() {
            return Ok(Step::Idle);
        }
        if !self.skip(&events) {
            self.process(&events).await;
        }
        Ok(Step::Processed)
    }

    /// Skips a batch of a log if the handler does nothing for any of its events.
    fn skip(&mut self, events: &[Received]) -> bool {
        let count = self.skipped.map_or(0, |skipped| skipped.count) + events.len();
        let (Some(last), true) = (events.last(), count <= MAX_SKIPPED) else { return false };
        let handler = &self.application.handler;
        let handles = |event: &Received| event.type_name.is_empty() || handler.handles(event);
        if self.is_partition() || self.dead_letters > 0 || events.iter().any(handles) {
            return false;
        }
        self.skipped = Some(Skipped { to: Cursor::after(last), count });
        self.count("applied", events.len());
        true
    }

    /// The events after the cursor. The inner error is the reason why they cannot be read.
    async fn read(&mut self, at: Cursor) -> db::Result<Result<Vec<Received>, String>> {
        let log = match &mut self.source {
            Source::Log(log, _) => *log,
            Source::Partition(partition) => {
                return Ok(partition.read(at, usize::try_from(BATCH).unwrap_or(1)).await);
            }
        };
        // Read the event at the cursor again, to check that the log still contains it.
        let at = self.skipped.map_or(at, |skipped| skipped.to);
        let known = i64::from(at != cursor::START);
        let mut events = log::read(log, self.topic, at.log_id, BATCH + known).await?;
        if known == 1 {
            let found = !events.is_empty() && events[0].log_id == at.log_id;
            if !found || events.remove(0).id != at.event_id {
                return Ok(Err(self.contradiction(at)));
            }
        }
        Ok(Ok(events))
    }

    async fn load_cursor(&mut self) -> db::Result<Cursor> {
        if let Some(at) = self.at {
            return Ok(at);
        }
        self.skipped = None;
        let at = cursor::load(self.db(), self.consumer(), &self.name).await?;
        self.load_dead_letters().await?;
        self.at = Some(at);
        Ok(at)
    }

    async fn load_dead_letters(&mut self) -> db::Result<()> {
        self.blocked = self.scope.blocked_keys(self.db()).await?;
        self.dead_letters = self.scope.count(self.db()).await?.unsigned_abs();
        self.record_dead_letters();
        Ok(())
    }

    fn contradiction(&self, at: Cursor) -> String {
        let Cursor { log_id, event_id } = at;
        let (producer, consumer, topic) = (self.topic.producer, self.consumer(), self.topic.name);
        format!(
            "the log of {producer} does not contain event {event_id} at {log_id}, the last one applied: one of the two \
             databases was restored to a different moment. Restore both to the same moment; or accept the difference \
             and set the cursor (table consumer_cursors, consumer {consumer:?}, topic {topic:?}) to an event of the \
             log, or delete its row to apply the whole log again"
        )
    }

    /// Applies events until all are applied, the consumer must stop, or another process moved the cursor.
    async fn process(&mut self, events: &[Received]) {
        let mut rest = events;
        while !rest.is_empty() && self.at.is_some() && !self.is_stopping() {
            match self.apply(rest).await {
                Ok(applied) => rest = self.advance(&applied, rest),
                Err(fault) if rest.len() == 1 => return self.retry(&rest[0], fault).await,
                Err(_) => return self.process_singly(rest).await,
            }
        }
    }

    /// One event per transaction, after a batch has failed.
    async fn process_singly(&mut self, events: &[Received]) {
        for event in events {
            if self.at.is_none() || self.is_stopping() {
                return;
            }
            match self.apply(std::slice::from_ref(event)).await {
                Ok(applied) => {
                    self.advance(&applied, &[]);
                }
                Err(fault) => self.retry(event, fault).await,
            }
        }
    }
}
