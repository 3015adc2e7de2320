//! The life of the connections to the server: made in the background, again and again.
//!
//! Two of them, one for requests and one that listens, which live and die together: when a subscriber finds the link
//! up, its channel is followed.

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

/// The pause after a first failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// A connection that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// The longest time for making a connection, and for an answer to a ping.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time between pings of a silent connection.
const PING: Duration = Duration::from_secs(5);
/// How many messages or changes are handled at once.
const BATCH: usize = 256;

/// Bytes of what a message starts with, the sender.
const SENDER: usize = 16;

/// A message on its way to other processes.
pub struct Message {
    pub channel: Box<str>,
    pub message: Bytes,
}

/// What the background task works with.
pub struct Live {
    pub client: Client,
    pub link: Arc<Link>,
    /// The local listeners.
    pub channels: Channels,
    pub changes: mpsc::UnboundedReceiver<Change>,
    pub messages: mpsc::Receiver<Message>,
    /// What this process starts its messages with, to know them when they come back.
    pub sender: [u8; SENDER],
    /// What the names of the installation's channels start with.
    pub prefix: Box<str>,
}

struct Connection {
    requests: MultiplexedConnection,
    sink: PubSubSink,
    stream: PubSubStream,
}

impl Live {
    /// Connects, and again when the connection is lost, for ever.
    pub async fn run(mut self) {
        let mut pause = PAUSES.0;
        // What was said of the server's absence, to say it once.
        let mut said = None;
        loop {
            let why = match self.connect().await {
                Ok(connection) => {
                    tracing::info!("connected to Redis");
                    said = None;
                    let since = Instant::now();
                    self.link.renew();
                    let Err(why) = self.live(connection).await;
                    if since.elapsed() > GOOD {
                        tracing::warn!(why, "Redis was lost; connecting again");
                        pause = PAUSES.0;
                        self.link.set(State::Connecting);
                        while self.messages.try_recv().is_ok() {}
                        continue;
                    }
                    why
                }
                Err(why) => why,
            };
            self.link.set(State::Down);
            // Nobody waits now, and a later connection would find these stale.
            while self.messages.try_recv().is_ok() {}
            while self.changes.try_recv().is_ok() {}
            if said.as_ref() != Some(&why) {
                tracing::warn!(why, "Redis is away; this process does without it until it is back");
                said = Some(why);
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
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
        let mut connecting = std::pin::pin!(timeout(PATIENCE, connecting));
        let connected = match timeout(self.link.patience(), &mut connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                self.link.set(State::Down);
                connecting.await
            }
        };
        reason(connected)
    }

    /// Uses a connection until it is lost, and says why.
    async fn live(&mut self, connection: Connection) -> Result<Infallible, String> {
        let Connection { requests, mut sink, stream } = connection;
        let Self { link, channels, changes, messages, sender, prefix, .. } = self;
        // Changes up to here are in the list of all channels; later ones come behind in the queue.
        let mut waiting = Vec::new();
        while let Ok(change) = changes.try_recv() {
            waiting.push(change);
        }
        let followed: HashSet<_> = channels.all().into_iter().collect();
        if !followed.is_empty() {
            let names: Vec<_> = followed.iter().map(|channel| name(prefix, channel)).collect();
            reason(timeout(PATIENCE, sink.subscribe(names)).await)?;
        }
        link.set(State::Up(requests.clone()));
        answer(&mut waiting);
        tokio::select! {
            why = deliver(stream, channels, sender, prefix) => Err(why),
            why = follow(sink.clone(), changes, channels, followed, prefix) => why,
            why = send(requests.clone(), messages, link, sender, prefix) => why,
            why = watch(requests, sink, link) => why,
        }
    }
}

/// Gives the messages of other processes to the listeners of this one; says why there are no more.
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

/// Keeps the server's list of our channels equal to the list of those with listeners.
async fn follow(
    mut sink: PubSubSink,
    changes: &mut mpsc::UnboundedReceiver<Change>,
    channels: &Channels,
    mut followed: HashSet<Box<str>>,
    prefix: &str,
) -> Result<Infallible, String> {
    let mut batch = Vec::new();
    loop {
        if changes.recv_many(&mut batch, BATCH).await == 0 {
            // The cache is gone, and this task with it.
            future::pending::<()>().await;
        }
        // Each channel once, and as it is now: what changes from here on is told behind.
        let (mut come, mut gone) = (Vec::new(), Vec::new());
        for channel in batch.iter().map(|change| &change.channel).collect::<HashSet<_>>() {
            if channels.has(channel) {
                if followed.insert(channel.clone()) {
                    come.push(name(prefix, channel));
                }
            } else if followed.remove(channel) {
                gone.push(name(prefix, channel));
            }
        }
        if !come.is_empty() {
            sink.subscribe(come).await.map_err(|e| e.to_string())?;
        }
        if !gone.is_empty() {
            sink.unsubscribe(gone).await.map_err(|e| e.to_string())?;
        }
        answer(&mut batch);
    }
}

/// Tells those who wait for a change that it was followed.
fn answer(changes: &mut Vec<Change>) {
    for followed in changes.drain(..).filter_map(|change| change.followed) {
        let _ = followed.send(());
    }
}

/// Sends messages to other processes.
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
            link.failed(&error);
        }
    }
}

/// Asks the server whether it is there, now and then and when somebody doubts it.
async fn watch(
    mut requests: MultiplexedConnection,
    mut sink: PubSubSink,
    link: &Link,
) -> Result<Infallible, String> {
    loop {
        let doubted = timeout(PING, link.doubted()).await.is_ok();
        if doubted {
            link.set(State::Down);
        }
        let both = future::try_join(ping(&mut requests), sink.ping::<Value>());
        reason(timeout(PATIENCE, both).await)?;
        if doubted {
            link.set(State::Up(requests.clone()));
        }
    }
}

async fn ping(requests: &mut MultiplexedConnection) -> RedisResult<Value> {
    redis::cmd("PING").query_async(requests).await
}

/// The server's name of a channel.
fn name(prefix: &str, channel: &str) -> String {
    format!("{prefix}{channel}")
}

fn reason<T>(result: Result<RedisResult<T>, Elapsed>) -> Result<T, String> {
    match result {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("it does not answer".into()),
    }
}
