//! Write transactions and commit hooks.

use std::any::Any;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use ids::{Clock, Uuid};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Transaction};

use crate::database::Backend;
use crate::query::Target;
use crate::sqlite::WriteGuard;
use crate::{Db, Engine, Error, Query, Result, Sql};

/// A write transaction; rolled back on drop.
///
/// A failed statement aborts the transaction on both databases (SQLite alone would continue): it cannot be committed.
pub struct Tx {
    db: Db,
    conn: Box<dyn Held>,
    failure: Failure,
    at_commit: Vec<Box<dyn Stage>>,
    after_commit: Vec<Box<dyn FnOnce() + Send>>,
}

pub(crate) enum Conn {
    Postgres(Transaction<'static, sqlx::Postgres>),
    Sqlite(WriteGuard),
}

/// Hides the type of a connection, so that the code that drops it is compiled once, and not in every crate that drops
/// a transaction.
trait Held: Send {
    fn get(&mut self) -> &mut Conn;
    fn take(self: Box<Self>) -> Conn;
}

impl Held for Conn {
    fn get(&mut self) -> &mut Conn {
        self
    }

    fn take(self: Box<Self>) -> Conn {
        *self
    }
}

/// The cause of the first failure of a transaction's statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Failure {
    #[default]
    None,
    Busy,
    Statement,
    Connection,
    Full,
}

impl Failure {
    pub(crate) fn note<T>(&mut self, result: &Result<T>) {
        let Err(error) = result else { return };
        if *self == Failure::None && error.ends_transaction() {
            *self = match error {
                Error::Busy(_) => Failure::Busy,
                Error::Conflict(_) | Error::Constraint(_) | Error::Invalid(_) => Failure::Statement,
                Error::Full(_) => Failure::Full,
                _ => Failure::Connection,
            };
        }
    }
}

/// Collects changes during a transaction and writes them just before its commit, to hold locks as briefly as
/// possible. See [`Tx::at_commit`].
pub trait AtCommit: Default + Send + 'static {
    /// Writes the collected changes. An error rolls the transaction back.
    fn write(self, tx: &mut Tx) -> impl Future<Output = Result<()>> + Send;
}

type Written<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Object-safe [`AtCommit`].
trait Stage: Any + Send {
    fn write_boxed<'a>(self: Box<Self>, tx: &'a mut Tx) -> Written<'a>;
}

impl<T: AtCommit> Stage for T {
    fn write_boxed<'a>(self: Box<Self>, tx: &'a mut Tx) -> Written<'a> {
        Box::pin((*self).write(tx))
    }
}

impl Tx {
    pub(crate) fn new(db: Db, conn: Conn) -> Self {
        let (conn, failure) = (Box::new(conn), Failure::None);
        Self { db, conn, failure, at_commit: Vec::new(), after_commit: Vec::new() }
    }

