//! The state of the connection to the server, and requests with a deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

#[derive(Clone)]
pub enum State {
    /// At start or after a connection was lost: requests wait for it until their deadline.
    Connecting,
    Up(MultiplexedConnection),
    /// Requests fail at once.
    Down,
}

pub struct Link {
    state: watch::Sender<State>,
    /// Notified after a timeout; a ping then decides about the state.
    pub ping: Notify,
    /// The longest time that a request takes.
    pub timeout: Duration,
    // Only the first refused request of a connection is logged.
    warned: AtomicBool,
}

impl Link {
    pub fn new(timeout: Duration) -> Self {
        let (state, _) = watch::channel(State::Connecting);
        Self { state, ping: Notify::new(), timeout, warned: AtomicBool::new(false) }
    }

    pub fn set(&self, state: State) {
        let up = matches!(state, State::Up(_));
        metrics::gauge!("agon_cache_up").set(f64::from(u8::from(up)));
        self.state.send_replace(state);
    }

    pub fn is_down(&self) -> bool {
        matches!(*self.state.borrow(), State::Down)
    }

    pub fn reset_warning(&self) {
        self.warned.store(false, Ordering::Relaxed);
    }

    /// Sends a request. None when it failed or timed out; the server may have executed it.
    pub async fn request<T, F>(&self, request: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let deadline = Instant::now() + self.timeout;
        let connection = timeout_at(deadline, self.connection()).await.ok()??;
        match timeout_at(deadline, request(connection)).await {
            Ok(Ok(response)) => return Some(response),
            Ok(Err(error)) => self.request_failed(&error),
            Err(_) => self.ping.notify_one(),
        }
        metrics::counter!("agon_cache_failures_total").increment(1);
        None
    }

    /// Waits while the state is `Connecting`. None when the server is down.
    async fn connection(&self) -> Option<MultiplexedConnection> {
        let mut state = self.state.subscribe();
        let known = state.wait_for(|state| !matches!(state, State::Connecting)).await.ok()?;
        match &*known {
            State::Up(connection) => Some(connection.clone()),
            State::Connecting | State::Down => None,
        }
    }

    pub fn request_failed(&self, error: &RedisError) {
        if !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) {
            self.ping.notify_one();
        } else if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "redis refused request, using local memory");
        }
    }
}
