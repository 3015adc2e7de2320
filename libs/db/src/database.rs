//! The handle to one service's database.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use ids::Clock;
use tokio::sync::watch;

use crate::options::Location;
use crate::postgres::{Announcements, Postgres};
use crate::query::Target;
use crate::sqlite::Sqlite;
use crate::testing::plans::Plans;
use crate::tx::Conn;
use crate::{Error, Options, Query, Result, Sql, Tx, measure};

/// The kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A PostgreSQL schema.
    Postgres,
    /// A SQLite file.
    Sqlite,
}

/// A handle to the database of one service. Cheap to clone. It is read-only (`default_transaction_read_only`,
/// `query_only`); write in a transaction of [`Db::begin`] or [`Db::transact`].
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
    // Checks the plans of statements, in tests.
    plans: Option<Arc<Plans>>,
}

struct Shared {
    service: String,
    clock: Clock,
    relayed: bool,
    backend: Backend,
    // Set when a write failed because the disk is full, cleared by the next commit.
    full: AtomicBool,
    // Number of commits that appended to the event log.
    appended: watch::Sender<u64>,
}

pub(crate) enum Backend {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

/// Attempts of a transaction that conflicts with others.
const ATTEMPTS: u32 = 10;

impl Db {
    /// Opens the database without running migrations; see [`Db::migrate`].
    pub fn open(options: &Options) -> BoxFuture<'_, Result<Self>> {
        Box::pin(async move {
            let backend = match options.location()? {
                Location::Sqlite(_) if options.relayed => {
                    let text = "relaying events requires PostgreSQL, got a SQLite database";
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
            Ok(Self { shared: Arc::new(shared), plans: None })
        })
    }

    /// A read-only statement outside any transaction.
    pub fn query(&self, sql: impl Into<Sql>) -> Query<'_> {
        let sql = sql.into();
        let query = match &self.shared.backend {
            Backend::Postgres(pg) => Query::postgres(sql, Target::Pool(&pg.read)),
            Backend::Sqlite(file) => Query::sqlite(sql, Target::Pool(&file.read)),
        };
        query.check_plan(self.plans.as_ref())
    }

    /// Begins a write transaction. Waits for the writer (SQLite) or a connection (PostgreSQL), at most
    /// [`Options::acquire_timeout`].
    pub fn begin(&self) -> BoxFuture<'_, Result<Tx>> {
        self.begin_as(true)
    }

