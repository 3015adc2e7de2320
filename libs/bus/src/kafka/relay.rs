//! Publishing an outbox: read in the order of ids, publish, delete what the broker has.
//!
//! Every process of a service runs a relay; leases divide the lanes among them. One that lost a lane without
//! noticing (it was stopped for a while) can only publish again what others published already.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use db::{Announcements, Db};
use futures_util::FutureExt as _;
use ids::Uuid;
use metrics::{counter, gauge};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::future_producer::{DeliveryFuture, FutureRecord};
use rdkafka::producer::{FutureProducer, Producer as _, PurgeConfig};
use tokio::time::Instant;

use super::lanes::Lanes;
use super::presence::Presence;
use super::waiting::{self, Except, Published, Waiting};
use super::{Kafka, message};
use crate::lane::Stop;
use crate::{Bus, Error, Retry};

/// How often to look when nobody says anything.
const POLL: Duration = Duration::from_millis(250);
/// And when the database would say it.
const POLL_LISTENING: Duration = Duration::from_secs(1);
/// A broker that takes longer than this is in trouble.
const SLOW: Duration = Duration::from_secs(3);
/// How long the end waits for what is under way.
const FAREWELL: Duration = Duration::from_secs(2);
/// Announcements are made at most this often.
const COALESCE: Duration = Duration::from_millis(10);
/// The name of the announcements.
const OUTBOX: &str = "outbox";

/// Publishes the events of one service's database.
pub struct Relay {
    bus: Bus,
    kafka: Arc<Kafka>,
    db: Db,
}

/// What came of a round.
enum Round {
    Idle,
    Went,
}

/// Rows that the broker was given.
#[derive(Default)]
struct Flight {
    lanes: Vec<i64>,
    rows: Vec<Waiting>,
    deliveries: Vec<(i64, DeliveryFuture, tracing::Span)>,
    /// Which reading these rows were found by; see [`Work::read_again`].
    reading: u64,
}

impl Relay {
    pub(crate) fn new(bus: &Bus, kafka: Arc<Kafka>, db: Db) -> Self {
        Self { bus: bus.clone(), kafka, db }
    }

    /// Publishes until `stop`.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let stop: Stop<'_> = stop.boxed().shared();
        let mut at_work = Work::new(&self, stop.clone());
        let retry = Retry { most: Duration::from_secs(5), ..Retry::default() };
        let mut failures = 0;
        while stop.clone().now_or_never().is_none() {
            // A database that is away must not hold up the end.
            let patience = stop.clone().then(|()| tokio::time::sleep(FAREWELL));
            let round = tokio::select! {
                round = at_work.round() => round,
                () = patience => break,
            };
            match round {
                Ok(Round::Went) => failures = 0,
                Ok(Round::Idle) => {
                    failures = 0;
                    at_work.wait().await;
                }
                Err(error) => {
                    failures += 1;
                    // A database that crashed may have forgotten what was deleted last.
                    at_work.read_again();
                    let why = error.to_string();
                    counter!("agon_outbox_failures_total", "service" => self.db.service().to_owned())
                        .increment(1);
                    if self.bus.shared.relays.stopped(self.db.service(), &why) {
                        tracing::warn!(service = self.db.service(), %error, "events cannot be published");
                    }
                    let pause = retry.pause(failures, rand::random());
                    tokio::time::timeout(pause, stop.clone()).await.ok();
                    continue;
                }
            }
            self.bus.shared.relays.goes_on(self.db.service());
        }
        at_work.end().await;
    }
}

/// A relay at work.
struct Work<'a> {
    relay: &'a Relay,
    stop: Stop<'a>,
    lanes: Lanes,
    producer: Option<FutureProducer>,
    flight: Option<Flight>,
    landed: Published,
    announcements: Option<Announcements>,
    appended: tokio::sync::watch::Receiver<u64>,
    announced: Instant,
    /// Something was appended that was not announced yet.
    news: bool,
    floor: super::floor::Floor,
    presence: Presence,
    reading: u64,
    /// Keys with an event that can never be published.
    refused: HashSet<(String, Uuid)>,
}

