//! A PostgreSQL schema: a pool that reads and one that writes.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};

use crate::{Error, Options, Result};

pub(crate) struct Postgres {
    pub(crate) read: PgPool,
    pub(crate) write: PgPool,
    pub(crate) schema: String,
}

/// How long to try at start before saying that there is no database.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to ask once more, for the reason.
const LAST_TRY: Duration = Duration::from_secs(1);

impl Postgres {
    pub(crate) async fn open(url: &str, schema: String, options: &Options) -> Result<Self> {
        // The driver's message may repeat the URL with its password.
        let base = PgConnectOptions::from_str(url)
            .map_err(|_| {
                Error::Config("the database URL cannot be read as a PostgreSQL URL".into())
            })?
            .application_name(&format!("agon-{}", options.service))
            .statement_cache_capacity(256)
            .disable_statement_logging()
            .options([
                ("search_path", schema.as_str()),
                ("timezone", "UTC"),
                ("statement_timeout", &options.statement_timeout.as_millis().to_string()),
                // A transaction whose owner hangs must not keep its locks.
                ("idle_in_transaction_session_timeout", "60000"),
            ]);
        let place = describe(&base, &schema);
        let read = base.clone().options([("default_transaction_read_only", "on")]);
        let pool = |connect: PgConnectOptions, max: u32| {
            PgPoolOptions::new()
                .max_connections(max.max(1))
                .acquire_timeout(options.acquire_timeout)
                // Asked only after a pause: a busy connection shows by itself that it works.
                .test_before_acquire(false)
                .before_acquire(|connection, meta| {
                    Box::pin(async move {
                        let rested = meta.idle_for > Duration::from_secs(1);
                        if rested {
                            sqlx::Connection::ping(connection).await?;
                        }
                        Ok(true)
                    })
                })
                .connect_lazy_with(connect)
        };
        let read = pool(read, options.read_connections);
        let write = pool(base.clone(), options.write_connections);
        match tokio::time::timeout(CONNECT_TIMEOUT, write.acquire()).await {
            Ok(Ok(_)) => Ok(Self { read, write, schema }),
            Ok(Err(e)) => Err(Error::Unavailable(format!("cannot reach {place}: {e}"))),
            // The pool keeps trying, and does not say what for.
            Err(_) => {
                let once = tokio::time::timeout(LAST_TRY, base.connect()).await;
                let why = match once {
                    Ok(Err(e)) => e.to_string(),
                    _ => format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
                };
                Err(Error::Unavailable(format!("cannot reach {place}: {why}")))
            }
        }
    }

    pub(crate) async fn announce(&self, what: &str) -> Result<()> {
        let notify = sqlx::query("SELECT pg_notify($1, '')").bind(self.channel(what));
        notify.execute(&self.write).await.map(drop).map_err(Error::from)
    }

    pub(crate) async fn announcements(&self, what: &str) -> Result<Announcements> {
        let options = (*self.read.connect_options()).clone();
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(&self.channel(what)).await?;
        Ok(Announcements { listener: Some(listener), _pool: Some(pool) })
    }

    fn channel(&self, what: &str) -> String {
        format!("{}/{what}", self.schema)
    }

    pub(crate) async fn close(&self) {
        tokio::join!(self.read.close(), self.write.close());
    }
}

/// What other processes say about a database; see [`crate::Db::announcements`].
pub struct Announcements {
    listener: Option<PgListener>,
    // A connection of its own: listening would keep one of the others' for ever.
    _pool: Option<PgPool>,
}

impl Announcements {
    pub(crate) fn none() -> Self {
        Self { listener: None, _pool: None }
    }

    /// The next announcement. An error means that the connection broke: some may have been lost, and listening
    /// goes on when asked again. May be cancelled without losing one.
    pub async fn next(&mut self) -> Result<()> {
        match &mut self.listener {
            Some(listener) => listener.recv().await.map(drop).map_err(Error::from),
            None => std::future::pending().await,
        }
    }
}

/// The database in words, without its password.
fn describe(options: &PgConnectOptions, schema: &str) -> String {
    format!(
        "postgres://{}@{}:{}/{} (schema {schema})",
        options.get_username(),
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_else(|| options.get_username()),
    )
}
