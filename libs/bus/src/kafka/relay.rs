//! The relay: reads an outbox in the order of ids, publishes the rows, and deletes those that the broker has
//! acknowledged.
//!
//! Every process of a service runs a relay; leases divide the lanes among them. A relay that lost a lease without
//! noticing (its process was suspended) can only publish duplicates.

mod delivery;

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use db::{Announcements, Db};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ids::Uuid;
use metrics::{counter, gauge};
use tokio::time::Instant;

use super::Kafka;
use super::known_topics::KnownTopics;
use super::lane_leases::LaneLeases;
use super::lower_bound::LowerBound;
use super::outbox_rows::{self, Exclude, Published};
use super::producer::Producer;
use crate::health::RelayHealth;
use crate::log::TopicRow;
use crate::{Error, Retry, Stop};
use delivery::Batch;

/// How often to poll without announcements of the database.
const POLL: Duration = Duration::from_millis(250);
/// How often to poll with them.
const POLL_LISTENING: Duration = Duration::from_secs(1);
/// How long stopping may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// The shortest time between two announcements.
const COALESCE: Duration = Duration::from_millis(10);
/// How often to probe during an outage; also the timeout of a probe.
const PROBE: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The channel of the announcements.
const CHANNEL: &str = "outbox";

/// Publishes the outbox of one service's database.
pub struct Relay {
    kafka: Arc<Kafka>,
    db: Db,
    health: Arc<RelayHealth>,
}

enum Round {
    Idle,
    /// Rows are in flight.
    Published,
}

impl Relay {
    pub(crate) fn new(kafka: Arc<Kafka>, db: Db, health: Arc<RelayHealth>) -> Self {
        Self { kafka, db, health }
    }

    /// Publishes until `stop`.
    pub fn run<'a>(self, stop: impl Future<Output = ()> + Send + 'a) -> BoxFuture<'a, ()> {
        self.run_until(stop.boxed())
    }

    fn run_until(self, stop: BoxFuture<'_, ()>) -> BoxFuture<'_, ()> {
        async move { self.publish(stop.shared()).await }.boxed()
    }

    async fn publish<'a>(&'a self, stop: Stop<'a>) {
        let mut publisher = Publisher::new(self, stop.clone());
        let retry = Retry { max: MAX_RETRY_DELAY, ..Retry::default() };
        let service = self.db.service();
        let mut failures = 0;
        while stop.clone().now_or_never().is_none() {
            // An unresponsive database must not delay the stop.
            let stop_timeout = stop.clone().then(|()| tokio::time::sleep(STOP_TIMEOUT));
            let round = tokio::select! {
                round = publisher.round() => round,
                () = stop_timeout => break,
            };
            match round {
                Ok(Round::Published) => failures = 0,
                Ok(Round::Idle) => {
                    failures = 0;
                    publisher.wait().await;
                }
                Err(error) => {
                    failures += 1;
                    // A database that crashed may have lost the last deletions.
                    publisher.rescan();
                    counter!("agon_outbox_failures_total", "service" => service.to_owned())
                        .increment(1);
                    if self.health.set_error(service, &error.to_string()) {
                        tracing::warn!(service, %error, "publishing events failed, retrying");
                    }
                    let delay = retry.delay(failures, rand::random());
                    tokio::time::timeout(delay, stop.clone()).await.ok();
                    continue;
                }
            }
            self.health.clear_error(service);
        }
        publisher.stop().await;
    }
}

struct Publisher<'a> {
    relay: &'a Relay,
    stop: Stop<'a>,
    leases: LaneLeases,
    producer: Option<Producer>,
    /// When the last probe for the end of an outage was started.
    probed: Instant,
    in_flight: Option<Batch>,
    published: Published,
    announcements: Option<Announcements>,
    appended: tokio::sync::watch::Receiver<u64>,
    announced: Instant,
    /// An append has not been announced to the other relays yet.
    announce: bool,
    bound: LowerBound,
    topics: KnownTopics,
    /// The number of the current scan; rises when reading restarts from the first row.
    scan: u64,
    /// Keys with an event that can never be published.
    refused: HashSet<(String, Uuid)>,
}

impl<'a> Publisher<'a> {
    fn new(relay: &'a Relay, stop: Stop<'a>) -> Self {
        Self {
            relay,
            stop,
            leases: LaneLeases::new(&relay.db),
            producer: None,
            probed: Instant::now(),
            in_flight: None,
            published: Published::default(),
            announcements: None,
            appended: relay.db.appended(),
            announced: Instant::now(),
            announce: false,
            bound: LowerBound::default(),
            topics: KnownTopics::default(),
            scan: 0,
            refused: HashSet::new(),
        }
    }

