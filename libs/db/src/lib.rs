//! The same SQL text on PostgreSQL and SQLite.
//!
//! [`Db`] is the database of one service and read-only; [`Tx`] reads and writes, so that every change can append its
//! event. A read function takes `impl Read<'_>`, so that it works outside and inside a transaction. Values are bound in
//! the native types of the database.
//!
//! Rules for SQL that works on both:
//! - columns are UUID, TEXT, BIGINT (`i64` everywhere), BOOLEAN, BYTEA, TIMESTAMPTZ, DOUBLE PRECISION; JSON
//!   is TEXT;
//! - placeholders are `$1`, `$2`, …; lists by [`Query::push_in`], filters by [`Query::push_bind`], pages by
//!   row values (`AND (created_at, id) < ($3, $4)`);
//! - time is a parameter (`tx.now()`), never `now()`; `SUM(bigint)` is cast to BIGINT;
//! - no `ANY($1)`, arrays, `ILIKE`, `DISTINCT ON`, `FOR UPDATE`, data-modifying CTEs;
//! - `INSERT … ON CONFLICT DO NOTHING RETURNING` instead of reading constraint names.
//!
//! This crate is the only user of the database drivers, and does not know what the services store.

mod database;
mod error;
pub mod lease;
mod measure;
pub mod migrate;
mod options;
mod postgres;
pub mod promotion;
mod query;
mod record;
pub mod requests;
mod rows;
pub mod snapshot;
mod sql;
mod sqlite;
pub mod testing;
mod tx;
mod value;

pub use database::{Db, Engine, Read, TxGuard};
pub use error::{Error, Result};
pub use migrate::{Migration, Migrations};
pub use options::{Options, Synchronous};
pub use postgres::Announcements;
pub use query::Query;
pub use sql::{Sql, like_contains};
pub use tx::{AtCommit, Tx};
pub use value::{Record, Value, Values};

/// For the macros of this crate only.
#[doc(hidden)]
pub mod driver {
    pub use sqlx::postgres::PgRow;
    pub use sqlx::sqlite::SqliteRow;
    pub use sqlx::{Error, FromRow, Row};
}
