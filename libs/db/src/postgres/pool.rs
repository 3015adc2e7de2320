//! A pool of connections that reports an unreachable server at once.
//!
//! The driver's pool retries a failed connection attempt until the acquire timeout, because it cannot tell a server that
//! is down from one that starts. So a caller that waits checks whether the server answers.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres};
use sqlx::{ConnectOptions as _, Connection as _, Transaction};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Error, Options, Result};

/// How long a caller waits for a connection before it checks whether the server answers; also between two checks.
const PATIENCE: Duration = Duration::from_millis(250);
/// The timeout of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a failed check is used by other callers; a successful one twice as long.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Idle connections are closed after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Pool {
    pub(crate) inner: PgPool,
    server: Arc<Server>,
}

/// The server of a database, and the last check whether it answers.
pub(crate) struct Server {
    connect: PgConnectOptions,
    checked: Mutex<Option<(Instant, Option<String>)>>,
}

impl Server {
    pub(crate) fn new(connect: PgConnectOptions) -> Arc<Self> {
        Arc::new(Self { connect, checked: Mutex::default() })
    }

    /// Why the server cannot be used; `None` if it answers. Uses the result of a check after `since` or of a recent
    /// one.
    async fn failure(&self, since: Instant) -> Option<String> {
        let mut checked = self.checked.lock().await;
        let interval = |failed| if failed { CHECK_INTERVAL } else { 2 * CHECK_INTERVAL };
        if let Some((at, result)) = &*checked
            && (*at >= since || at.elapsed() < interval(result.is_some()))
        {
            return result.clone();
        }
        let failure = self.attempt().await.err().and_then(is_down);
        *checked = Some((Instant::now(), failure.clone()));
        failure
    }

    /// Opens and closes a connection.
    pub(crate) async fn attempt(&self) -> std::result::Result<(), sqlx::Error> {
        let attempt = async { self.connect.connect().await?.close().await };
        tokio::time::timeout(CHECK_TIMEOUT, attempt).await.unwrap_or_else(|_| {
            let text = format!("no response within {} s", CHECK_TIMEOUT.as_secs());
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text).into())
        })
    }
}

/// Whether the server cannot be used. If it has too many connections, one of the pool may still become free.
fn is_down(error: sqlx::Error) -> Option<String> {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.is_some_and(|code| code == TOO_MANY_CONNECTIONS) {
        return None;
    }
    match Error::from(error) {
        Error::Unavailable(why) => Some(why),
        _ => None,
    }
}

const TOO_MANY_CONNECTIONS: &str = "53300";

impl Pool {
    pub(crate) fn new(
        server: Arc<Server>,
        connect: PgConnectOptions,
        max: u32,
        options: &Options,
    ) -> Self {
        let inner = PgPoolOptions::new()
            .max_connections(max.max(1))
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(IDLE_TIMEOUT)
            // Test only idle connections; a busy one is known to work.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > Duration::from_secs(1) {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(connect);
        Self { inner, server }
    }

    /// A connection, for one statement.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>> {
        self.unless_down(self.inner.acquire()).await
    }

    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>> {
        self.unless_down(self.inner.begin()).await
    }

    /// Waits for a connection as long as the server answers.
    async fn unless_down<T>(
        &self,
        work: impl Future<Output = std::result::Result<T, sqlx::Error>>,
    ) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let since = Instant::now();
            if let Ok(result) = tokio::time::timeout(PATIENCE, &mut work).await {
                return result.map_err(Error::from);
            }
            tokio::select! {
                biased;
                result = &mut work => return result.map_err(Error::from),
                failure = self.server.failure(since) => if let Some(why) = failure {
                    return Err(Error::Unavailable(why));
                },
            }
        }
    }
}
