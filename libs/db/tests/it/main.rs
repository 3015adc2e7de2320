//! The public interface of `db`, on both databases.
#![expect(clippy::disallowed_methods, reason = "tests spawn tasks directly")]

mod lease;
mod migrate;
mod migrate_down;
mod outage;
mod plans;
mod promotion;
mod requests;
mod snapshot;
mod sqlite;
mod tx;

const MIGRATIONS: db::Migrations =
    db::Migrations { service: "things", files: &[same("0001_things", THINGS)] };

/// A migration with the same script for both databases.
const fn same(name: &'static str, script: &'static str) -> db::Migration {
    db::Migration::new(name, script, script)
}

const ONE: db::Migration = same("0001_one", "CREATE TABLE one (a TEXT)");

const fn set(files: &'static [db::Migration]) -> db::Migrations {
    db::Migrations { service: "steps", files }
}

const THINGS: &str = "
    CREATE TABLE things (
      id UUID PRIMARY KEY, name TEXT NOT NULL UNIQUE, size BIGINT NOT NULL, ok BOOLEAN NOT NULL,
      data BYTEA, made_at TIMESTAMPTZ NOT NULL, weight DOUBLE PRECISION
    );
    CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL CHECK (value >= 0));";