    /// Like [`Db::begin`], for changes that are repeated if they are lost: on SQLite the commit does not wait for the disk,
    /// so a power cut can undo it. A later commit that waits makes it durable, too.
    pub fn begin_repeatable(&self) -> BoxFuture<'_, Result<Tx>> {
        self.begin_as(false)
    }

    fn begin_as(&self, durable: bool) -> BoxFuture<'_, Result<Tx>> {
        Box::pin(async move {
            let started = Instant::now();
            let conn = match &self.shared.backend {
                Backend::Postgres(pg) => pg.write.begin().await.map(Conn::Postgres),
                Backend::Sqlite(file) => file.begin(durable).await.map(Conn::Sqlite),
            };
            measure::begin_waited(self.service(), started.elapsed());
            let conn = conn.inspect_err(|error| measure::begin_failed(self.service(), error))?;
            Ok(Tx::new(self.clone(), conn))
        })
    }

    /// Runs `work` in a transaction: commits when it returns `Ok`, rolls back when it returns `Err`, and retries
    /// in a new transaction, with backoff, after a conflict with another transaction.
    ///
    /// `work` may run several times, so it captures by reference and has effects only in the transaction:
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
            match self.attempt(&mut work).await {
                Ok(value) => return Ok(value),
                Err((true, _)) if attempt < ATTEMPTS => self.back_off(attempt).await,
                Err((_, error)) => return Err(error),
            }
            attempt += 1;
        }
    }

    /// Runs one statement in a transaction of its own, as [`Db::transact`] does. Returns the number of changed rows.
    pub async fn execute(
        &self,
        statement: impl for<'t> Fn(&'t mut Tx) -> Query<'t>,
    ) -> Result<u64> {
        let statement = &statement;
        self.transact(|mut tx| async move { statement(&mut tx).execute().await }).await
    }

    /// Runs `work` once. An error comes with whether the transaction conflicted with another one.
    async fn attempt<T, E, F, Fut>(&self, work: &mut F) -> Result<T, (bool, E)>
    where
        E: From<Error>,
        F: FnMut(TxGuard) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let failed = |error: Error| (error.is_busy(), E::from(error));
        let returned = Arc::new(Mutex::new(None));
        let tx = self.begin().await.map_err(failed)?;
        let result = work(TxGuard { tx: Some(tx), returned: returned.clone() }).await;
        let tx = returned.lock().unwrap_or_else(PoisonError::into_inner).take();
        // None when `work` kept its guard.
        let tx = tx.ok_or(Error::Aborted).map_err(failed)?;
        let busy = tx.is_busy();
        match result {
            Ok(value) if !busy => tx.commit().await.map(|()| value).map_err(failed),
            Ok(_) => {
                tx.rollback().await;
                let text = "a statement conflicted with another transaction";
                Err(failed(Error::Busy(text.into())))
            }
            Err(error) => {
                tx.rollback().await;
                Err((busy, error))
            }
        }
    }

    /// Exponential backoff with jitter, up to 256 ms.
    async fn back_off(&self, attempt: u32) {
        measure::retried(self.service());
        let max_millis = 2_u64 << attempt.min(7);
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..=max_millis))).await;
    }

    /// The service that owns the data.
    pub fn service(&self) -> &str {
        &self.shared.service
    }

    pub fn engine(&self) -> Engine {
        match &self.shared.backend {
            Backend::Postgres(_) => Engine::Postgres,
            Backend::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// The clock of [`Options::clock`].
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Whether events go to the outbox instead of the log.
    pub fn is_relayed(&self) -> bool {
        self.shared.relayed
    }

    /// Whether two handles are clones of each other.
    pub fn is_same(&self, other: &Db) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// A number that increases with every write transaction, before its commit returns: a result that was read while
    /// the number had a value holds as long as it still has this value. None on PostgreSQL, where other processes
    /// write, too.
    pub fn generation(&self) -> Option<u64> {
        match &self.shared.backend {
            Backend::Postgres(_) => None,
            Backend::Sqlite(file) => Some(file.generation()),
        }
    }

    /// Changes when a commit of this process has appended to the event log.
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.shared.appended.subscribe()
    }

    /// Notifies the receivers of [`Db::appended`]; to be called by [`Tx::after_commit`].
    pub fn note_appended(&self) {
        self.shared.appended.send_modify(|n| *n += 1);
    }

    /// Sends a notification (NOTIFY) to all processes that use this database; see [`Db::announcements`].
    pub fn announce<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match &self.shared.backend {
                Backend::Postgres(pg) => pg.announce(name).await,
                Backend::Sqlite(_) => Ok(()),
            }
        })
    }

    /// The future notifications of one name, including those of this process. They may be lost, so also poll.
    /// There are none on SQLite, whose file belongs to a single process.
    pub fn announcements<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Announcements>> {
        Box::pin(async move {
            match &self.shared.backend {
                Backend::Postgres(pg) => pg.announcements(name).await,
                Backend::Sqlite(_) => Ok(Announcements::none()),
            }
        })
    }

    /// Checks reads and, after a full disk, writes, so that the state recovers once space is free. The error is for
    /// operators.
    pub fn health(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
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
                let written = probe.execute().await;
                tx.finish(written).await
            };
            match probe.await {
                Ok(_) => Ok(()),
                Err(Error::Full(_)) => {
                    Err("the disk is full: writes are refused, reads work".into())
                }
                Err(error) => Err(error.to_string()),
            }
        })
    }

    /// Closes all connections; waits for those in use.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match &self.shared.backend {
                Backend::Postgres(pg) => pg.close().await,
                Backend::Sqlite(file) => file.close().await,
            }
        })
    }

    /// A handle that checks the plans of its statements.
    pub(crate) fn with_plans(&self, plans: Arc<Plans>) -> Self {
        Self { shared: self.shared.clone(), plans: Some(plans) }
    }

    pub(crate) fn plans(&self) -> Option<&Arc<Plans>> {
        self.plans.as_ref()
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.shared.backend
    }

    pub(crate) fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    pub(crate) fn note_full(&self, full: bool) {
        if self.shared.full.swap(full, Ordering::Relaxed) != full && full {
            tracing::error!(service = self.service(), "disk full, refusing writes");
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

/// The transaction inside [`Db::transact`], which commits or rolls back after the guard was dropped.
pub struct TxGuard {
    tx: Option<Tx>,
    returned: Arc<Mutex<Option<Tx>>>,
}

impl TxGuard {
    /// Lends the transaction to `work`, and takes it back afterwards.
    pub async fn lend<T, Fut>(&mut self, work: impl FnOnce(Self) -> Fut) -> Result<T>
    where
        Fut: Future<Output = T>,
    {
        let returned = Arc::new(Mutex::new(None));
        let value = work(Self { tx: self.tx.take(), returned: returned.clone() }).await;
        self.tx = returned.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.tx.is_some() { Ok(value) } else { Err(Error::Aborted) }
    }
}

impl Deref for TxGuard {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        self.tx.as_ref().unwrap_or_else(|| unreachable!("only lend and drop take it"))
    }
}

impl DerefMut for TxGuard {
    fn deref_mut(&mut self) -> &mut Tx {
        self.tx.as_mut().unwrap_or_else(|| unreachable!("only lend and drop take it"))
    }
}

impl Drop for TxGuard {
    fn drop(&mut self) {
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = self.tx.take();
    }
}

/// What a read function takes: `&Db`, or `&mut Tx` when a write depends on the result.
pub trait Read<'c> {
    /// A read-only statement.
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