impl<'a> Work<'a> {
    fn new(relay: &'a Relay, stop: Stop<'a>) -> Self {
        Self {
            relay,
            stop,
            lanes: Lanes::new(&relay.db),
            producer: None,
            flight: None,
            landed: Published::default(),
            announcements: None,
            appended: relay.db.appended(),
            announced: Instant::now(),
            news: false,
            floor: super::floor::Floor::default(),
            presence: Presence::default(),
            reading: 0,
            refused: HashSet::new(),
        }
    }

    fn db(&self) -> &'a Db {
        &self.relay.db
    }

    async fn round(&mut self) -> Result<Round, Error> {
        if self.lanes.is_due() {
            self.tend().await?;
        }
        if self.announcements.is_none() {
            self.announcements = self.db().announcements(OUTBOX).await.ok();
        }
        self.news |= self.appended.has_changed().unwrap_or(false);
        self.appended.borrow_and_update();
        self.news &= !self.lanes.are_all_ours();
        if self.news && self.announced.elapsed() >= COALESCE {
            (self.news, self.announced) = (false, Instant::now());
            self.db().announce(OUTBOX).await?;
        }
        let lanes = self.lanes.ours();
        if lanes.is_empty() {
            self.measure(&[]);
            return Ok(Round::Idle);
        }
        if self.presence.look_again() || self.floor.is_old() {
            self.read_again();
        }
        if self.flight.is_some() {
            self.floor.advance(&self.relay.db).await?;
        }
        // It takes a producer a while to be ready.
        drop(self.producer()?);
        // What comes next is read while the broker takes what went before, and goes when it has.
        let flight = self.flight.take().unwrap_or_default();
        let (db, floor, gone) = (self.db().clone(), self.floor.get(), self.landed.clone());
        let under_way = flight.deliveries.iter().map(|(id, ..)| id).chain(&gone.ids).copied();
        let under_way: Vec<i64> = under_way.filter(|id| *id > floor).collect();
        let reading = self.reading;
        let absent = self.presence.absent().iter().cloned().collect();
        let held = !self.refused.is_empty();
        let except = Except { floor, under_way: &under_way, absent, held };
        let (rows, deleted, landed) = tokio::join!(
            waiting::read(&db, &lanes, except),
            waiting::delete(&db, &gone.ids),
            self.land(flight),
        );
        if let Ok(transaction) = &deleted {
            self.forget(&gone, *transaction);
        }
        if !landed? {
            return Ok(Round::Idle);
        }
        deleted?;
        self.send(rows?, Flight { lanes, reading, ..Flight::default() }).await?;
        let last = self.flight.is_none();
        if last {
            let gone = self.landed.clone();
            let transaction = waiting::delete(&db, &gone.ids).await?;
            self.forget(&gone, transaction);
            // While nobody waits for it.
            self.floor.advance(&self.relay.db).await?;
        }
        Ok(if last { Round::Idle } else { Round::Went })
    }

    /// Looks after the lanes, and whether what some keys waited for has come.
    async fn tend(&mut self) -> Result<(), Error> {
        let others = self.lanes.tend(&self.relay.db).await?;
        let ours = self.lanes.ours();
        if self.flight.as_ref().is_some_and(|f| f.lanes.iter().any(|lane| !ours.contains(lane))) {
            self.forget_producer();
        }
        let before = std::mem::take(&mut self.refused);
        self.refused = waiting::refused(self.db()).await?;
        let mended = before.iter().any(|key| !self.refused.contains(key));
        // What is in other lanes is not known, and what waited was passed.
        if others || mended {
            self.read_again();
        }
        self.gauge_refused();
        Ok(())
    }

    /// Reads everything from the start, also what is before rows that are under way.
    fn read_again(&mut self) {
        self.floor.reset();
        self.reading += 1;
    }

    fn show_absent(&self) {
        self.relay.bus.shared.relays.absent(self.db().service(), &self.presence.lasting());
    }

    /// After what had landed was deleted.
    fn forget(&mut self, gone: &Published, transaction: Option<i64>) {
        self.landed.ids.drain(..gone.ids.len());
        if let (Some((place, reading)), Some(transaction)) = (gone.whole_to, transaction)
            && reading == self.reading
        {
            self.floor.note(place, transaction);
        }
    }

    /// Hands rows to the producer, in order.
    async fn send(&mut self, mut rows: Vec<Waiting>, mut flight: Flight) -> Result<(), Error> {
        self.measure(&rows);
        let producer = self.producer()?;
        let topics: BTreeSet<&str> = rows.iter().map(|(.., topic)| topic.as_str()).collect();
        let mut missing = false;
        for topic in topics {
            missing |= !self.presence.look(topic, &self.relay.kafka.name(topic), &producer).await?;
        }
        if missing {
            rows.retain(|(.., topic)| !self.presence.absent().contains(topic));
        }
        self.show_absent();
        let source = format!("/agon/{}", self.db().service());
        let (mut refusals, mut names) = (Vec::new(), HashMap::new());
        for (id, row, topic) in &rows {
            if !self.refused.is_empty() && self.refused.contains(&(topic.clone(), row.aggregate_id))
            {
                continue;
            }
            let name = names.entry(topic.as_str()).or_insert_with(|| self.relay.kafka.name(topic));
            let mut key = Uuid::encode_buffer();
            let key = &*row.aggregate_id.hyphenated().encode_lower(&mut key);
            let record = FutureRecord::to(name)
                .key(key)
                .payload(&row.data)
                .headers(message::headers(row, key, &source));
            match producer.send_result(record) {
                Ok(delivery) => {
                    flight.deliveries.push((*id, delivery, message::span(row, topic)));
                }
                // What is under way comes first.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => break,
                Err((error, _)) if message::is_hopeless(&error) => {
                    self.refused.insert((topic.clone(), row.aggregate_id));
                    refusals.push((*id, error.to_string()));
                }
                Err((error, _)) => {
                    self.forget_producer();
                    return Err(Error::Kafka(error.to_string()));
                }
            }
        }
        for (id, why) in refusals {
            self.refuse(id, &why, &rows).await?;
        }
        self.floor.sent(flight.deliveries.iter().map(|(id, ..)| *id));
        flight.rows = rows;
        self.flight = Some(flight).filter(|flight| !flight.deliveries.is_empty());
        Ok(())
    }

    /// Waits until the broker has what it was given; false when the lanes went to others meanwhile.
    async fn land(&mut self, flight: Flight) -> Result<bool, Error> {
        let Flight { lanes, rows, deliveries, reading } = flight;
        let deliveries = async {
            let (mut published, mut refused, mut failed) = (Vec::new(), Vec::new(), None);
            for (id, delivery, span) in deliveries {
                let why = match delivery.await {
                    Ok(Ok(_)) => {
                        published.push(id);
                        continue;
                    }
                    Ok(Err((error, _))) if message::is_hopeless(&error) => {
                        refused.push((id, error.to_string()));
                        "the broker refused the event"
                    }
                    Ok(Err((error, _))) => {
                        failed = Some(error.to_string());
                        "the broker did not take the event"
                    }
                    Err(_) => {
                        failed = Some("the producer is gone".to_owned());
                        "the producer is gone"
                    }
                };
                span.record("otel.status_description", why);
            }
            (published, refused, failed)
        };
        let landed = self.while_ours(&lanes, deliveries).await?;
        let Some((published, refused, failed)) = landed else { return Ok(false) };
        let whole = published.len() == rows.len();
        let last = rows.last().filter(|_| whole).map(|(last, ..)| *last);
        self.landed.whole_to = last.map(|last| (last, reading));
        self.landed.ids.extend(published);
        for (id, why) in refused {
            self.refuse(id, &why, &rows).await?;
        }
        if let Some(why) = failed {
            // Behind a failure nothing more of this producer may come.
            self.forget_producer();
            return Err(Error::Kafka(why));
        }
        Ok(true)
    }

    /// Waits for something as long as our lanes stay ours; `None` when they did not, or when it is time to stop.
    async fn while_ours<T>(
        &mut self,
        lanes: &[i64],
        waited: impl Future<Output = T> + Send,
    ) -> Result<Option<T>, Error> {
        let mut waited = std::pin::pin!(waited);
        let started = Instant::now();
        loop {
            let due = self.lanes.due();
            tokio::select! {
                done = &mut waited => return Ok(Some(done)),
                () = self.stop.clone() => {
                    self.forget_producer();
                    return Ok(None);
                }
                () = tokio::time::sleep_until(due) => {
                    let service = self.relay.db.service();
                    if started.elapsed() > SLOW
                        && self.relay.bus.shared.relays.stopped(service, "Kafka does not answer")
                    {
                        tracing::warn!(service, "Kafka does not answer; events wait in the outbox");
                    }
                    let tended = self.lanes.tend(&self.relay.db).await;
                    if matches!(tended, Ok(true)) {
                        self.read_again();
                    }
                    let ours = self.lanes.ours();
                    if tended.is_err() && lanes.iter().all(|lane| ours.contains(lane)) {
                        // Still ours for a while; the database may come back.
                        tokio::time::sleep(COALESCE).await;
                    } else if lanes.iter().any(|lane| !ours.contains(lane)) {
                        self.forget_producer();
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn producer(&mut self) -> Result<FutureProducer, Error> {
        if let Some(producer) = &self.producer
            && producer.client().fatal_error().is_none()
        {
            return Ok(producer.clone());
        }
        self.forget_producer();
        let made: FutureProducer = self
            .relay
            .kafka
            .client()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            // What is read together goes together; waiting for more would only be late.
            .set("linger.ms", "0")
            // The relay gives up when a lane is no longer its own, and not before: a message that was given up
            // alone would be overtaken by the next of its key.
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.messages", "10000")
            .set("queue.buffering.max.kbytes", "65536")
            .create()?;
        self.producer = Some(made.clone());
        Ok(made)
    }

    /// Drops the producer with all that it has not published.
    fn forget_producer(&mut self) {
        self.flight = None;
        self.floor.forget_sent();
        self.presence.forget();
        if let Some(producer) = self.producer.take() {
            // Takes a moment.
            tokio::task::spawn_blocking(move || {
                producer.purge(PurgeConfig::default().queue().inflight());
                drop(producer);
            });
        }
    }

    async fn refuse(&mut self, id: i64, why: &str, rows: &[Waiting]) -> Result<(), Error> {
        if let Some((_, row, topic)) = rows.iter().find(|(row, ..)| *row == id) {
            let (event_id, key) = (row.event_id, row.aggregate_id);
            tracing::error!(topic, %event_id, %key, why, "an event can never be published; its key waits");
            self.refused.insert((topic.clone(), row.aggregate_id));
        }
        self.gauge_refused();
        let refusing = self.db().transact(|mut tx| async move {
            let query = tx.query("UPDATE outbox SET refusal = $1 WHERE id = $2");
            query.bind(why).bind(id).execute().await
        });
        refusing.await.map(drop).map_err(Error::from)
    }

    fn measure(&self, rows: &[Waiting]) {
        let now = self.db().clock().now();
        let age = rows.first().map_or(0, |(_, row, _)| (now - row.occurred_at).num_milliseconds());
        let service = self.db().service().to_owned();
        #[expect(clippy::cast_precision_loss, reason = "gauges")]
        {
            // What the relay has seen: of a long queue not the whole.
            gauge!("agon_outbox_rows", "service" => service.clone()).set(rows.len() as f64);
            gauge!("agon_outbox_oldest_seconds", "service" => service)
                .set(age.max(0) as f64 / 1000.0);
        }
    }

    fn gauge_refused(&self) {
        let service = self.db().service().to_owned();
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        gauge!("agon_outbox_refused_keys", "service" => service).set(self.refused.len() as f64);
        self.relay.bus.shared.relays.refused(self.db().service(), self.refused.len());
    }

    /// Waits for an append, here or elsewhere, or for the time to look after the lanes.
    async fn wait(&mut self) {
        let poll = if self.announcements.is_some() { POLL_LISTENING } else { POLL };
        let mut until = (Instant::now() + poll).min(self.lanes.due());
        if self.news {
            until = until.min(self.announced + COALESCE);
        }
        let announced = match &mut self.announcements {
            Some(announcements) => announcements.next().boxed(),
            None => std::future::pending().boxed(),
        };
        tokio::select! {
            _ = self.appended.changed() => self.appended.mark_changed(),
            heard = announced => if heard.is_err() {
                self.announcements = None;
            },
            () = self.stop.clone() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    async fn end(mut self) {
        let db = &self.relay.db;
        let tidy = async {
            waiting::delete(db, &self.landed.ids).await.ok();
            self.lanes.release(db).await;
        };
        tokio::time::timeout(FAREWELL, tidy).await.ok();
        self.forget_producer();
    }
}
