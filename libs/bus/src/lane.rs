//! One consumer in one topic's log, or in one partition of a topic: reads it in order, applies it, and never passes
//! a failure of the same key.

mod measure;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use db::{Db, Engine, Tx};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use ids::Uuid;
use tokio::sync::watch;

use crate::consumer::{Consumer, Handler};
use crate::cursor::{self, Cursor};
use crate::kafka::{Kafka, Partition, places};
use crate::{Fault, Received, Topic, dead_letters, inbox, log};

/// Events of one transaction.
const BATCH: i64 = 500;
/// After this a transaction takes no further event: on SQLite the service cannot write meanwhile.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// How long to wait, when a consumer stands still, until looking whether it was mended.
const STOPPED: Duration = Duration::from_secs(2);

pub(crate) type Stop<'a> = Shared<BoxFuture<'a, ()>>;

pub(crate) struct Lane<'a, H> {
    pub(super) consumer: &'a Consumer<H>,
    pub(super) topic: &'a Topic,
    /// What the lane is called where there may be several of a topic.
    pub(super) place: String,
    /// Its places in the topic: the first, and the first behind it.
    pub(super) range: (i64, i64),
    source: Source<'a>,
    stop: Stop<'a>,
    wake: watch::Receiver<u64>,
    // Known while `at` is: a change of either by another process moves the cursor under us, which is noticed.
    pub(super) at: Option<Cursor>,
    pub(super) parked: HashSet<Uuid>,
}

/// Where a lane's events are.
pub(crate) enum Source<'a> {
    /// A log, with what changes when it grows.
    Log(&'a Db, watch::Receiver<u64>),
    /// A partition.
    Partition(Partition),
}

/// What came of a step.
enum Step {
    /// There is nothing to do.
    Idle,
    /// There may be more.
    Went,
    /// The lane cannot go on: the log and the cursor contradict each other, or Kafka is away.
    Stuck(String),
}

/// What came of one transaction.
pub(super) enum Applied {
    /// The cursor is now at this event.
    To(Cursor),
    /// Somebody else moved the cursor; nothing was done.
    Elsewhere,
}

impl<'a, H: Handler> Lane<'a, H> {
    pub fn new(
        consumer: &'a Consumer<H>,
        topic: &'a Topic,
        source: Source<'a>,
        stop: Stop<'a>,
    ) -> Self {
        let wake = consumer.state.wake.subscribe();
        let (place, range) = match &source {
            Source::Log(..) => (topic.name.to_owned(), (0, i64::MAX)),
            Source::Partition(partition) => {
                (format!("{}/{}", topic.name, partition.number), places(partition.number))
            }
        };
        let (at, parked) = (None, HashSet::new());
        Self { consumer, topic, place, range, source, stop, wake, at, parked }
    }

