//! Lossy publish/subscribe inside one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{mpsc, oneshot};

use crate::{Error, lock};

#[derive(Clone)]
pub(crate) struct Channels {
    max_channels: usize,
    backlog: usize,
    // Holds only channels that have subscribers.
    senders: Arc<Mutex<HashMap<Box<str>, broadcast::Sender<Bytes>>>>,
    // Receives the channels whose subscribers changed.
    changes: Option<mpsc::UnboundedSender<Change>>,
}

/// A channel that may have got its first or lost its last subscriber; [`Channels::has`] tells which.
pub(crate) struct Change {
    pub channel: Box<str>,
    /// Completed when the change was applied on the server.
    pub applied: Option<oneshot::Sender<()>>,
}

impl Channels {
    pub fn new(max_channels: usize, backlog: usize) -> Self {
        Self { max_channels, backlog: backlog.max(1), senders: Arc::default(), changes: None }
    }

    pub fn watch_changes(&mut self) -> mpsc::UnboundedReceiver<Change> {
        let (sender, changes) = mpsc::unbounded_channel();
        self.changes = Some(sender);
        changes
    }

    /// Reports a change of a channel. The receiver completes when it was applied, and fails when it was dropped.
    pub fn report_change(&self, channel: &str) -> oneshot::Receiver<()> {
        let (applied, receiver) = oneshot::channel();
        if let Some(changes) = &self.changes {
            let _ = changes.send(Change { channel: channel.into(), applied: Some(applied) });
        }
        receiver
    }

    pub fn has(&self, channel: &str) -> bool {
        lock(&self.senders).contains_key(channel)
    }

    pub fn all(&self) -> Vec<Box<str>> {
        lock(&self.senders).keys().cloned().collect()
    }

    pub fn publish(&self, channel: &str, message: Bytes) {
        if let Some(sender) = lock(&self.senders).get(channel) {
            // An error means that the last subscriber is being dropped.
            let _ = sender.send(message);
        }
    }

    pub fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        let mut senders = lock(&self.senders);
        let receiver = match senders.get(channel) {
            Some(sender) => sender.subscribe(),
            None if senders.len() >= self.max_channels => return Err(Error::TooManyChannels),
            None => {
                let (sender, receiver) = broadcast::channel(self.backlog);
                senders.insert(channel.into(), sender);
                receiver
            }
        };
        let (receiver, channels) = (Some(receiver), self.clone());
        Ok(Subscription { channel: channel.into(), receiver, channels })
    }
}

/// A subscription to one channel, ended by dropping it.
pub struct Subscription {
    channel: Box<str>,
    // Taken only by drop.
    receiver: Option<broadcast::Receiver<Bytes>>,
    channels: Channels,
}

impl Subscription {
    /// The next message, or None after the last one. Messages beyond the backlog ([`Limits::backlog`]) are lost, the
    /// oldest first. Cancel-safe.
    ///
    /// [`Limits::backlog`]: crate::Limits::backlog
    pub async fn next(&mut self) -> Option<Bytes> {
        let receiver = self.receiver.as_mut()?;
        loop {
            match receiver.recv().await {
                Ok(message) => return Some(message),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut senders = lock(&self.channels.senders);
        self.receiver = None;
        if senders.get(&self.channel).is_some_and(|sender| sender.receiver_count() == 0) {
            senders.remove(&self.channel);
            if let Some(changes) = &self.channels.changes {
                let channel = std::mem::take(&mut self.channel);
                let _ = changes.send(Change { channel, applied: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_reach_all_subscribers_and_unused_channels_are_removed() {
        let channels = Channels::new(2, 8);
        channels.publish("a", Bytes::from_static(b"before"));
        let [mut one, mut two] = ["a"; 2].map(|channel| channels.subscribe(channel).unwrap());
        let other = channels.subscribe("b").unwrap();
        assert!(matches!(channels.subscribe("c"), Err(Error::TooManyChannels)));
        channels.publish("a", Bytes::from_static(b"hello"));
        assert_eq!(one.next().await.as_deref(), Some(&b"hello"[..]));
        assert_eq!(two.next().await.as_deref(), Some(&b"hello"[..]));
        drop((one, two, other));
        assert!(lock(&channels.senders).is_empty());
        assert!(channels.subscribe("c").is_ok());
    }

    #[tokio::test]
    async fn slow_subscriber_loses_the_oldest_messages() {
        let channels = Channels::new(2, 4);
        let mut slow = channels.subscribe("a").unwrap();
        for i in 0..100_u8 {
            channels.publish("a", Bytes::from(vec![i]));
        }
        assert_eq!(slow.next().await.as_deref(), Some(&[96][..]));
        assert_eq!(slow.next().await.as_deref(), Some(&[97][..]));
    }
}
