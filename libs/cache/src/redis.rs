//! The backend on a Redis server that several processes share.
//!
//! Every request has a short deadline; when it fails, the memory of this process is used instead. Messages are delivered
//! to local subscribers directly and to other processes through the server.

mod connector;
mod link;
mod scripts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ids::Clock;
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, IntoConnectionInfo};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::memory::Memory;
use crate::rate::{Bucket, Decision, Rate};
use crate::{Error, Limits, Subscription};
use connector::{Connector, Message};
use link::Link;

pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(250);
/// Messages that wait to be sent to the server; further ones are lost.
const QUEUE: usize = 1024;
/// Redis refuses times to live that end later than it can represent.
const MAX_TTL: Duration = Duration::from_secs(100 * 365 * 86_400);

pub(crate) struct Redis {
    prefix: Box<str>,
    memory: Memory,
    link: Arc<Link>,
    messages: mpsc::Sender<Message>,
    connector: AbortHandle,
}

impl Redis {
    pub fn new(
        url: &str,
        prefix: &str,
        clock: Clock,
        limits: Limits,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let client = client(url)?;
        let sender = clock.new_id().into_bytes();
        let mut memory = Memory::new(clock, limits);
        let changes = memory.channels.watch_changes();
        let (messages, queue) = mpsc::channel(QUEUE);
        let link = Arc::new(Link::new(timeout));
        let connector = Connector {
            client,
            link: link.clone(),
            channels: memory.channels.clone(),
            changes,
            messages: queue,
            sender,
            prefix: format!("{prefix}/channel/").into(),
        };
        #[expect(clippy::disallowed_methods, reason = "aborted when the cache is dropped")]
        let connector = tokio::spawn(connector.run()).abort_handle();
        Ok(Self { prefix: prefix.into(), memory, link, messages, connector })
    }

    pub fn is_down(&self) -> bool {
        self.link.is_down()
    }

    pub fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let value: Option<Vec<u8>> =
                self.request(redis::cmd("GET").arg(self.value(key))).await?;
            value.map(Bytes::from)
        })
    }

    pub fn set<'a>(&'a self, key: &'a str, value: &'a [u8], ttl: Duration) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let key = self.value(key);
            let _: Option<()> = match millis(ttl) {
                // Redis refuses a time to live of 0.
                0 => self.request(redis::cmd("DEL").arg(key)).await,
                ttl => self.request(redis::cmd("SET").arg(key).arg(value).arg("PX").arg(ttl)).await,
            };
        })
    }

    pub fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.memory.delete(key);
            let names = [self.value(key), self.counter(key)];
            let _: Option<()> = self.request(redis::cmd("DEL").arg(&names)).await;
        })
    }

    pub fn increment<'a>(&'a self, key: &'a str, by: u32, ttl: Duration) -> BoxFuture<'a, u64> {
        Box::pin(async move {
            let name = self.counter(key);
            let sum = self.link.request(async |mut connection| {
                let mut script = scripts::INCREMENT.key(name);
                script.arg(by).arg(millis(ttl)).invoke_async(&mut connection).await
            });
            match sum.await {
                Some(sum) => sum,
                None => self.memory.increment(key, by, ttl),
            }
        })
    }

    pub fn count<'a>(&'a self, key: &'a str) -> BoxFuture<'a, u64> {
        Box::pin(async move {
            let sum: Option<Option<u64>> =
                self.request(redis::cmd("GET").arg(self.counter(key))).await;
            // Increments that the server refused, for example because its memory is full, are counted in memory.
            sum.flatten().unwrap_or(0).max(self.memory.count(key))
        })
    }

    pub fn rate<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Decision> {
        Box::pin(async move {
            let Some(bucket) = Bucket::of(rate) else { return Decision::never(rate) };
            let name = format!("{}/rate/{key}", self.prefix);
            let taken = self.link.request(async |mut connection| {
                let mut script = scripts::TAKE.key(name);
                script.arg(bucket.step).arg(bucket.capacity).invoke_async(&mut connection).await
            });
            match taken.await {
                Some((allowed, missing)) => bucket.decision(allowed, missing),
                None => self.memory.rate(key, rate),
            }
        })
    }

    pub fn publish(&self, channel: &str, message: Bytes) {
        self.memory.channels.publish(channel, message.clone());
        if !self.link.is_down() {
            // An error means that the queue is full.
            let _ = self.messages.try_send(Message { channel: channel.into(), message });
        }
    }

    pub fn subscribe<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Subscription, Error>> {
        Box::pin(async move {
            let subscription = self.memory.channels.subscribe(channel)?;
            // Reported also while the link is down, because a connection may be being made with an older list of channels.
            let applied = self.memory.channels.report_change(channel);
            if !self.link.is_down() && timeout(self.link.timeout, applied).await.is_err() {
                self.link.ping.notify_one();
            }
            Ok(subscription)
        })
    }

    async fn request<T: redis::FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        self.link.request(async |mut connection| command.query_async(&mut connection).await).await
    }

    fn value(&self, key: &str) -> String {
        format!("{}/value/{key}", self.prefix)
    }

    fn counter(&self, key: &str) -> String {
        format!("{}/count/{key}", self.prefix)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.connector.abort();
    }
}

fn client(url: &str) -> Result<Client, Error> {
    // The client accepts further schemes, which are not supported here.
    if !url.starts_with("redis://") && !url.starts_with("rediss://") {
        return Err(Error::Url("unsupported scheme".into()));
    }
    let tcp = TcpSettings::default().set_nodelay(true);
    url.into_connection_info()
        .and_then(|info| Client::open(info.set_tcp_settings(tcp)))
        .map_err(|error| Error::Url(error.to_string()))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.min(MAX_TTL).as_millis()).unwrap_or(u64::MAX)
}
