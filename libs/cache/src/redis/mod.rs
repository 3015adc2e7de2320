//! The cache on a Redis server that several processes share.
//!
//! Every request has a short deadline, and the memory of this process takes over what the server does not answer.
//! Messages reach the listeners of this process at once and without the server; to other processes they go through
//! it, and what comes back from there is ignored.

mod link;
mod live;
mod scripts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ids::Clock;
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, IntoConnectionInfo};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::memory::Memory;
use crate::rate::{Bucket, Decision, Rate};
use crate::{Error, Limits, Subscription};
use link::Link;
use live::{Live, Message};

/// How long a caller waits for the server.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);
/// Messages on their way to the server; more are lost.
const QUEUE: usize = 1024;
/// Redis cannot add more to the time.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

pub(crate) struct Redis {
    prefix: Box<str>,
    memory: Memory,
    link: Arc<Link>,
    messages: mpsc::Sender<Message>,
    live: AbortHandle,
}

impl Redis {
    pub fn new(
        url: &str,
        prefix: &str,
        clock: Clock,
        limits: Limits,
        patience: Duration,
    ) -> Result<Self, Error> {
        let client = client(url)?;
        let sender = clock.new_id().into_bytes();
        let mut memory = Memory::new(clock, limits);
        let changes = memory.channels.follow();
        let (messages, queue) = mpsc::channel(QUEUE);
        let link = Arc::new(Link::new(patience));
        let live = Live {
            client,
            link: link.clone(),
            channels: memory.channels.clone(),
            changes,
            messages: queue,
            sender,
            prefix: format!("{prefix}/channel/").into(),
        };
        #[expect(clippy::disallowed_methods, reason = "ends with the cache")]
        let live = tokio::spawn(live.run()).abort_handle();
        Ok(Self { prefix: prefix.into(), memory, link, messages, live })
    }

    pub fn is_down(&self) -> bool {
        self.link.is_down()
    }

    pub async fn get(&self, key: &str) -> Option<Bytes> {
        let value: Option<Vec<u8>> = self.ask(redis::cmd("GET").arg(self.value(key))).await?;
        value.map(Bytes::from)
    }

    pub async fn set(&self, key: &str, value: &[u8], ttl: Duration) {
        let key = self.value(key);
        let _: Option<()> = match millis(ttl) {
            // Redis refuses a time to live of nothing.
            0 => self.ask(redis::cmd("DEL").arg(key)).await,
            ttl => self.ask(redis::cmd("SET").arg(key).arg(value).arg("PX").arg(ttl)).await,
        };
    }

    pub async fn delete(&self, key: &str) {
        self.memory.delete(key);
        let names = [self.value(key), self.counter(key)];
        let _: Option<()> = self.ask(redis::cmd("DEL").arg(&names)).await;
    }

    pub async fn increment(&self, key: &str, by: u32, ttl: Duration) -> u64 {
        let name = self.counter(key);
        let sum = self.link.ask(async |mut connection| {
            let mut script = scripts::INCREMENT.key(name);
            script.arg(by).arg(millis(ttl)).invoke_async(&mut connection).await
        });
        match sum.await {
            Some(sum) => sum,
            None => self.memory.increment(key, by, ttl),
        }
    }

    pub async fn count(&self, key: &str) -> u64 {
        let sum: Option<Option<u64>> = self.ask(redis::cmd("GET").arg(self.counter(key))).await;
        // The server may answer and yet have refused to count, for example when its memory is full.
        sum.flatten().unwrap_or(0).max(self.memory.count(key))
    }

    pub async fn rate(&self, key: &str, rate: Rate) -> Decision {
        let Some(bucket) = Bucket::of(rate) else { return Decision::never(rate) };
        let name = format!("{}/rate/{key}", self.prefix);
        let taken = self.link.ask(async |mut connection| {
            let mut script = scripts::TAKE.key(name);
            script.arg(bucket.step).arg(bucket.most).invoke_async(&mut connection).await
        });
        match taken.await {
            Some((allowed, missing)) => bucket.decision(allowed, missing),
            None => self.memory.rate(key, rate),
        }
    }

    pub fn publish(&self, channel: &str, message: Bytes) {
        self.memory.channels.publish(channel, message.clone());
        if !self.link.is_down() {
            // An error means that there are too many on their way.
            let _ = self.messages.try_send(Message { channel: channel.into(), message });
        }
    }

    pub async fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        let subscription = self.memory.channels.subscribe(channel)?;
        // Told also when the server is away: a connection may be in the making that does not know this channel.
        let followed = self.memory.channels.caught_up(channel);
        if !self.link.is_down() && timeout(self.link.patience(), followed).await.is_err() {
            self.link.doubt();
        }
        Ok(subscription)
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        self.link.ask(async |mut connection| command.query_async(&mut connection).await).await
    }

    // Values and counters of the same key are different things, as they are in memory.

    fn value(&self, key: &str) -> String {
        format!("{}/value/{key}", self.prefix)
    }

    fn counter(&self, key: &str) -> String {
        format!("{}/count/{key}", self.prefix)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.live.abort();
    }
}

fn client(url: &str) -> Result<Client, Error> {
    // The client knows more schemes than we promise.
    if !url.starts_with("redis://") && !url.starts_with("rediss://") {
        return Err(Error::Url("another scheme".into()));
    }
    let tcp = TcpSettings::default().set_nodelay(true);
    url.into_connection_info()
        .and_then(|info| Client::open(info.set_tcp_settings(tcp)))
        .map_err(|error| Error::Url(error.to_string()))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.min(FOREVER).as_millis()).unwrap_or(u64::MAX)
}
