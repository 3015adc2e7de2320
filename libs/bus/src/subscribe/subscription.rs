//! One subscription: reads the logs from its cursor until the subscriber disconnects.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use db::Db;
use futures_util::future::select_all;
use futures_util::{FutureExt as _, Stream, stream};
use proto::event::{SubscribeRequest, SubscribeResponse};
use rpc::{PageKey, page, status};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::filter::Filter;
use super::{message, unavailable};
use crate::kafka::{Reader, offset_of};
use crate::{Bus, Log, Received, Topic, log};

/// Events of one read, per topic.
const READ: i64 = 100;
/// Responses buffered for the subscriber.
const BUFFER: usize = 16;
/// How often to poll, because another process may append.
const POLL: Duration = Duration::from_millis(500);

/// The last log id read of each topic; on Kafka, the last offset read of each `topic/partition`.
type Offsets = BTreeMap<String, i64>;

pub(super) struct Subscription {
    tables: Vec<(Topic, Db)>,
    reader: Option<Reader>,
    filter: Filter,
    key: Arc<PageKey>,
    digest: page::ArgsDigest,
    offsets: Offsets,
    appended: Vec<watch::Receiver<u64>>,
    closing: watch::Receiver<bool>,
    ready: VecDeque<SubscribeResponse>,
    heartbeat: Duration,
    heartbeat_due: Instant,
}

/// Notifications of appended events, one for each database.
fn appended(tables: &[(Topic, Db)]) -> Vec<watch::Receiver<u64>> {
    let mut logs: Vec<&Db> = Vec::new();
    for (_, db) in tables {
        if !logs.iter().any(|known| known.is_same(db)) {
            logs.push(db);
        }
    }
    logs.into_iter().map(Db::appended).collect()
}

impl Subscription {
    pub async fn open(
        bus: &Bus,
        key: Arc<PageKey>,
        filter: Filter,
        request: &SubscribeRequest,
        heartbeat: Duration,
    ) -> Result<Self, Status> {
        let (mut tables, mut on_kafka, mut cluster) = (Vec::new(), Vec::new(), None);
        let logs = filter.topics.iter().filter_map(|topic| bus.shared.topics.get(topic.name));
        for (topic, log) in logs {
            match log {
                Log::Table(db) => tables.push((*topic, db.clone())),
                Log::Kafka(kafka) => {
                    on_kafka.push(*topic);
                    cluster = Some(kafka);
                }
            }
        }
        let mut offsets = parse_cursor(&key, &filter.topics, &request.cursor)?;
        if request.cursor.is_empty() && !request.from_start {
            for (topic, db) in &tables {
                let last = log::last(db, topic.name).await.map_err(|e| unavailable(&e.into()))?;
                offsets.insert(topic.name.to_owned(), last.map_or(0, |(log_id, _)| log_id));
            }
        }
        let reader = match cluster {
            None => None,
            Some(kafka) => {
                // A partition that is not in the cursor is new: read it from its start.
                let from_start = request.from_start || !request.cursor.is_empty();
                let opened = Reader::open(kafka, &on_kafka, &mut offsets, from_start).await;
                Some(opened.map_err(|error| unavailable(&error))?)
            }
        };
        let appended = appended(&tables);
        let digest = digest(&filter.topics);
        let closing = bus.shared.closing.subscribe();
        Ok(Self {
            tables,
            reader,
            filter,
            key,
            digest,
            offsets,
            appended,
            closing,
            ready: VecDeque::new(),
            heartbeat,
            heartbeat_due: Instant::now() + heartbeat,
        })
    }