    pub async fn run(mut self) {
        let mut failures = 0;
        while !self.is_stopping() {
            let pause = match self.step().await {
                Ok(Step::Went) => {
                    failures = 0;
                    continue;
                }
                Ok(Step::Idle) => {
                    failures = 0;
                    self.wait().await;
                    continue;
                }
                Ok(Step::Stuck(why)) => {
                    self.at = None;
                    if self.consumer.state.stopped(&self.place, &why) {
                        tracing::error!(consumer = self.name(), topic = self.place, "{why}");
                    }
                    STOPPED
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        let (consumer, topic) = (self.name(), &self.place);
                        tracing::warn!(consumer, topic, %error, "the consumer cannot go on");
                    }
                    self.at = None;
                    self.consumer.retry.pause(failures, rand::random())
                }
            };
            self.pause(pause).await;
        }
        // Whoever goes on, here or elsewhere, tells how the lane is.
        self.consumer.state.goes_on(&self.place);
        self.parked.clear();
        self.show_parked();
        self.show_lag(0, 0);
    }

    pub(super) fn name(&self) -> &'static str {
        self.consumer.state.name
    }

    pub(super) fn db(&self) -> &Db {
        &self.consumer.state.db
    }

    fn is_stopping(&self) -> bool {
        self.stop.clone().now_or_never().is_some()
    }

    async fn pause(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.stop.clone()).await;
    }

    /// Waits for an append, a replay or the stop; and not too long, as another process may append too.
    async fn wait(&mut self) {
        let news = match &mut self.source {
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
            () = news => {}
            _ = self.wake.changed() => {}
            () = self.stop.clone() => {}
        }
    }

    async fn step(&mut self) -> db::Result<Step> {
        if let Source::Log(_, appended) = &mut self.source {
            appended.borrow_and_update();
        }
        self.wake.borrow_and_update();
        let at = self.position().await?;
        if !self.parked.is_empty() {
            self.replay().await?;
        }
        let events = match self.read(at).await? {
            Ok(events) => events,
            Err(why) => return Ok(Step::Stuck(why)),
        };
        self.consumer.state.goes_on(&self.place);
        self.measure(&events).await?;
        if events.is_empty() {
            return Ok(Step::Idle);
        }
        self.process(&events).await;
        Ok(Step::Went)
    }

    /// The events behind the cursor; the inner error says why there are none to be had.
    async fn read(&mut self, at: Cursor) -> db::Result<Result<Vec<Received>, String>> {
        let log = match &mut self.source {
            Source::Log(log, _) => *log,
            Source::Partition(partition) => {
                return Ok(partition.read(at, usize::try_from(BATCH).unwrap_or(1)).await);
            }
        };
        // The event at the cursor is read again, to see that it is still there.
        let known = i64::from(at != cursor::START);
        let mut events = log::read(log, self.topic, at.log_id, BATCH + known).await?;
        if known == 1 {
            let there = !events.is_empty() && events[0].log_id == at.log_id;
            if !there || events.remove(0).id != at.event_id {
                return Ok(Err(self.contradiction(at)));
            }
        }
        Ok(Ok(events))
    }

    /// Where the cursor is; asked of the database when it is not known.
    async fn position(&mut self) -> db::Result<Cursor> {
        if let Some(at) = self.at {
            return Ok(at);
        }
        let at = cursor::load(self.db(), self.name(), &self.place).await?;
        self.parked = self.keys().await?;
        self.at = Some(at);
        self.show_parked();
        Ok(at)
    }

    fn contradiction(&self, at: Cursor) -> String {
        format!(
            "the log of {} does not have event {} at {}, the last one that was applied: one of the two databases \
             was restored to another moment. Restore both to the same moment; or accept the difference and set \
             the cursor (table consumer_cursors, consumer {:?}, topic {:?}) to an event of the log, or delete \
             its row to apply the whole log again",
            self.topic.producer,
            at.event_id,
            at.log_id,
            self.name(),
            self.topic.name
        )
    }

    /// Applies events until all are dealt with, the consumer is to stop, or the cursor was moved by somebody else.
    async fn process(&mut self, events: &[Received]) {
        let mut rest = events;
        while !rest.is_empty() && !self.is_stopping() {
            match self.apply(rest).await {
                Ok(applied) => rest = self.after(&applied, rest),
                Err(fault) if rest.len() == 1 => return self.failing(&rest[0], fault).await,
                Err(_) => {
                    for event in rest {
                        if self.at.is_none() || self.is_stopping() {
                            return;
                        }
                        self.one(event).await;
                    }
                    return;
                }
            }
        }
    }

    async fn one(&mut self, event: &Received) {
        match self.apply(std::slice::from_ref(event)).await {
            Ok(applied) => {
                self.after(&applied, &[]);
            }
            Err(fault) => self.failing(event, fault).await,
        }
    }

    /// Notes what a transaction did; gives the events that are still to be dealt with.
    fn after<'e>(&mut self, applied: &Applied, events: &'e [Received]) -> &'e [Received] {
        match applied {
            Applied::To(cursor) => {
                self.at = Some(*cursor);
                let done = events.partition_point(|event| event.log_id <= cursor.log_id);
                &events[done..]
            }
            Applied::Elsewhere => {
                self.at = None;
                &[]
            }
        }
    }

    /// Tries an event again until it works or is parked.
    async fn failing(&mut self, event: &Received, first: Fault) {
        let (mut fault, mut failures, mut tries) = (first, 0, 0);
        loop {
            tries += 1;
            failures += u32::from(!matches!(fault, Fault::Transient(_)));
            self.count("failed", 1);
            let hopeless =
                matches!(fault, Fault::Park(_)) || failures >= self.consumer.retry.attempts;
            if hopeless && self.park(event, &fault, failures).await {
                return;
            }
            if tries == 1 {
                let (consumer, topic) = (self.name(), self.topic.name);
                let (event_id, key) = (event.id, event.aggregate_id);
                tracing::warn!(consumer, topic, %event_id, %key, %fault, "an event failed; trying again");
            }
            let why = format!("event {} fails and is tried again: {fault}", event.id);
            self.consumer.state.stopped(&self.place, &why);
            self.pause(self.consumer.retry.pause(tries, rand::random())).await;
            if self.is_stopping() {
                return;
            }
            self.show_lag(1, self.age(event));
            match self.apply(std::slice::from_ref(event)).await {
                Ok(applied) => {
                    self.after(&applied, &[]);
                    return;
                }
                Err(next) => fault = next,
            }
        }
    }

    /// Parks an event and its key, moving on; false when that could not be written.
    async fn park(&mut self, event: &Received, fault: &Fault, attempts: u32) -> bool {
        let (consumer, topic) = (self.name(), self.topic.name);
        let Some(at) = self.at else { return true };
        let to = Cursor::behind(event);
        let reason = &fault.to_string();
        let (place, this) = (self.place.as_str(), self.topic);
        let (partition, relayed) = (self.is_partition(), self.db().is_relayed());
        let parked = self
            .db()
            .transact(|mut tx| async move {
                if !cursor::advance(&mut tx, consumer, place, at, to).await? {
                    return Ok(Applied::Elsewhere);
                }
                dead_letters::add(&mut tx, consumer, event, reason, i64::from(attempts), false)
                    .await?;
                if partition {
                    inbox::claim(&mut tx, consumer, std::slice::from_ref(event)).await?;
                }
                if partition && relayed {
                    let name = Kafka::dead_letters(this, consumer);
                    crate::outbox::copy(&mut tx, &name, event).await?;
                }
                Ok::<_, db::Error>(Applied::To(to))
            })
            .await;
        match parked {
            Ok(applied) => {
                if matches!(applied, Applied::To(_)) {
                    let (event_id, key) = (event.id, event.aggregate_id);
                    tracing::error!(consumer, topic, %event_id, %key, reason, "an event was parked, and its key");
                    self.parked.insert(event.aggregate_id);
                    self.count("parked", 1);
                    self.show_parked();
                }
                self.after(&applied, &[]);
                true
            }
            Err(error) => {
                let event_id = event.id;
                tracing::warn!(consumer, topic, %event_id, %error, "an event cannot be parked");
                false
            }
        }
    }

    /// Applies as many of `events` as fit in one transaction, and moves the cursor with them.
    async fn apply(&self, events: &[Received]) -> Result<Applied, Fault> {
        let Some(at) = self.at else { return Ok(Applied::Elsewhere) };
        let mut tx = self.db().begin().await?;
        match self.apply_in(&mut tx, at, events).await {
            Ok(Some((to, held))) => {
                tx.commit().await?;
                let done = events.partition_point(|event| event.log_id <= to.log_id);
                self.count("applied", done - held);
                self.count("held", held);
                Ok(Applied::To(to))
            }
            Ok(None) => {
                tx.rollback().await;
                Ok(Applied::Elsewhere)
            }
            Err(fault) => {
                tx.rollback().await;
                Err(fault)
            }
        }
    }

    async fn apply_in(
        &self,
        tx: &mut Tx,
        at: Cursor,
        events: &[Received],
    ) -> Result<Option<(Cursor, usize)>, Fault> {
        let (consumer, place, started) = (self.name(), &self.place, Instant::now());
        // Of a partition all go together: the cursor can move first. What follows happens in one process only.
        let partition = self.is_partition();
        let last = events.last().map_or(at, Cursor::behind);
        let ours = match partition {
            true => cursor::advance(tx, consumer, place, at, last).await?,
            false => cursor::lock(tx, consumer, place, at).await?,
        };
        if !ours {
            return Ok(None);
        }
        let parked = match self.parked.is_empty() {
            true => HashSet::new(),
            false => dead_letters::keys(&mut *tx, consumer, self.topic.name, self.range).await?,
        };
        // A relay may publish an event twice; a log has it once.
        let again = match partition {
            true => inbox::claim(tx, consumer, events).await?,
            false => HashSet::new(),
        };
        let (mut to, mut held) = (at, 0);
        for event in events {
            if again.contains(&event.log_id) {
                self.count("known", 1);
            } else if parked.contains(&event.aggregate_id) {
                let reason = "waits behind an earlier dead letter of its key";
                dead_letters::add(tx, consumer, event, reason, 0, true).await?;
                held += 1;
            } else {
                self.handle(tx, event).await?;
            }
            to = Cursor::behind(event);
            if !partition && started.elapsed() > BATCH_TIME {
                break;
            }
        }
        if !partition {
            cursor::advance(tx, consumer, place, at, to).await?;
        }
        Ok(Some((to, held)))
    }

    fn is_partition(&self) -> bool {
        matches!(self.source, Source::Partition(_))
    }

    /// The keys of this lane that are parked.
    pub(super) async fn keys(&self) -> db::Result<HashSet<Uuid>> {
        dead_letters::keys(self.db(), self.name(), self.topic.name, self.range).await
    }

    /// Runs the handler in the trace of the event. A panic is a failure like another.
    pub(super) async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        if event.type_name.is_empty() {
            return Err(Fault::park("is no event: its key, its value or a ce_ header is missing"));
        }
        let mut context = rpc::Context::continuing(event.traceparent.as_deref());
        context.start(self.span(event));
        let handled = context.clone().scope(self.consumer.handler.handle(tx, event));
        let handled = AssertUnwindSafe(handled).catch_unwind().await;
        let handled = handled
            .unwrap_or_else(|panic| Err(Fault::Retry(format!("panicked: {}", words(&*panic)))));
        if handled.is_err() {
            context.fail("the event was not applied");
        }
        handled
    }
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}
