//! Lossy messages to whoever listens now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{mpsc, oneshot};

use crate::Error;

#[derive(Clone)]
pub(crate) struct Channels {
    most: usize,
    backlog: usize,
    // A channel is here while it has a listener.
    senders: Arc<Mutex<HashMap<Box<str>, broadcast::Sender<Bytes>>>>,
    // Told of channels whose listeners came or went.
    follower: Option<mpsc::UnboundedSender<Change>>,
}

/// The first listener of a channel may have come, or the last one gone: whoever follows looks which.
pub(crate) struct Change {
    pub channel: Box<str>,
    /// Where a listener waits until the follower has caught up.
    pub followed: Option<oneshot::Sender<()>>,
}

impl Channels {
    pub fn new(most: usize, backlog: usize) -> Self {
        Self { most, backlog: backlog.max(1), senders: Arc::default(), follower: None }
    }

    /// Tells of every change from now on.
    pub fn follow(&mut self) -> mpsc::UnboundedReceiver<Change> {
        let (follower, changes) = mpsc::unbounded_channel();
        self.follower = Some(follower);
        changes
    }

    /// Tells the follower to look at a channel; the answer comes when it has caught up, or gives up.
    pub fn caught_up(&self, channel: &str) -> oneshot::Receiver<()> {
        let (followed, answer) = oneshot::channel();
        if let Some(follower) = &self.follower {
            let _ = follower.send(Change { channel: channel.into(), followed: Some(followed) });
        }
        answer
    }

    /// Whether a channel has a listener.
    pub fn has(&self, channel: &str) -> bool {
        lock(&self.senders).contains_key(channel)
    }

    /// The channels with listeners.
    pub fn all(&self) -> Vec<Box<str>> {
        lock(&self.senders).keys().cloned().collect()
    }

    pub fn publish(&self, channel: &str, message: Bytes) {
        if let Some(sender) = lock(&self.senders).get(channel) {
            // An error means that the last listener is leaving.
            let _ = sender.send(message);
        }
    }

    pub fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        let mut senders = lock(&self.senders);
        let receiver = match senders.get(channel) {
            Some(sender) => sender.subscribe(),
            None if senders.len() >= self.most => return Err(Error::TooManyChannels),
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

/// Listens to one channel.
pub struct Subscription {
    channel: Box<str>,
    // Taken only by drop.
    receiver: Option<broadcast::Receiver<Bytes>>,
    channels: Channels,
}

impl Subscription {
    /// The next message. What came while the listener was too far behind is lost. None when there will be no more. May be
    /// cancelled without losing a message.
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
            if let Some(follower) = &self.channels.follower {
                let channel = std::mem::take(&mut self.channel);
                let _ = follower.send(Change { channel, followed: None });
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_listeners_hear_and_channels_go_with_the_last() {
        let channels = Channels::new(2, 8);
        channels.publish("a", Bytes::from_static(b"before"));
        let (mut one, mut two) =
            (channels.subscribe("a").unwrap(), channels.subscribe("a").unwrap());
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
    async fn a_slow_listener_loses_the_oldest() {
        let channels = Channels::new(2, 4);
        let mut slow = channels.subscribe("a").unwrap();
        for i in 0..100_u8 {
            channels.publish("a", Bytes::from(vec![i]));
        }
        assert_eq!(slow.next().await.as_deref(), Some(&[96][..]));
        assert_eq!(slow.next().await.as_deref(), Some(&[97][..]));
    }
}
