//! Background task that connects to the server and reconnects with backoff.
//!
//! There are two connections, one for requests and one for subscriptions. Both are replaced together, so that the server
//! knows all subscribed channels whenever the link is up.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, future};
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use redis::{AsyncConnectionConfig, Client, RedisResult, Value};
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};

use super::link::{Link, State};
use crate::channels::{Change, Channels};

const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// After a connection that lasted longer, the next attempt is immediate.
const STABLE: Duration = Duration::from_secs(10);
/// The timeout of connecting and of a ping.
const TIMEOUT: Duration = Duration::from_secs(5);
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Messages or changes per round trip.
const BATCH: usize = 256;

/// Length of the sender's id, which every message starts with.
const SENDER: usize = 16;

pub struct Message {
    pub channel: Box<str>,
    pub message: Bytes,
}

pub struct Connector {
    pub client: Client,
    pub link: Arc<Link>,
    pub channels: Channels,
    pub changes: mpsc::UnboundedReceiver<Change>,
    pub messages: mpsc::Receiver<Message>,
    /// Id of this process, by which it ignores its own messages.
    pub sender: [u8; SENDER],
    pub prefix: Box<str>,
}

struct Connection {
    requests: MultiplexedConnection,
    sink: PubSubSink,
    stream: PubSubStream,
}

