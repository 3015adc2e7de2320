//! A PostgreSQL schema: a read-only pool and a write pool.

mod pool;

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};

use crate::{Error, Options, Result};
use pool::Server;

pub(crate) use pool::Pool;

pub(crate) struct Postgres {
    pub(crate) read: Pool,
    pub(crate) write: Pool,
    pub(crate) schema: String,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Postgres {
    pub(crate) async fn open(url: &str, schema: String, options: &Options) -> Result<Self> {
        // The driver's message is left out, because it may contain the password.
        let base = PgConnectOptions::from_str(url)
            .map_err(|_| Error::Config("invalid database URL: not a PostgreSQL URL".into()))?
            .application_name(&format!("agon-{}", options.service))
            .statement_cache_capacity(256)
            .disable_statement_logging()
            .options([
                ("search_path", schema.as_str()),
                ("timezone", "UTC"),
                ("statement_timeout", &options.statement_timeout.as_millis().to_string()),
                // Frees the locks of a client that hangs.
                ("idle_in_transaction_session_timeout", "60000"),
            ]);
        let address = describe(&base, &schema);
        let server = Server::new(base.clone());
        let read_only = base.clone().options([("default_transaction_read_only", "on")]);
        let read = Pool::new(server.clone(), read_only, options.read_connections, options);
        let write = Pool::new(server.clone(), base, options.write_connections, options);
        let failed = |why| Error::Unavailable(format!("cannot connect to {address}: {why}"));
        // A server that starts may take some seconds.
        match tokio::time::timeout(CONNECT_TIMEOUT, write.inner.acquire()).await {
            Ok(Ok(_)) => Ok(Self { read, write, schema }),
            Ok(Err(error)) => Err(failed(error.to_string())),
            // The pool retries until the timeout and does not report the cause.
            Err(_) => {
                let none = || format!("no response within {} s", CONNECT_TIMEOUT.as_secs());
                let cause = server.attempt().await.err().map(|error| error.to_string());
                Err(failed(cause.unwrap_or_else(none)))
            }
        }
    }

    pub(crate) async fn announce(&self, name: &str) -> Result<()> {
        let notify = sqlx::query("SELECT pg_notify($1, '')").bind(self.channel(name));
        notify.execute(&mut *self.write.acquire().await?).await.map(drop).map_err(Error::from)
    }

    pub(crate) async fn announcements(&self, name: &str) -> Result<Announcements> {
        let options = (*self.read.inner.connect_options()).clone();
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(&self.channel(name)).await?;
        Ok(Announcements { listener: Some(listener), _pool: Some(pool) })
    }

    fn channel(&self, name: &str) -> String {
        format!("{}/{name}", self.schema)
    }

    pub(crate) async fn close(&self) {
        tokio::join!(self.read.inner.close(), self.write.inner.close());
    }
}

/// Notifications of other processes; see [`crate::Db::announcements`].
pub struct Announcements {
    listener: Option<PgListener>,
    // A pool of its own, because the listener holds a connection permanently.
    _pool: Option<PgPool>,
}

impl Announcements {
    pub(crate) fn none() -> Self {
        Self { listener: None, _pool: None }
    }

    /// Waits for the next notification. After an error, which means that the connection broke, notifications may have
    /// been lost; the next call reconnects. Cancel-safe.
    pub async fn next(&mut self) -> Result<()> {
        match &mut self.listener {
            Some(listener) => listener.recv().await.map(drop).map_err(Error::from),
            None => std::future::pending().await,
        }
    }
}

/// The URL without the password.
fn describe(options: &PgConnectOptions, schema: &str) -> String {
    format!(
        "postgres://{}@{}:{}/{} (schema {schema})",
        options.get_username(),
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_else(|| options.get_username()),
    )
}
