//! Whether the server is there, and the way to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

#[derive(Clone)]
pub enum State {
    /// Not known yet, or just lost: worth a short wait.
    Connecting,
    Up(MultiplexedConnection),
    /// Not worth a wait.
    Down,
}

pub struct Link {
    state: watch::Sender<State>,
    // Set when somebody waited in vain; a ping then decides.
    doubt: Notify,
    // How long a caller waits.
    patience: Duration,
    // One complaint of the server per connection is logged, since the next thousand say the same.
    complained: AtomicBool,
}

impl Link {
    pub fn new(patience: Duration) -> Self {
        let (state, _) = watch::channel(State::Connecting);
        Self { state, doubt: Notify::new(), patience, complained: AtomicBool::new(false) }
    }

    pub fn patience(&self) -> Duration {
        self.patience
    }

    pub fn set(&self, state: State) {
        let up = matches!(state, State::Up(_));
        metrics::gauge!("agon_cache_up").set(f64::from(u8::from(up)));
        self.state.send_replace(state);
    }

    pub fn is_down(&self) -> bool {
        matches!(*self.state.borrow(), State::Down)
    }

    /// A connection was made.
    pub fn renew(&self) {
        self.complained.store(false, Ordering::Relaxed);
    }

    /// Asks the server. None when there is no answer in time: the request may or may not have been done.
    pub async fn ask<T, F>(&self, request: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let deadline = Instant::now() + self.patience;
        let connection = timeout_at(deadline, self.connection()).await.ok()??;
        match timeout_at(deadline, request(connection)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => self.failed(&error),
            Err(_) => self.doubt(),
        }
        metrics::counter!("agon_cache_failures_total").increment(1);
        None
    }

    /// The connection, when there is one or soon none.
    async fn connection(&self) -> Option<MultiplexedConnection> {
        let mut state = self.state.subscribe();
        let known = state.wait_for(|state| !matches!(state, State::Connecting)).await.ok()?;
        match &*known {
            State::Up(connection) => Some(connection.clone()),
            State::Connecting | State::Down => None,
        }
    }

    /// Takes note of a request that failed.
    pub fn failed(&self, error: &RedisError) {
        if !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) {
            self.doubt();
        } else if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "Redis refuses a request; this process does without it");
        }
    }

    /// Asks for a ping.
    pub fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Waits for somebody who doubts.
    pub async fn doubted(&self) {
        self.doubt.notified().await;
    }
}