    fn db(&self) -> &'a Db {
        &self.relay.db
    }

    async fn round(&mut self) -> Result<Round, Error> {
        if Instant::now() >= self.leases.due {
            self.renew_leases().await?;
        }
        self.announce_appends().await?;
        self.probe()?;
        let lanes = self.leases.held();
        if lanes.is_empty() {
            self.measure(&[]);
            return Ok(Round::Idle);
        }
        if self.topics.recheck() || self.bound.is_full_scan_due() {
            self.rescan();
        }
        if self.in_flight.is_some() {
            self.bound.advance(self.db()).await?;
        }
        // Start connecting while the rows are read.
        drop(self.producer()?);
        self.publish(lanes).await
    }

    /// Checks in the background whether an outage has ended, because clients do not report it.
    fn probe(&mut self) -> Result<(), Error> {
        let outage = &self.relay.kafka.outage;
        if outage.is_on() && self.probed.elapsed() >= PROBE {
            self.probed = Instant::now();
            let (producer, outage) = (self.producer()?, outage.clone());
            tokio::task::spawn_blocking(move || {
                if producer.client().fetch_metadata(None, PROBE).is_ok() {
                    outage.end();
                }
            });
        }
        Ok(())
    }

    /// Reads the next rows while the broker receives the previous ones, and sends them afterwards.
    async fn publish(&mut self, lanes: Vec<i64>) -> Result<Round, Error> {
        let batch = self.in_flight.take().unwrap_or_default();
        let (db, up_to, published) = (self.db(), self.bound.get(), self.published.clone());
        let in_flight = batch.ids().chain(published.ids.iter().copied());
        let in_flight: Vec<i64> = in_flight.filter(|id| *id > up_to).collect();
        let scan = self.scan;
        let topics = self.topics.missing.iter().cloned().collect();
        let refused_keys = !self.refused.is_empty();
        let exclude = Exclude { up_to, in_flight: &in_flight, topics, refused_keys };
        let (rows, deleted, delivered) = tokio::join!(
            outbox_rows::read(db, &lanes, exclude),
            outbox_rows::delete(db, &published.ids),
            self.await_delivery(batch),
        );
        if let Ok(transaction) = &deleted {
            self.deleted(&published, *transaction);
        }
        if !delivered? {
            return Ok(Round::Idle);
        }
        deleted?;
        self.send(rows?, Batch::new(lanes, scan)).await?;
        if self.in_flight.is_some() {
            return Ok(Round::Published);
        }
        let published = self.published.clone();
        let transaction = outbox_rows::delete(db, &published.ids).await?;
        self.deleted(&published, transaction);
        self.bound.advance(db).await?;
        Ok(Round::Idle)
    }

    /// Tells the relays that hold the other lanes about appends in this process.
    async fn announce_appends(&mut self) -> Result<(), Error> {
        if self.announcements.is_none() {
            self.announcements = self.db().announcements(CHANNEL).await.ok();
        }
        self.announce |= self.appended.has_changed().unwrap_or(false);
        self.appended.borrow_and_update();
        self.announce &= !self.leases.holds_all();
        if self.announce && self.announced.elapsed() >= COALESCE {
            (self.announce, self.announced) = (false, Instant::now());
            self.db().announce(CHANNEL).await?;
        }
        Ok(())
    }

    /// Renews the leases, and checks whether refused events have been fixed.
    async fn renew_leases(&mut self) -> Result<(), Error> {
        let lanes_changed = self.leases.renew(self.db()).await?;
        let held = self.leases.held();
        if self.in_flight.as_ref().is_some_and(|batch| !batch.is_covered_by(&held)) {
            self.drop_producer();
        }
        let before = std::mem::take(&mut self.refused);
        self.refused = outbox_rows::refused_keys(self.db()).await?;
        let fixed = before.iter().any(|key| !self.refused.contains(key));
        // The bound does not cover new lanes, and has passed the rows of blocked keys.
        if lanes_changed || fixed {
            self.rescan();
        }
        self.report_refused();
        Ok(())
    }

    fn rescan(&mut self) {
        self.bound.reset();
        self.scan += 1;
    }

    /// Updates the bound after published rows were deleted.
    fn deleted(&mut self, published: &Published, transaction: Option<i64>) {
        self.published.ids.drain(..published.ids.len());
        if let (Some((id, scan)), Some(transaction)) = (published.complete_to, transaction)
            && scan == self.scan
        {
            self.bound.published(id, transaction);
        }
    }

    /// Records the size of the queue, as far as it was read.
    fn measure(&self, rows: &[TopicRow]) {
        let now = self.db().clock().now();
        let age = rows.first().map_or(0, |first| (now - first.row.occurred_at).num_milliseconds());
        let service = self.db().service().to_owned();
        #[expect(clippy::cast_precision_loss, reason = "gauges")]
        {
            gauge!("agon_outbox_rows", "service" => service.clone()).set(rows.len() as f64);
            gauge!("agon_outbox_oldest_seconds", "service" => service)
                .set(age.max(0) as f64 / 1000.0);
        }
    }

    fn report_refused(&self) {
        let service = self.db().service();
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        gauge!("agon_outbox_refused_keys", "service" => service.to_owned())
            .set(self.refused.len() as f64);
        self.relay.health.set_refused_keys(service, self.refused.len());
    }

    /// Waits for an append in any process, for the next renewal of the leases, or for the stop.
    async fn wait(&mut self) {
        let poll = if self.announcements.is_some() { POLL_LISTENING } else { POLL };
        let mut until = (Instant::now() + poll).min(self.leases.due);
        if self.announce {
            until = until.min(self.announced + COALESCE);
        }
        let announced = match &mut self.announcements {
            Some(announcements) => announcements.next().boxed(),
            None => std::future::pending().boxed(),
        };
        tokio::select! {
            _ = self.appended.changed() => self.appended.mark_changed(),
            received = announced => if received.is_err() {
                self.announcements = None;
            },
            () = self.stop.clone() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    async fn stop(mut self) {
        let db = self.db();
        let clean_up = async {
            outbox_rows::delete(db, &self.published.ids).await.ok();
            self.leases.release(db).await;
        };
        tokio::time::timeout(STOP_TIMEOUT, clean_up).await.ok();
        self.drop_producer();
    }
}
