//! Configuration of a service's database.

use std::path::PathBuf;
use std::time::Duration;

use ids::Clock;

use crate::{Error, Result};

/// Options of [`Db::open`](crate::Db::open).
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:/path/auth.db` or `postgres://user:password@host:port/database`.
    pub url: String,
    /// The service that owns the data.
    pub service: String,
    /// The PostgreSQL schema; by default the name of the service.
    pub schema: Option<String>,
    /// Size of the read-only pool; by default 4 on SQLite, 2 on PostgreSQL.
    pub read_connections: u32,
    /// Size of the write pool, 3 by default (PostgreSQL; SQLite has one writer).
    pub write_connections: u32,
    /// The longest wait for a connection or the SQLite writer, 10 s by default. If PostgreSQL does not answer, the wait
    /// ends after a second.
    pub acquire_timeout: Duration,
    /// The longest time of a statement, 30 s by default (PostgreSQL).
    pub statement_timeout: Duration,
    /// When SQLite syncs commits to disk.
    pub synchronous: Synchronous,
    /// Whether events go to the outbox, which a relay publishes, instead of the log (PostgreSQL).
    pub relayed: bool,
    /// The clock of [`Tx::now`](crate::Tx::now) and of rows written by this crate.
    pub clock: Clock,
}

/// When SQLite syncs a commit to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Before the commit returns: acknowledged writes survive a power failure.
    #[default]
    Full,
    /// At the next checkpoint: a power failure may lose the last commits, a crash of the process loses nothing.
    Normal,
    /// Never; for tests.
    Off,
}

impl Options {
    /// The defaults for the database of `service` at `url`.
    pub fn new(url: impl Into<String>, service: impl Into<String>) -> Self {
        let url = url.into();
        Self {
            read_connections: if url.starts_with("sqlite:") { 4 } else { 2 },
            url,
            service: service.into(),
            schema: None,
            write_connections: 3,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            synchronous: Synchronous::Full,
            relayed: false,
            clock: Clock::system(),
        }
    }

    /// Replaces the system clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn location(&self) -> Result<Location> {
        let schema = self.schema.clone().unwrap_or_else(|| self.service.clone());
        if !is_identifier(&schema) {
            return Err(Error::Config(format!(
                "invalid schema name {schema:?}: must be 1 to 63 of a-z, 0-9 and '_', starting with a letter"
            )));
        }
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let ok = !path.is_empty() && !path.contains(":memory:") && !path.contains('?');
            return match ok {
                true => Ok(Location::Sqlite(PathBuf::from(path))),
                false => Err(Error::Config(format!(
                    "invalid database URL {:?}: must be sqlite:/path/to/file.db",
                    self.url
                ))),
            };
        }
        if self.url.starts_with("postgres://") || self.url.starts_with("postgresql://") {
            return Ok(Location::Postgres { url: self.url.clone(), schema });
        }
        let scheme = self.url.split(':').next().unwrap_or_default();
        Err(Error::Config(format!(
            "invalid database URL: must start with sqlite: or postgres://, got {scheme:?}"
        )))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres { url: String, schema: String },
}

/// Whether a name can be used in SQL without quotes.
fn is_identifier(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed() {
        let location = |url: &str| Options::new(url, "auth").location();
        assert_eq!(location("sqlite:/a/b.db").unwrap(), Location::Sqlite("/a/b.db".into()));
        assert_eq!(location("sqlite:///a/b.db").unwrap(), Location::Sqlite("/a/b.db".into()));
        assert_eq!(location("sqlite:data/b.db").unwrap(), Location::Sqlite("data/b.db".into()));
        assert!(matches!(location("postgres://h/d").unwrap(), Location::Postgres { .. }));
        for wrong in ["", "sqlite:", "sqlite::memory:", "mysql://h/d", "/a/b.db"] {
            assert!(matches!(location(wrong), Err(Error::Config(_))), "{wrong:?}");
        }
    }

    #[test]
    fn url_errors_hide_the_password() {
        let error = Options::new("mysql://u:secret@h/d", "auth").location().unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn schema_names_are_checked() {
        for name in ["auth", "t_1_auth"] {
            assert!(is_identifier(name));
        }
        for name in ["", "1a", "a-b", "a;drop", "Auth", "a\"b"] {
            assert!(!is_identifier(name), "{name:?}");
        }
    }
}