    /// The responses, produced in a separate task: a subscriber that does not read must not suspend a query, which
    /// holds a connection of the pool.
    pub fn stream(mut self) -> impl Stream<Item = Result<SubscribeResponse, Status>> + Send {
        let (sender, receiver) = mpsc::channel(BUFFER);
        let produce = async move {
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
        tokio::spawn(produce.in_current_span());
        stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|next| (next, receiver))
        })
    }

    /// The next response. An error ends the stream.
    async fn next(&mut self) -> Result<SubscribeResponse, Status> {
        loop {
            if *self.closing.borrow_and_update() {
                let text = "the server is stopping; subscribe again with the last cursor";
                let retry_after = Duration::from_secs(1);
                return Err(status::retry(Code::Unavailable, "SHUTTING_DOWN", text, retry_after));
            }
            if let Some(response) = self.ready.pop_front() {
                self.heartbeat_due = Instant::now() + self.heartbeat;
                return Ok(response);
            }
            match self.read().await {
                Err(error) => return Err(unavailable(&error.into())),
                Ok(true) => {}
                Ok(false) if Instant::now() >= self.heartbeat_due => {
                    self.heartbeat_due = Instant::now() + self.heartbeat;
                    return Ok(self.heartbeat_response());
                }
                Ok(false) => self.wait().await,
            }
        }
    }

    /// Reads the next events of every topic. Returns false if there were none.
    async fn read(&mut self) -> db::Result<bool> {
        for appended in &mut self.appended {
            appended.borrow_and_update();
        }
        let mut any = false;
        for (topic, db) in self.tables.clone() {
            let from = self.offsets.get(topic.name).copied().unwrap_or(0) + 1;
            for event in log::read(&db, &topic, from, READ).await? {
                any = true;
                self.push(topic.name.to_owned(), event.log_id, &topic, event);
            }
        }
        for _ in 0..READ {
            let Some((partition, event)) = self.reader.as_mut().and_then(Reader::next) else {
                break;
            };
            any = true;
            let topic = self.filter.topics.iter().find(|topic| topic.name == event.topic).copied();
            if let Some(topic) = topic {
                self.push(partition, offset_of(event.log_id), &topic, event);
            }
        }
        Ok(any)
    }

    /// Moves the cursor past an event, and adds a response if the subscriber may see the event.
    fn push(&mut self, source: String, offset: i64, topic: &Topic, event: Received) {
        self.offsets.insert(source, offset);
        if let Some(event) = self.filter.project(topic, event) {
            let cursor = self.key.token(&self.digest, &self.offsets);
            self.ready.push_back(SubscribeResponse { event: Some(message(&event)), cursor });
        }
    }

    /// Its cursor also covers events that the subscriber may not see.
    fn heartbeat_response(&self) -> SubscribeResponse {
        SubscribeResponse { event: None, cursor: self.key.token(&self.digest, &self.offsets) }
    }

    async fn wait(&mut self) {
        let until = match self.tables.is_empty() {
            true => self.heartbeat_due,
            false => self.heartbeat_due.min(Instant::now() + POLL),
        };
        let appended = self.appended.iter_mut().map(|log| log.changed().map(drop).boxed());
        let closing = self.closing.changed().map(drop).boxed();
        let received = self.reader.as_mut().map(|reader| reader.wait().boxed());
        let any = select_all(appended.chain([closing]).chain(received));
        let _ = tokio::time::timeout_at(until, any).await;
    }
}

/// A cursor is valid for one set of topics, because it has an offset for each of them. It is not secret: it grants no
/// access to events.
fn digest(topics: &[Topic]) -> page::ArgsDigest {
    let names: Vec<&[u8]> = topics.iter().map(|topic| topic.name.as_bytes()).collect();
    page::digest("agon.event.v1.EventService/Subscribe", &names)
}

fn parse_cursor(key: &PageKey, topics: &[Topic], cursor: &str) -> Result<Offsets, Status> {
    let offsets: Option<Offsets> = key.parse(&digest(topics), cursor).map_err(|_| {
        status::invalid_argument(
            "cursor",
            "is not a cursor of a subscription to these topics; send the cursor of an earlier response unchanged, \
             with the same topics",
        )
    })?;
    Ok(offsets.unwrap_or_default())
}
