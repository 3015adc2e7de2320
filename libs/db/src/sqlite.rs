//! A SQLite file: one writer with a fair queue, and a pool that reads.
//!
//! The writer is not a pool of one. SQLite ends a transaction by itself on some errors (a full disk); the
//! driver's own transaction then fails to roll back, keeps counting, and every later transaction of that
//! connection fails. Here a transaction that did not end well is rolled back by hand, and after an error that
//! is not the statement's own fault the connection is replaced.

use std::path::Path;
use std::sync::Arc;
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
    acquire_timeout: Duration,
}

struct Writer {
    options: SqliteConnectOptions,
    // None until first used, after a close and after an error that may be the connection's.
    connection: Option<SqliteConnection>,
    closed: bool,
}

/// The one writer, while somebody has it, inside BEGIN IMMEDIATE.
pub(crate) struct WriteTurn {
    guard: Option<OwnedMutexGuard<Writer>>,
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
        let mut writer = Writer { options: write, connection: None, closed: false };
        // Opened now, so that a file that is no database is found at start, and before any reader, because it
        // switches the file to WAL.
        writer.connect().await.map_err(|e| {
            Error::Unavailable(format!("cannot open the database file {}: {e}", path.display()))
        })?;
        let read = SqlitePoolOptions::new()
            .max_connections(options.read_connections.max(1))
            .acquire_timeout(options.acquire_timeout)
            // A local file does not go away, and asking costs a trip to the connection's thread.
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(connect.pragma("query_only", "on"));
        let writer = Arc::new(Mutex::new(writer));
        Ok(Self { read, writer, acquire_timeout: options.acquire_timeout })
    }

    /// Waits for the turn to write; turns are given in the order of asking.
    pub(crate) async fn begin(&self) -> Result<WriteTurn> {
        let turn = tokio::time::timeout(self.acquire_timeout, self.writer.clone().lock_owned());
        let guard = turn.await.map_err(|_| {
            Error::Unavailable("the turn to write to the SQLite file did not come in time".into())
        })?;
        let mut turn = WriteTurn { guard: Some(guard) };
        let connection = turn.writer()?.connect().await?;
        // A caller that went away in the middle may have left its transaction open.
        if let Err(first) = connection.execute("BEGIN IMMEDIATE").await {
            turn.reset().await;
            let connection = turn.writer()?.connect().await?;
            connection.execute("BEGIN IMMEDIATE").await.map_err(|_| Error::from(first))?;
        }
        Ok(turn)
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
        }
        self.connection.as_mut().ok_or(Error::Aborted)
    }
}

impl WriteTurn {
    fn writer(&mut self) -> Result<&mut Writer> {
        self.guard.as_deref_mut().ok_or(Error::Aborted)
    }

    pub(crate) fn connection(&mut self) -> Option<&mut SqliteConnection> {
        self.guard.as_mut().and_then(|guard| guard.connection.as_mut())
    }

    pub(crate) async fn commit(mut self) -> Result<()> {
        let connection = self.connection().ok_or(Error::Aborted)?;
        let result = connection.execute("COMMIT").await;
        match result {
            Ok(_) => {
                // Released without a rollback.
                self.guard = None;
                Ok(())
            }
            Err(e) => {
                self.reset().await;
                self.guard = None;
                Err(e.into())
            }
        }
    }

    pub(crate) async fn rollback(mut self, keep: bool) {
        let rolled_back = match self.connection() {
            Some(connection) => connection.execute("ROLLBACK").await.is_ok(),
            None => false,
        };
        if !rolled_back || !keep {
            self.reset().await;
        }
        self.guard = None;
    }

    /// Drops the connection, and with it whatever it was in the middle of.
    async fn reset(&mut self) {
        if let Some(guard) = &mut self.guard
            && let Some(connection) = guard.connection.take()
        {
            let _ = connection.close_hard().await;
        }
    }
}

impl Drop for WriteTurn {
    fn drop(&mut self) {
        let Some(mut guard) = self.guard.take() else { return };
        match tokio::runtime::Handle::try_current() {
            // The turn goes to the next one only after the rollback.
            Ok(runtime) => drop(runtime.spawn(async move {
                if let Some(connection) = &mut guard.connection
                    && connection.execute("ROLLBACK").await.is_err()
                {
                    guard.connection = None;
                }
            })),
            // Outside a runtime nothing can be awaited: the connection closes by itself.
            Err(_) => guard.connection = None,
        }
    }
}

/// Creates the file readable by its owner only; SQLite gives its side files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