impl Connector {
    /// Runs until the task is aborted.
    pub async fn run(mut self) {
        let mut backoff = MIN_BACKOFF;
        // The last error that was logged; each is logged once.
        let mut logged = None;
        loop {
            let error = match self.connect().await {
                Ok(connection) => {
                    tracing::info!("connected to redis");
                    logged = None;
                    let since = Instant::now();
                    self.link.reset_warning();
                    let Err(error) = self.serve(connection).await;
                    if since.elapsed() > STABLE {
                        tracing::warn!(error, "redis connection lost, reconnecting");
                        backoff = MIN_BACKOFF;
                        self.link.set(State::Connecting);
                        while self.messages.try_recv().is_ok() {}
                        continue;
                    }
                    error
                }
                Err(error) => error,
            };
            self.link.set(State::Down);
            // Drop what is queued: it would be stale by the next connection, and no caller waits for it.
            while self.messages.try_recv().is_ok() {}
            while self.changes.try_recv().is_ok() {}
            if logged.as_ref() != Some(&error) {
                tracing::warn!(error, "redis unavailable, using local memory");
                logged = Some(error);
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    async fn connect(&self) -> Result<Connection, String> {
        let connecting = async {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None);
            let (mut requests, pubsub) = future::try_join(
                self.client.get_multiplexed_async_connection_with_config(&config),
                self.client.get_async_pubsub(),
            )
            .await?;
            ping(&mut requests).await?;
            let (sink, stream) = pubsub.split();
            Ok(Connection { requests, sink, stream })
        };
        let mut connecting = std::pin::pin!(timeout(TIMEOUT, connecting));
        let connected = match timeout(self.link.timeout, &mut connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                self.link.set(State::Down);
                connecting.await
            }
        };
        flatten(connected)
    }

    /// Uses a connection until it fails.
    async fn serve(&mut self, connection: Connection) -> Result<Infallible, String> {
        let Connection { requests, mut sink, stream } = connection;
        let Self { link, channels, changes, messages, sender, prefix, .. } = self;
        // These changes are contained in `channels.all()`, which is read after them.
        let mut applied = Vec::new();
        while let Ok(change) = changes.try_recv() {
            applied.push(change);
        }
        let subscribed: HashSet<_> = channels.all().into_iter().collect();
        if !subscribed.is_empty() {
            let names: Vec<_> = subscribed.iter().map(|channel| name(prefix, channel)).collect();
            flatten(timeout(TIMEOUT, sink.subscribe(names)).await)?;
        }
        link.set(State::Up(requests.clone()));
        confirm(&mut applied);
        tokio::select! {
            error = deliver(stream, channels, sender, prefix) => Err(error),
            error = sync_channels(sink.clone(), changes, channels, subscribed, prefix) => error,
            error = send(requests.clone(), messages, link, sender, prefix) => error,
            error = ping_regularly(requests, sink, link) => error,
        }
    }
}

/// Delivers messages of other processes to local subscribers; returns the error that ended the stream.
async fn deliver(
    mut stream: PubSubStream,
    channels: &Channels,
    sender: &[u8],
    prefix: &str,
) -> String {
    while let Some(message) = stream.next().await {
        let channel = message.get_channel_name().strip_prefix(prefix);
        let Some((from, text)) = message.get_payload_bytes().split_at_checked(SENDER) else {
            continue;
        };
        if let Some(channel) = channel
            && from != sender
        {
            channels.publish(channel, Bytes::copy_from_slice(text));
        }
    }
    "the connection was closed".into()
}

/// Subscribes on the server to the channels that have local subscribers, and unsubscribes from others.
async fn sync_channels(
    mut sink: PubSubSink,
    changes: &mut mpsc::UnboundedReceiver<Change>,
    channels: &Channels,
    mut subscribed: HashSet<Box<str>>,
    prefix: &str,
) -> Result<Infallible, String> {
    let mut batch = Vec::new();
    loop {
        if changes.recv_many(&mut batch, BATCH).await == 0 {
            // The cache was dropped, which aborts this task.
            future::pending::<()>().await;
        }
        // The current state of each channel counts; later changes of it follow in the queue.
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for channel in batch.iter().map(|change| &change.channel).collect::<HashSet<_>>() {
            if channels.has(channel) {
                if subscribed.insert(channel.clone()) {
                    added.push(name(prefix, channel));
                }
            } else if subscribed.remove(channel) {
                removed.push(name(prefix, channel));
            }
        }
        if !added.is_empty() {
            sink.subscribe(added).await.map_err(|e| e.to_string())?;
        }
        if !removed.is_empty() {
            sink.unsubscribe(removed).await.map_err(|e| e.to_string())?;
        }
        confirm(&mut batch);
    }
}

fn confirm(changes: &mut Vec<Change>) {
    for applied in changes.drain(..).filter_map(|change| change.applied) {
        let _ = applied.send(());
    }
}

async fn send(
    mut requests: MultiplexedConnection,
    messages: &mut mpsc::Receiver<Message>,
    link: &Link,
    sender: &[u8],
    prefix: &str,
) -> Result<Infallible, String> {
    let mut batch = Vec::new();
    loop {
        if messages.recv_many(&mut batch, BATCH).await == 0 {
            future::pending::<()>().await;
        }
        let mut pipe = redis::pipe();
        for Message { channel, message } in batch.drain(..) {
            let message = [sender, &message[..]].concat();
            pipe.cmd("PUBLISH").arg(name(prefix, &channel)).arg(message).ignore();
        }
        if let Err(error) = pipe.exec_async(&mut requests).await {
            link.request_failed(&error);
        }
    }
}

/// Pings the server at an interval and when a request timed out.
async fn ping_regularly(
    mut requests: MultiplexedConnection,
    mut sink: PubSubSink,
    link: &Link,
) -> Result<Infallible, String> {
    loop {
        let suspect = timeout(PING_INTERVAL, link.ping.notified()).await.is_ok();
        if suspect {
            link.set(State::Down);
        }
        let both = future::try_join(ping(&mut requests), sink.ping::<Value>());
        flatten(timeout(TIMEOUT, both).await)?;
        if suspect {
            link.set(State::Up(requests.clone()));
        }
    }
}

async fn ping(requests: &mut MultiplexedConnection) -> RedisResult<Value> {
    redis::cmd("PING").query_async(requests).await
}

fn name(prefix: &str, channel: &str) -> String {
    format!("{prefix}{channel}")
}

fn flatten<T>(result: Result<RedisResult<T>, Elapsed>) -> Result<T, String> {
    match result {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("timed out".into()),
    }
}
