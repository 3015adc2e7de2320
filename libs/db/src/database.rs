//! The database of one service.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ids::Clock;
use tokio::sync::watch;

use crate::options::Location;
use crate::postgres::{Announcements, Postgres};
use crate::query::Target;
use crate::sqlite::Sqlite;
use crate::tx::Conn;
use crate::{Error, Options, Query, Result, Sql, Tx, measure};

/// Which database a service's data is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A PostgreSQL schema.
    Postgres,
    /// A SQLite file.
    Sqlite,
}

/// A handle to the database of one service. Cheap to clone. Only reads: its connections refuse writes
/// (`default_transaction_read_only`, `query_only`); writes go through [`Db::begin`] or [`Db::transact`].
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

struct Shared {
    service: String,
    clock: Clock,
    relayed: bool,
    backend: Backend,
    // Set by a write that found the disk full, cleared by the next commit.
    full: AtomicBool,
    // Counts commits that appended to the event log.
    appended: watch::Sender<u64>,
}

pub(crate) enum Backend {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

/// How often a transaction that others got in the way of is tried.
const ATTEMPTS: u32 = 10;

impl Db {
    /// Opens the database. Migrations are not run: see [`Db::migrate`].
    pub async fn open(options: &Options) -> Result<Self> {
        let backend = match options.location()? {
            Location::Sqlite(_) if options.relayed => {
                let text =
                    "events can be relayed from PostgreSQL only; SQLite publishes from its own log";
                return Err(Error::Config(text.into()));
            }
            Location::Sqlite(path) => Backend::Sqlite(Sqlite::open(&path, options).await?),
            Location::Postgres { url, schema } => {
                Backend::Postgres(Postgres::open(&url, schema, options).await?)
            }
        };
        let shared = Shared {
            service: options.service.clone(),
            clock: options.clock.clone(),
            relayed: options.relayed,
            backend,
            full: AtomicBool::new(false),
            appended: watch::Sender::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A statement that reads, outside any transaction.
    pub fn query(&self, sql: impl Into<Sql>) -> Query<'_> {
        let sql = sql.into();
        match &self.shared.backend {
            Backend::Postgres(pg) => Query::postgres(sql, Target::Pool(&pg.read)),
            Backend::Sqlite(file) => Query::sqlite(sql, Target::Pool(&file.read)),
        }
    }

    /// Begins a write transaction. On SQLite this waits for the turn to write, on PostgreSQL for a connection.
    pub async fn begin(&self) -> Result<Tx> {
        let started = Instant::now();
        let conn = match &self.shared.backend {
            Backend::Postgres(pg) => {
                pg.write.begin().await.map(Conn::Postgres).map_err(Error::from)
            }
            Backend::Sqlite(file) => file.begin().await.map(Conn::Sqlite),
        };
        measure::waited(self.service(), started.elapsed());
        let conn = conn.inspect_err(|error| measure::refused(self.service(), error))?;
        Ok(Tx::new(self.clone(), conn))
    }

    /// Runs `work` in a transaction: commits when it gives `Ok`, rolls back when it gives `Err`, and runs it
    /// again (with a new transaction) when another transaction got in the way.
    ///
    /// `work` may run several times, so it captures by reference and its effects are all in the transaction:
    ///
    /// ```
    /// # async fn example(db: &db::Db, name: String) -> db::Result<u64> {
    /// let name = &name;
    /// db.transact(|mut tx| async move {
    ///     tx.query("UPDATE things SET name = $1").bind(name).execute().await
    /// })
    /// .await
    /// # }
    /// ```
    pub async fn transact<T, E, F, Fut>(&self, mut work: F) -> Result<T, E>
    where
        E: From<Error>,
        F: FnMut(TxGuard) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut attempt = 1;
        loop {
            let home = Arc::new(Mutex::new(None));
            let tx = match self.begin().await {
                Err(error) if error.is_busy() && attempt < ATTEMPTS => {
                    attempt = self.pause(attempt).await;
                    continue;
                }
                begun => begun?,
            };
            let result = work(TxGuard { tx: Some(tx), home: home.clone() }).await;
            let tx = home.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Only work that hides its transaction somewhere does not give it back.
            let tx = tx.ok_or(Error::Aborted)?;
            let busy = tx.is_busy();
            let error: E = match result {
                Ok(value) if !busy => match tx.commit().await {
                    Ok(()) => return Ok(value),
                    Err(error) if error.is_busy() && attempt < ATTEMPTS => {
                        attempt = self.pause(attempt).await;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                },
                Ok(_) => {
                    tx.rollback().await;
                    Error::Busy("a statement of the transaction met another transaction".into())
                        .into()
                }
                Err(error) => {
                    tx.rollback().await;
                    error
                }
            };
            if !busy || attempt >= ATTEMPTS {
                return Err(error);
            }
            attempt = self.pause(attempt).await;
        }
    }

    /// Waits a little longer each time, by chance, so that two transactions do not meet again and again.
    async fn pause(&self, attempt: u32) -> u32 {
        measure::tried_again(self.service());
        let most = 2_u64 << attempt.min(7);
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..=most))).await;
        attempt + 1
    }

    /// The service that owns the data.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.shared.service
    }

    /// Which database this is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match &self.shared.backend {
            Backend::Postgres(_) => Engine::Postgres,
            Backend::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// The clock of the options.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Whether events go to the outbox instead of the log.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        self.shared.relayed
    }

    /// Whether two handles are of one opened database.
    #[must_use]
    pub fn is_same(&self, other: &Db) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Changes whenever a commit of this process appended to the event log.
    #[must_use]
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.shared.appended.subscribe()
    }

    /// Says that a commit appended to the event log. For [`Tx::after_commit`].
    pub fn note_appended(&self) {
        self.shared.appended.send_modify(|n| *n += 1);
    }

    /// Tells the other processes that use this database that something happened; see [`Db::announcements`].
    pub async fn announce(&self, what: &str) -> Result<()> {
        match &self.shared.backend {
            Backend::Postgres(pg) => pg.announce(what).await,
            Backend::Sqlite(_) => Ok(()),
        }
    }

    /// What is announced under one name from now on, by this process too. Announcements may be lost: they save
    /// waiting, nothing else. Nothing comes on SQLite, whose file one process has alone.
    pub async fn announcements(&self, what: &str) -> Result<Announcements> {
        match &self.shared.backend {
            Backend::Postgres(pg) => pg.announcements(what).await,
            Backend::Sqlite(_) => Ok(Announcements::none()),
        }
    }

    /// Whether the database answers and takes writes; the error is for people. After a full disk this tries a
    /// small write, so that it gets well by itself.
    pub async fn health(&self) -> Result<(), String> {
        self.query("SELECT 1").fetch_scalar::<i32>().await.map_err(|e| e.to_string())?;
        if !self.is_full() {
            return Ok(());
        }
        let probe = async {
            let mut tx = self.begin().await?;
            let probe = tx.query(
                "INSERT INTO write_probes (name, probe_count) VALUES ('health', 1)
                 ON CONFLICT (name) DO UPDATE SET probe_count = write_probes.probe_count + 1",
            );
            match probe.execute().await {
                Ok(_) => tx.commit().await,
                Err(error) => {
                    tx.rollback().await;
                    Err(error)
                }
            }
        };
        match probe.await {
            Ok(()) => Ok(()),
            Err(Error::Full(_)) => Err("the disk is full: reads go on, writes are refused".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        match &self.shared.backend {
            Backend::Postgres(pg) => pg.close().await,
            Backend::Sqlite(file) => file.close().await,
        }
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.shared.backend
    }

    pub(crate) fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    pub(crate) fn note_full(&self, full: bool) {
        if self.shared.full.swap(full, Ordering::Relaxed) != full && full {
            tracing::error!(service = self.service(), "the disk is full: writes are refused");
        }
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("service", &self.shared.service)
            .field("engine", &self.engine())
            .finish_non_exhaustive()
    }
}

/// A transaction lent to the work of [`Db::transact`], which commits it or rolls it back.
pub struct TxGuard {
    tx: Option<Tx>,
    home: Arc<Mutex<Option<Tx>>>,
}

impl TxGuard {
    /// Lends the transaction to `work`, and takes it back afterwards.
    pub async fn lend<T, Fut>(&mut self, work: impl FnOnce(Self) -> Fut) -> Result<T>
    where
        Fut: Future<Output = T>,
    {
        let home = Arc::new(Mutex::new(None));
        let value = work(Self { tx: self.tx.take(), home: home.clone() }).await;
        self.tx = home.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.tx.is_some() { Ok(value) } else { Err(Error::Aborted) }
    }
}

impl Deref for TxGuard {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        self.tx.as_ref().unwrap_or_else(|| unreachable!("taken only by drop"))
    }
}

impl DerefMut for TxGuard {
    fn deref_mut(&mut self) -> &mut Tx {
        self.tx.as_mut().unwrap_or_else(|| unreachable!("taken only by drop"))
    }
}

impl Drop for TxGuard {
    fn drop(&mut self) {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = self.tx.take();
    }
}

/// What a read function runs on: `&Db`, or `&mut Tx` when a decision depends on what it reads.
pub trait Read<'c> {
    /// A statement that reads.
    fn query(self, sql: impl Into<Sql>) -> Query<'c>;
}

impl<'c> Read<'c> for &'c Db {
    fn query(self, sql: impl Into<Sql>) -> Query<'c> {
        Db::query(self, sql)
    }
}

impl<'c> Read<'c> for &'c mut Tx {
    fn query(self, sql: impl Into<Sql>) -> Query<'c> {
        Tx::query(self, sql)
    }
}

impl<'c> Read<'c> for &'c mut TxGuard {
    fn query(self, sql: impl Into<Sql>) -> Query<'c> {
        Tx::query(self, sql)
    }
}
