//! Database errors, classified by how a caller can react.

use std::borrow::Cow;

/// The result of a database operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a database operation failed.
///
/// Messages are for logs only: they may name tables and constraints and must not be sent to a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `fetch_one` or `fetch_scalar` found no row.
    #[error("no such row")]
    NotFound,
    /// A unique constraint was violated.
    #[error("already exists: {0}")]
    Conflict(String),
    /// A foreign key, CHECK or NOT NULL constraint was violated.
    #[error("constraint violated: {0}")]
    Constraint(String),
    /// The database cannot store a value, such as a text with a NUL character.
    #[error("value refused: {0}")]
    Invalid(String),
    /// A conflict with another transaction; retry the transaction, as [`Db::transact`](crate::Db::transact) does.
    #[error("conflicting transaction: {0}")]
    Busy(String),
    /// The disk (or the quota) is full. Reads still work.
    #[error("disk full: {0}")]
    Full(String),
    /// A statement took longer than [`Options::statement_timeout`](crate::Options::statement_timeout).
    #[error("statement timed out: {0}")]
    Timeout(String),
    /// The database is unreachable, is shutting down, or has no free connection.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// An earlier statement of this transaction failed, so it was rolled back.
    #[error("an earlier statement of the transaction failed; it was rolled back")]
    Aborted,
    /// The schema of the database and the migrations of the program differ, or a migration failed.
    #[error("{0}")]
    Migration(String),
    /// The configuration of the database is invalid.
    #[error("{0}")]
    Config(String),
    /// Anything else, such as a defect in a statement or a damaged file.
    #[error(transparent)]
    Other(sqlx::Error),
}

impl Error {
    /// Whether the transaction conflicted with another one, so that a retry is likely to succeed.
    pub fn is_busy(&self) -> bool {
        matches!(self, Error::Busy(_))
    }

    /// Whether a later retry may succeed, because the statement is correct.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Busy(_) | Error::Full(_) | Error::Timeout(_) | Error::Unavailable(_))
    }

    /// Whether the statement failed in the database, which aborts its transaction.
    pub(crate) fn ends_transaction(&self) -> bool {
        !matches!(self, Error::NotFound)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match error {
            E::RowNotFound => Error::NotFound,
            E::Io(e) => Error::Unavailable(e.to_string()),
            E::Tls(e) => Error::Unavailable(e.to_string()),
            E::PoolTimedOut => Error::Unavailable("timed out waiting for a connection".into()),
            E::PoolClosed => Error::Unavailable("the database was closed".into()),
            E::WorkerCrashed => Error::Unavailable("the connection broke".into()),
            // The server was stopped in the middle of a response.
            E::Protocol(e) => Error::Unavailable(format!("the connection broke: {e}")),
            E::Database(e) => from_database(e),
            other => Error::Other(other),
        }
    }
}

fn from_database(error: Box<dyn sqlx::error::DatabaseError>) -> Error {
    use sqlx::error::ErrorKind;
    let message = error.to_string();
    match error.kind() {
        ErrorKind::UniqueViolation | ErrorKind::ExclusionViolation => {
            return Error::Conflict(message);
        }
        ErrorKind::ForeignKeyViolation
        | ErrorKind::NotNullViolation
        | ErrorKind::CheckViolation => return Error::Constraint(message),
        _ => {}
    }
    let code = error.code().unwrap_or(Cow::Borrowed("")).into_owned();
    let classified = if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        from_sqlstate(&code, message)
    } else {
        from_sqlite(&code, message)
    };
    classified.unwrap_or(Error::Other(sqlx::Error::Database(error)))
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn from_sqlstate(code: &str, message: String) -> Option<Error> {
    Some(match code {
        "40001" | "40P01" | "55P03" => Error::Busy(message),
        "53100" => Error::Full(message),
        "57014" => Error::Timeout(message),
        // Too many connections, out of memory, shutting down or starting up.
        "53000" | "53200" | "53300" | "57P01" | "57P02" | "57P03" => Error::Unavailable(message),
        // The idle-in-transaction timeout.
        "25P02" | "25P03" => Error::Aborted,
        // Text with NUL, number out of range, time out of range, value too long for an index.
        "22021" | "22P05" | "22003" | "22008" | "22001" | "54000" => Error::Invalid(message),
        _ if code.starts_with("08") => Error::Unavailable(message),
        _ => return None,
    })
}

/// <https://www.sqlite.org/rescode.html>; sqlx gives the extended code.
fn from_sqlite(code: &str, message: String) -> Option<Error> {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    const TOO_BIG: i32 = 18;
    // The -shm file could not grow, which in practice is a full disk.
    const IOERR_SHMSIZE: i32 = 10 | (19 << 8);
    let code: i32 = code.parse().ok()?;
    if code == IOERR_SHMSIZE {
        return Some(Error::Full(message));
    }
    Some(match code & 0xff {
        BUSY | LOCKED => Error::Busy(message),
        FULL => Error::Full(message),
        CANNOT_OPEN => Error::Unavailable(message),
        TOO_BIG => Error::Invalid(message),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_codes_are_classified() {
        let check = |code: &str| from_sqlstate(code, "m".into());
        assert!(matches!(check("40001"), Some(Error::Busy(_))));
        assert!(matches!(check("40P01"), Some(Error::Busy(_))));
        assert!(matches!(check("53100"), Some(Error::Full(_))));
        assert!(matches!(check("08006"), Some(Error::Unavailable(_))));
        assert!(matches!(check("22021"), Some(Error::Invalid(_))));
        assert!(check("42601").is_none());
    }

    #[test]
    fn sqlite_codes_are_classified_primary_and_extended() {
        let check = |code: &str| from_sqlite(code, "m".into());
        assert!(matches!(check("5"), Some(Error::Busy(_))));
        assert!(matches!(check("517"), Some(Error::Busy(_))));
        assert!(matches!(check("13"), Some(Error::Full(_))));
        assert!(matches!(check("4874"), Some(Error::Full(_))));
        assert!(matches!(check("14"), Some(Error::Unavailable(_))));
        assert!(check("11").is_none());
        assert!(check("").is_none());
    }
}