    pub fn query(&mut self, sql: impl Into<Sql>) -> Query<'_> {
        let sql = sql.into();
        let query = match self.conn.get() {
            Conn::Postgres(tx) => Query::postgres(sql, Target::Conn(&mut *tx, &mut self.failure)),
            Conn::Sqlite(guard) => match guard.connection() {
                Some(conn) => Query::sqlite(sql, Target::Conn(conn, &mut self.failure)),
                None => self.db.query(sql).fail(Error::Aborted),
            },
        };
        query.check_plan(self.db.plans())
    }

    /// Acquires the lock `name` of this service's database until the end of the transaction. Does nothing on SQLite,
    /// where write transactions are exclusive.
    pub fn advisory_lock<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(schema) = self.schema() else { return Ok(()) };
            let digest = Sha256::digest(format!("agon/{schema}/{name}"));
            let mut key = [0; 8];
            key.copy_from_slice(&digest[..8]);
            let lock = self.query("SELECT pg_advisory_xact_lock($1)").bind(i64::from_be_bytes(key));
            lock.execute().await.map(drop)
        })
    }

    /// Runs several statements without parameters.
    pub(crate) async fn script(&mut self, text: Cow<'static, str>) -> Result<()> {
        let script = sqlx::raw_sql(AssertSqlSafe(text));
        let result = match self.conn.get() {
            Conn::Postgres(tx) => script.execute(&mut **tx).await.map(drop).map_err(Error::from),
            Conn::Sqlite(guard) => {
                let conn = guard.connection().ok_or(Error::Aborted)?;
                script.execute(conn).await.map(drop).map_err(Error::from)
            }
        };
        self.failure.note(&result);
        result
    }

    /// The connection to PostgreSQL. The caller must roll back after an error.
    pub(crate) fn postgres(&mut self) -> Option<&mut sqlx::PgConnection> {
        match self.conn.get() {
            Conn::Postgres(tx) => Some(&mut *tx),
            Conn::Sqlite(_) => None,
        }
    }

    pub(crate) fn schema(&self) -> Option<&str> {
        match self.db.backend() {
            Backend::Postgres(pg) => Some(&pg.schema),
            Backend::Sqlite(_) => None,
        }
    }

    /// Commits. After an error nothing was committed, except when the connection broke during the commit: then the
    /// outcome is unknown, and request ids make a retry safe.
    pub fn commit(mut self) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            if let Err(error) = self.write_stages().await {
                self.rollback().await;
                return Err(error);
            }
            if self.failure != Failure::None {
                self.rollback().await;
                return Err(Error::Aborted);
            }
            let hooks = std::mem::take(&mut self.after_commit);
            let db = self.db.clone();
            let result = match self.conn.take() {
                Conn::Postgres(tx) => tx.commit().await.map_err(Error::from),
                Conn::Sqlite(guard) => guard.commit().await,
            };
            match &result {
                Ok(()) => db.note_full(false),
                Err(Error::Full(_)) => db.note_full(true),
                Err(_) => {}
            }
            result?;
            for hook in hooks {
                hook();
            }
            Ok(())
        })
    }

    /// Rolls back, and waits for it. Dropping the transaction rolls back in the background.
    pub fn rollback(self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let keep_connection = !matches!(self.failure, Failure::Connection | Failure::Full);
            if self.failure == Failure::Full {
                self.db.note_full(true);
            }
            match self.conn.take() {
                // When this fails, the connection is broken, and the server rolls back.
                Conn::Postgres(tx) => drop(tx.rollback().await),
                Conn::Sqlite(guard) => guard.rollback(keep_connection).await,
            }
        })
    }

    /// Commits when `result` is Ok, otherwise rolls back and returns its error.
    pub(crate) async fn finish<T>(self, result: Result<T>) -> Result<T> {
        match result {
            Ok(value) => self.commit().await.map(|()| value),
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(hook));
    }

    /// The transaction's collector of type `T`, created on first use.
    pub fn at_commit<T: AtCommit>(&mut self) -> &mut T {
        let mut stages = self.at_commit.iter();
        let known = stages.position(|stage| (stage.as_ref() as &dyn Any).is::<T>());
        let index = known.unwrap_or_else(|| {
            self.at_commit.push(Box::new(T::default()));
            self.at_commit.len() - 1
        });
        let stage: &mut dyn Any = self.at_commit[index].as_mut();
        stage.downcast_mut().unwrap_or_else(|| unreachable!("stages are found by their type"))
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.db.clock().now()
    }

    pub fn new_id(&self) -> Uuid {
        self.db.clock().new_id()
    }

    /// The clock of [`Options::clock`](crate::Options::clock).
    pub fn clock(&self) -> &Clock {
        self.db.clock()
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    pub fn engine(&self) -> Engine {
        self.db.engine()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.failure == Failure::Busy
    }

    async fn write_stages(&mut self) -> Result<()> {
        while self.failure == Failure::None && !self.at_commit.is_empty() {
            let stage = self.at_commit.remove(0);
            stage.write_boxed(self).await?;
        }
        Ok(())
    }
}
