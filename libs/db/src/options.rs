//! How a service's database is opened.

use std::path::PathBuf;
use std::time::Duration;

use ids::Clock;

use crate::{Error, Result};

/// Where a service's database is and how to open it.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:/path/auth.db` or `postgres://user:password@host:port/database`.
    pub url: String,
    /// The service that owns the data; also the name of its schema on PostgreSQL.
    pub service: String,
    /// The PostgreSQL schema, where it is not named like the service.
    pub schema: Option<String>,
    /// Connections that only read.
    pub read_connections: u32,
    /// Connections that write (PostgreSQL; SQLite has one writer).
    pub write_connections: u32,
    /// How long to wait for a connection, or for one's turn to write.
    pub acquire_timeout: Duration,
    /// How long one statement may take (PostgreSQL).
    pub statement_timeout: Duration,
    /// When SQLite waits for the disk.
    pub synchronous: Synchronous,
    /// Whether events go to the outbox, for a relay to publish, instead of the log (PostgreSQL).
    pub relayed: bool,
    /// The time of events and records that are written by the libraries.
    pub clock: Clock,
}

/// When a SQLite commit is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Before the commit returns. What was acknowledged survives a power cut.
    #[default]
    Full,
    /// At the next checkpoint. A crash of the program loses nothing, a power cut may lose the last commits.
    Normal,
    /// Whenever the operating system likes. For tests.
    Off,
}

impl Options {
    /// The defaults for a service's database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>, service: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            service: service.into(),
            schema: None,
            read_connections: 4,
            write_connections: 8,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            synchronous: Synchronous::Full,
            relayed: false,
            clock: Clock::system(),
        }
    }

    /// With another clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn location(&self) -> Result<Location> {
        let schema = self.schema.clone().unwrap_or_else(|| self.service.clone());
        if !is_identifier(&schema) {
            return Err(Error::Config(format!("{schema:?} is no name for a schema")));
        }
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let ok = !path.is_empty() && !path.contains(":memory:") && !path.contains('?');
            return match ok {
                true => Ok(Location::Sqlite(PathBuf::from(path))),
                false => Err(Error::Config(format!(
                    "the database URL {:?} must be sqlite:/path/to/file.db",
                    self.url
                ))),
            };
        }
        if self.url.starts_with("postgres://") || self.url.starts_with("postgresql://") {
            return Ok(Location::Postgres { url: self.url.clone(), schema });
        }
        let scheme = self.url.split(':').next().unwrap_or_default();
        Err(Error::Config(format!(
            "a database URL starts with sqlite: or postgres://, not with {scheme:?}"
        )))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres { url: String, schema: String },
}

/// Whether a name can stand in SQL without quotes. Schema names come from configuration, never from clients.
fn is_identifier(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
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
    fn an_error_does_not_show_the_password() {
        let error = Options::new("mysql://u:secret@h/d", "auth").location().unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn schema_names_are_plain() {
        for name in ["auth", "t_1_auth"] {
            assert!(is_identifier(name));
        }
        for name in ["", "1a", "a-b", "a;drop", "Auth", "a\"b"] {
            assert!(!is_identifier(name), "{name:?}");
        }
    }
}
