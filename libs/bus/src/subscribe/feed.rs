//! One subscription: reads the logs from its places on, for as long as the subscriber listens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use db::Db;
use futures_util::future::select_all;
use futures_util::{FutureExt as _, Stream, stream};
use proto::event::{SubscribeRequest, SubscribeResponse};
use rpc::{PageKey, page};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::cursor::{self, Places};
use super::filter::Filter;
use super::{message, unavailable};
use crate::kafka::{Reader, offset};
use crate::{Bus, Log, Topic, log};

/// Events read at once, per topic.
const READ: i64 = 100;
/// Responses made before the subscriber has taken them.
const AHEAD: usize = 16;
/// Another process may append without this one noticing.
const POLL: Duration = Duration::from_millis(500);

pub(super) struct Feed {
    tables: Vec<(Topic, Db)>,
    reader: Option<Reader>,
    filter: Filter,
    key: Arc<PageKey>,
    digest: page::ArgsDigest,
    places: Places,
    appended: Vec<watch::Receiver<u64>>,
    closing: watch::Receiver<bool>,
    ready: VecDeque<SubscribeResponse>,
    heartbeat: Duration,
    sign_due: Instant,
}

impl Feed {
    pub async fn open(
        bus: &Bus,
        key: Arc<PageKey>,
        filter: Filter,
        request: &SubscribeRequest,
        heartbeat: Duration,
    ) -> Result<Self, Status> {
        let (mut tables, mut on_kafka, mut cluster) = (Vec::new(), Vec::new(), None);
        for topic in &filter.topics {
            match bus.shared.topics.get(topic.name) {
                Some((topic, Log::Table(db))) => tables.push((*topic, db.clone())),
                Some((topic, Log::Kafka(kafka))) => {
                    on_kafka.push(*topic);
                    cluster = Some(kafka);
                }
                None => {}
            }
        }
        let mut places = cursor::read(&key, &filter.topics, &request.cursor)?;
        if request.cursor.is_empty() && !request.from_start {
            for (topic, db) in &tables {
                let last = log::last(db, topic.name).await.map_err(|e| unavailable(&e.into()))?;
                places.insert(topic.name.to_owned(), last.map_or(0, |(log_id, _)| log_id));
            }
        }
        let reader = match cluster {
            None => None,
            Some(kafka) => {
                // A partition that the cursor does not know is a new one, and read whole.
                let whole = request.from_start || !request.cursor.is_empty();
                let opened = Reader::open(kafka, &on_kafka, &mut places, whole).await;
                Some(opened.map_err(|error| unavailable(&error))?)
            }
        };
        let mut logs: Vec<&Db> = Vec::new();
        for (_, db) in &tables {
            if !logs.iter().any(|known| known.is_same(db)) {
                logs.push(db);
            }
        }
        let appended = logs.into_iter().map(Db::appended).collect();
        let digest = cursor::digest(&filter.topics);
        let closing = bus.shared.closing.subscribe();
        let feed = Self {
            tables,
            reader,
            filter,
            key,
            digest,
            places,
            appended,
            closing,
            ready: VecDeque::new(),
            heartbeat,
            sign_due: Instant::now() + heartbeat,
        };
        Ok(feed)
    }

    /// The responses. They are made in a task of their own: a subscriber that does not read must not freeze a query, and
    /// with it a connection of the pool, in the middle.
    pub fn stream(mut self) -> impl Stream<Item = Result<SubscribeResponse, Status>> + Send {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let feeding = async move {
            loop {
                let next = tokio::select! {
                    next = self.next() => next,
                    () = sender.closed() => return,
                };
                let ended = next.is_err();
                if sender.send(next).await.is_err() || ended {
                    return;
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "ends with its subscriber or with the bus")]
        tokio::spawn(feeding.in_current_span());
        stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|next| (next, receiver))
        })
    }

    /// The next response; nothing comes behind an error.
    async fn next(&mut self) -> Result<SubscribeResponse, Status> {
        loop {
            if *self.closing.borrow_and_update() {
                let message = "the server stops; subscribe again with the last cursor";
                let after = Duration::from_secs(1);
                return Err(rpc::status::retry(Code::Unavailable, "STOPPING", message, after));
            }
            if let Some(response) = self.ready.pop_front() {
                self.sign_due = Instant::now() + self.heartbeat;
                return Ok(response);
            }
            match self.read().await {
                Err(error) => return Err(unavailable(&error.into())),
                Ok(true) => {}
                Ok(false) if Instant::now() >= self.sign_due => {
                    self.sign_due = Instant::now() + self.heartbeat;
                    return Ok(self.sign_of_life());
                }
                Ok(false) => self.wait().await,
            }
        }
    }

    /// Reads on in every topic; false when there was nothing new in any.
    async fn read(&mut self) -> db::Result<bool> {
        for appended in &mut self.appended {
            appended.borrow_and_update();
        }
        let mut any = false;
        for (topic, db) in &self.tables {
            let from = self.places.get(topic.name).copied().unwrap_or(0) + 1;
            for event in log::read(db, topic, from, READ).await? {
                any = true;
                self.places.insert(topic.name.to_owned(), event.log_id);
                if let Some(seen) = self.filter.project(topic, event) {
                    let cursor = self.key.token(&self.digest, &self.places);
                    let event = Some(message(&seen));
                    self.ready.push_back(SubscribeResponse { event, cursor });
                }
            }
        }
        let mut read = 0;
        while let Some((place, event)) = self.reader.as_mut().and_then(Reader::next) {
            any = true;
            self.places.insert(place, offset(event.log_id));
            let topic = self.filter.topics.iter().find(|topic| topic.name == event.topic).copied();
            if let Some(seen) = topic.and_then(|topic| self.filter.project(&topic, event)) {
                let cursor = self.key.token(&self.digest, &self.places);
                let event = Some(message(&seen));
                self.ready.push_back(SubscribeResponse { event, cursor });
            }
            read += 1;
            if read >= READ {
                break;
            }
        }
        Ok(any)
    }

    /// Its cursor also passes events that the subscriber may not see.
    fn sign_of_life(&self) -> SubscribeResponse {
        SubscribeResponse { event: None, cursor: self.key.token(&self.digest, &self.places) }
    }

    async fn wait(&mut self) {
        let until = match self.tables.is_empty() {
            true => self.sign_due,
            false => self.sign_due.min(Instant::now() + POLL),
        };
        let appended = self.appended.iter_mut().map(|log| log.changed().map(drop).boxed());
        let closing = self.closing.changed().map(drop).boxed();
        let reading = self.reader.as_mut().map(|reader| reader.wait().boxed());
        let any = select_all(appended.chain([closing]).chain(reading));
        let _ = tokio::time::timeout_at(until, any).await;
    }
}
