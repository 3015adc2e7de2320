//! A SQLite file: one writer with a fair queue, and a read-only pool.
//!
//! The writer is not a pool of one connection: SQLite ends a transaction by itself on some errors (a full disk), after
//! which the driver's own transaction fails to roll back and every later one on that connection fails. Here a failed
//! transaction is rolled back explicitly, and the connection is replaced unless the statement itself was at fault.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::options::Synchronous;
use crate::{Error, Options, Result};

pub(crate) struct Sqlite {
    pub(crate) read: SqlitePool,
    writer: Arc<Mutex<Writer>>,
    // See `Db::generation`.
    generation: Arc<AtomicU64>,
    acquire_timeout: Duration,
}

struct Writer {
    options: SqliteConnectOptions,
    // None until first used, after closing, and after an error of the connection.
    connection: Option<SqliteConnection>,
    synchronous: Synchronous,
    /// Whether commits on the connection may not wait for the disk, although `synchronous` is `Full`.
    relaxed: bool,
    closed: bool,
}

/// Exclusive use of the writer, inside BEGIN IMMEDIATE.
pub(crate) struct WriteGuard {
    writer: Option<Held>,
}

/// The writer of a transaction. It is released after the transaction has ended, also if a caller was cancelled during
/// the commit; so it is where the generation increases.
struct Held {
    writer: OwnedMutexGuard<Writer>,
    generation: Arc<AtomicU64>,
}

impl Deref for Held {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.writer
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl Sqlite {
    pub(crate) async fn open(path: &Path, options: &Options) -> Result<Self> {
        create_private(path).map_err(|e| {
            Error::Unavailable(format!("cannot open the database file {}: {e}", path.display()))
        })?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(256)
            // A page of rows is produced without waiting for its reader.
            .row_buffer_size(1024)
            .pragma("temp_store", "memory")
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging();
        let write = connect.clone().journal_mode(SqliteJournalMode::Wal).synchronous(match options
            .synchronous
        {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
            Synchronous::Off => SqliteSynchronous::Off,
        });
        let synchronous = options.synchronous;
        let mut writer =
            Writer { options: write, connection: None, synchronous, relaxed: false, closed: false };
        // Connect now, to report an invalid file at start, and before any reader, to switch the file to WAL.
        writer.connect().await.map_err(|e| {
            Error::Unavailable(format!("cannot open the database file {}: {e}", path.display()))
        })?;
        let read = SqlitePoolOptions::new()
            .max_connections(options.read_connections.max(1))
            .acquire_timeout(options.acquire_timeout)
            // A local file does not become unavailable, and a test costs a switch to the connection's thread.
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(connect.pragma("query_only", "on"));
        let writer = Arc::new(Mutex::new(writer));
        let generation = Arc::default();
        Ok(Self { read, writer, generation, acquire_timeout: options.acquire_timeout })
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Waits for the writer, in the order of the calls. If not `durable`, the commit does not wait for the disk.
    pub(crate) async fn begin(&self, durable: bool) -> Result<WriteGuard> {
        let locked = tokio::time::timeout(self.acquire_timeout, self.writer.clone().lock_owned());
        let writer = locked.await.map_err(|_| {
            Error::Unavailable("timed out waiting to write to the SQLite file".into())
        })?;
        let writer = Held { writer, generation: self.generation.clone() };
        let mut guard = WriteGuard { writer: Some(writer) };
        // A cancelled caller may have left its transaction open.
        if let Err(first) = guard.writer()?.begin(durable).await {
            guard.reset().await;
            guard.writer()?.begin(durable).await.map_err(|_| first)?;
        }
        Ok(guard)
    }

    pub(crate) async fn close(&self) {
        let mut writer = self.writer.lock().await;
        writer.closed = true;
        if let Some(connection) = writer.connection.take() {
            let _ = connection.close().await;
        }
        drop(writer);
        self.read.close().await;
    }
}

impl Writer {
    async fn connect(&mut self) -> Result<&mut SqliteConnection> {
        if self.closed {
            return Err(Error::Unavailable("the database was closed".into()));
        }
        if self.connection.is_none() {
            self.connection = Some(self.options.connect().await?);
            self.relaxed = false;
        }
        self.connection.as_mut().ok_or(Error::Aborted)
    }
}

impl Writer {
    async fn begin(&mut self, durable: bool) -> Result<()> {
        let relaxed = !durable && matches!(self.synchronous, Synchronous::Full);
        self.connect().await?;
        if relaxed && !self.relaxed {
            // Set first, in case that this call is cancelled.
            self.relaxed = true;
            self.connect().await?.execute("PRAGMA synchronous = NORMAL").await?;
        } else if !relaxed && self.relaxed {
            self.connect().await?.execute("PRAGMA synchronous = FULL").await?;
            self.relaxed = false;
        }
        self.connect().await?.execute("BEGIN IMMEDIATE").await?;
        Ok(())
    }
}

impl WriteGuard {
    fn writer(&mut self) -> Result<&mut Writer> {
        self.writer.as_deref_mut().ok_or(Error::Aborted)
    }

    pub(crate) fn connection(&mut self) -> Option<&mut SqliteConnection> {
        self.writer.as_mut().and_then(|writer| writer.connection.as_mut())
    }

    pub(crate) async fn commit(mut self) -> Result<()> {
        let connection = self.connection().ok_or(Error::Aborted)?;
        let result = connection.execute("COMMIT").await;
        if result.is_err() {
            self.reset().await;
        }
        // Released without a rollback.
        self.writer = None;
        result.map(drop).map_err(Error::from)
    }

    pub(crate) async fn rollback(mut self, keep_connection: bool) {
        let rolled_back = match self.connection() {
            Some(connection) => connection.execute("ROLLBACK").await.is_ok(),
            None => false,
        };
        if !rolled_back || !keep_connection {
            self.reset().await;
        }
        self.writer = None;
    }

    /// Closes the connection, which rolls back its transaction.
    async fn reset(&mut self) {
        if let Some(writer) = &mut self.writer
            && let Some(connection) = writer.connection.take()
        {
            let _ = connection.close_hard().await;
        }
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        match tokio::runtime::Handle::try_current() {
            // The writer is released after the rollback.
            Ok(runtime) => drop(runtime.spawn(async move {
                if let Some(connection) = &mut writer.connection
                    && connection.execute("ROLLBACK").await.is_err()
                {
                    writer.connection = None;
                }
            })),
            // Outside a runtime: dropping the connection closes it.
            Err(_) => writer.connection = None,
        }
    }
}

/// Creates the file with mode 0600, which SQLite also uses for the -wal and -shm files.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
