//! Statements and their parameters.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::postgres::{PgArguments, PgConnection, PgHasArrayType, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe};

use crate::postgres::Pool;
use crate::rows;
use crate::testing::plans::Plans;
use crate::tx::Failure;
use crate::{Error, Record, Result, Sql, Value, Values};

pub(crate) enum Target<'c, P, C> {
    Pool(&'c P),
    /// A transaction's connection, and its failure state.
    Conn(&'c mut C, &'c mut Failure),
}

pub(crate) struct Prepared<'c, P, C, A> {
    on: Target<'c, P, C>,
    args: A,
}

/// A statement for one database. Values are bound to `$1`, `$2`, … in order.
#[must_use = "a query does nothing until it is executed or fetched"]
pub struct Query<'c> {
    sql: Cow<'static, str>,
    // The error of a value that could not be encoded; returned when the query runs.
    error: Option<Error>,
    plans: Option<Arc<Plans>>,
    inner: Inner<'c>,
}

enum Inner<'c> {
    Postgres(Prepared<'c, Pool, PgConnection, PgArguments>),
    Sqlite(Prepared<'c, SqlitePool, SqliteConnection, SqliteArguments>),
}

/// Runs one sqlx method on whichever database and executor the query holds.
macro_rules! run {
    ($query:ident.$method:ident(), $map:expr) => {{
        let sql = AssertSqlSafe($query.checked().await?);
        match $query.inner {
            Inner::Postgres(p) => {
                let query = sqlx::query_with::<Postgres, _>(sql, p.args);
                run!(@on p.on, query.$method(), $map, pool => &mut *pool.acquire().await?)
            }
            Inner::Sqlite(p) => {
                let query = sqlx::query_with::<Sqlite, _>(sql, p.args);
                run!(@on p.on, query.$method(), $map, pool => pool)
            }
        }
    }};
    (@on $on:expr, $query:ident.$method:ident(), $map:expr, $pool:ident => $executor:expr) => {
        match $on {
            Target::Pool($pool) => $query.$method($executor).await.map($map).map_err(Error::from),
            Target::Conn(conn, failure) => {
                let result = $query.$method(conn).await.map($map).map_err(Error::from);
                failure.note(&result);
                result
            }
        }
    };
}

enum Rows {
    Postgres(Vec<PgRow>),
    Sqlite(Vec<SqliteRow>),
}

impl Rows {
    fn read<T: Record>(self) -> Result<Vec<T>> {
        let records: sqlx::Result<_> = match self {
            Self::Postgres(rows) => rows.iter().map(T::from_row).collect(),
            Self::Sqlite(rows) => rows.iter().map(T::from_row).collect(),
        };
        records.map_err(Error::from)
    }
}

impl From<Option<PgRow>> for Rows {
    fn from(row: Option<PgRow>) -> Self {
        Self::Postgres(row.into_iter().collect())
    }
}

impl From<Option<SqliteRow>> for Rows {
    fn from(row: Option<SqliteRow>) -> Self {
        Self::Sqlite(row.into_iter().collect())
    }
}

impl<'c> Query<'c> {
    pub(crate) fn postgres(sql: Sql, on: Target<'c, Pool, PgConnection>) -> Self {
        let inner = Inner::Postgres(Prepared { on, args: PgArguments::default() });
        Self { sql: sql.postgres.into(), error: None, plans: None, inner }
    }

    pub(crate) fn sqlite(sql: Sql, on: Target<'c, SqlitePool, SqliteConnection>) -> Self {
        let inner = Inner::Sqlite(Prepared { on, args: SqliteArguments::default() });
        Self { sql: sql.sqlite.into(), error: None, plans: None, inner }
    }

    /// Binds the next `$n`.
    pub fn bind<T: Value>(mut self, value: T) -> Self {
        let added = match &mut self.inner {
            Inner::Postgres(p) => Arguments::add(&mut p.args, value),
            Inner::Sqlite(p) => Arguments::add(&mut p.args, value),
        };
        if let Err(e) = added {
            self.error = Some(Error::Invalid(e.to_string()));
        }
        self
    }

    /// Binds the next `$n`s to the values of a tuple.
    pub fn bind_all(self, values: impl Values) -> Self {
        values.bind_to(self)
    }

    /// Appends SQL, for optional filters.
    pub fn push(mut self, sql: &'static str) -> Self {
        self.sql.to_mut().push_str(sql);
        self
    }

    /// Appends a quoted name from the database's catalogue.
    pub(crate) fn push_name(mut self, name: &str) -> Self {
        self.sql.to_mut().push_str(name);
        self
    }

    /// Appends a placeholder and binds it.
    pub fn push_bind<T: Value>(self, value: T) -> Self {
        self.bind(value).push_placeholder()
    }

    /// Appends placeholders, separated by commas, and binds the values of a tuple.
    pub fn push_bind_all(self, values: impl Values) -> Self {
        let first = self.bound() + 1;
        let mut query = self.bind_all(values);
        for n in first..=query.bound() {
            let separator = if n == first { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(query.sql.to_mut(), "{separator}${n}");
        }
        query
    }

    fn push_placeholder(mut self) -> Self {
        let n = self.bound();
        // Writing to a String cannot fail.
        let _ = write!(self.sql.to_mut(), "${n}");
        self
    }

    /// The number of bound values.
    fn bound(&self) -> usize {
        match &self.inner {
            Inner::Postgres(p) => Arguments::len(&p.args),
            Inner::Sqlite(p) => Arguments::len(&p.args),
        }
    }

    /// Appends `IN (…)`, which is false for an empty list. On PostgreSQL the values are one array, so that a single
    /// statement is prepared for all numbers of values.
    pub fn push_in<T>(mut self, values: impl IntoIterator<Item = T>) -> Self
    where
        T: Value + PgHasArrayType,
    {
        if matches!(self.inner, Inner::Postgres(_)) {
            let values: Vec<T> = values.into_iter().collect();
            return self.push(" = ANY(").push_array(values).push(")");
        }
        let mut separator = " IN (";
        for value in values {
            self = self.push(separator).push_bind(value);
            separator = ", ";
        }
        if separator == " IN (" { self.push(" IN ()") } else { self.push(")") }
    }

    /// Appends a query whose rows are the values (at least one) in a single column.
    pub fn push_rows<T>(mut self, column: &'static str, values: impl IntoIterator<Item = T>) -> Self
    where
        T: Value + PgHasArrayType,
    {
        if matches!(self.inner, Inner::Postgres(_)) {
            let values: Vec<T> = values.into_iter().collect();
            return self.push("SELECT unnest(").push_array(values).push(") AS ").push(column);
        }
        // `column1` is SQLite's name.
        self = self.push("SELECT column1 AS ").push(column);
        let mut separator = " FROM (VALUES (";
        for value in values {
            self = self.push(separator).push_bind(value).push(")");
            separator = ", (";
        }
        self.push(")")
    }

    /// Appends a placeholder and binds an array. Does nothing on SQLite, which has no arrays.
    pub fn push_array<T>(mut self, values: Vec<T>) -> Self
    where
        T: Value + PgHasArrayType,
    {
        if let Inner::Postgres(p) = &mut self.inner {
            if let Err(e) = Arguments::add(&mut p.args, values) {
                self.error = Some(Error::Invalid(e.to_string()));
            }
            return self.push_placeholder();
        }
        self
    }

    /// Makes the query fail with `error` when it runs.
    pub(crate) fn fail(mut self, error: Error) -> Self {
        self.error = Some(error);
        self
    }

    /// Checks the plan before the query runs.
    pub(crate) fn check_plan(mut self, plans: Option<&Arc<Plans>>) -> Self {
        self.plans = plans.cloned();
        self
    }

    async fn checked(&mut self) -> Result<Cow<'static, str>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if let Some(plans) = &self.plans {
            Box::pin(plans.check(&self.sql)).await?;
        }
        Ok(std::mem::take(&mut self.sql))
    }

    /// Runs the statement and returns the number of changed rows.
    pub fn execute(mut self) -> BoxFuture<'c, Result<u64>> {
        Box::pin(async move { run!(self.execute(), |result| result.rows_affected()) })
    }

    /// The first row; [`Error::NotFound`] without one.
    pub async fn fetch_one<T: Record>(self) -> Result<T> {
        self.fetch_optional().await?.ok_or(Error::NotFound)
    }

    /// The first row; None without one.
    pub async fn fetch_optional<T: Record>(self) -> Result<Option<T>> {
        Ok(self.first_row().await?.read()?.pop())
    }

    /// Every row, in memory.
    pub async fn fetch_all<T: Record>(self) -> Result<Vec<T>> {
        self.rows().await?.read()
    }

    // The driver's code is compiled in this crate only, because these functions are not generic and box their futures.

    fn first_row(mut self) -> BoxFuture<'c, Result<Rows>> {
        Box::pin(async move { run!(self.fetch_optional(), Rows::from) })
    }

    fn rows(mut self) -> BoxFuture<'c, Result<Rows>> {
        Box::pin(async move {
            let sql = AssertSqlSafe(self.checked().await?);
            match self.inner {
                Inner::Postgres(p) => {
                    let query = sqlx::query_with::<Postgres, _>(sql, p.args);
                    run!(@on p.on, query.fetch_all(), Rows::Postgres, pool => &mut *pool.acquire().await?)
                }
                Inner::Sqlite(p) => {
                    let query = sqlx::query_with::<Sqlite, _>(sql, p.args);
                    match p.on {
                        Target::Pool(pool) => {
                            Ok(Rows::Sqlite(rows::collect(query.fetch(pool)).await?))
                        }
                        Target::Conn(conn, failure) => {
                            let rows = rows::collect(query.fetch(conn)).await;
                            let result = rows.map(Rows::Sqlite).map_err(Error::from);
                            failure.note(&result);
                            result
                        }
                    }
                }
            }
        })
    }

    /// The first column of the first row; [`Error::NotFound`] when there is no row.
    pub async fn fetch_scalar<T>(self) -> Result<T>
    where
        (T,): Record,
    {
        let (value,) = self.fetch_one().await?;
        Ok(value)
    }

    /// The first column of the first row; None when there is no row.
    pub async fn fetch_scalar_optional<T>(self) -> Result<Option<T>>
    where
        (T,): Record,
    {
        Ok(self.fetch_optional::<(T,)>().await?.map(|(value,)| value))
    }
}
