//! Accepts the connections of a listener until shutdown, with a limit for each address.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::shares::{Shares, Trusted};

/// The connections of a listener.
#[derive(Clone, Debug)]
pub struct Connections {
    /// Open connections; further ones wait in the kernel's backlog.
    pub total: usize,
    /// Open connections of one address that is not trusted; further ones are closed at once.
    pub per_address: usize,
    pub trusted: Trusted,
    /// How long connections may continue after shutdown begins.
    pub grace: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        let trusted = Trusted::default();
        Self { total: 10_000, per_address: 256, trusted, grace: Duration::from_secs(10) }
    }
}

/// Tells a connection that the listener is stopping.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Returns when the listener stops.
    pub async fn begun(&mut self) {
        // An error means that the listener is gone, which also ends the connection.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}

/// Runs `connection` for each accepted connection. After `shutdown` it accepts no more and waits at
/// most [`Connections::grace`] for the open ones. `name` is the label in logs and metrics.
pub async fn listen<F>(
    name: &'static str,
    listener: TcpListener,
    limits: Connections,
    shutdown: impl Future<Output = ()>,
    connection: impl Fn(TcpStream, SocketAddr, Stopping) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (stop, stopping) = watch::channel(false);
    let shares = Shares::<IpAddr>::new(usize::MAX, limits.per_address);
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let room = open.len() < limits.total;
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, peer)) => {
                    let Ok(share) = shares.take(limits.trusted.key(peer.ip()), 1) else {
                        refused(name, peer);
                        continue;
                    };
                    let served = connection(stream, peer, Stopping(stopping.clone()));
                    open.spawn(async move {
                        served.await;
                        drop(share);
                    });
                }
                Err(error) => {
                    // Usually the process is out of file descriptors: wait for some to close.
                    tracing::warn!(listener = name, %error, "cannot accept connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    drain(name, open, limits.grace).await;
}

/// Waits for the open connections, and closes them after `grace`.
async fn drain(listener: &'static str, mut open: JoinSet<()>, grace: Duration) {
    let drained = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::info!(listener, open = open.len(), "grace period over, closing connections");
        open.shutdown().await;
    }
}

fn refused(listener: &'static str, peer: SocketAddr) {
    metrics::counter!("agon_connections_refused_total", "listener" => listener).increment(1);
    tracing::debug!(listener, %peer, "too many connections of this address");
}
