//! What can go wrong in a database, sorted by what a caller can do about it.

use std::borrow::Cow;

/// The result of a database operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a database operation failed.
///
/// The variants are the answers a caller may give, not the codes of a driver. Messages are for logs: they
/// may name tables and constraints and must not reach a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `fetch_one` found nothing.
    #[error("no such row")]
    NotFound,
    /// A unique constraint holds already.
    #[error("already exists: {0}")]
    Conflict(String),
    /// A foreign key, a check or a NOT NULL was violated.
    #[error("constraint violated: {0}")]
    Constraint(String),
    /// A value that this database cannot hold, such as a text with a NUL character in it.
    #[error("value refused: {0}")]
    Invalid(String),
    /// Another transaction was in the way; the same transaction can be tried again
    /// ([`Db::transact`](crate::Db::transact) does).
    #[error("conflicting transaction: {0}")]
    Busy(String),
    /// The disk (or the quota) is full. Reads go on.
    #[error("disk full: {0}")]
    Full(String),
    /// A statement took longer than the statement timeout.
    #[error("statement timed out: {0}")]
    Timeout(String),
    /// The database cannot be reached, shuts down, or has no connection to spare.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// A statement of this transaction failed before, so it cannot be committed.
    #[error("the transaction failed before and was rolled back")]
    Aborted,
    /// The migrations and the database do not fit together.
    #[error("{0}")]
    Migration(String),
    /// The configuration of the database makes no sense.
    #[error("{0}")]
    Config(String),
    /// Anything else: a defect in a statement, a damaged file.
    #[error(transparent)]
    Other(sqlx::Error),
}

impl Error {
    /// Whether the same transaction, run again, may well succeed.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Error::Busy(_))
    }

    /// Whether waiting for a while may help, because nothing is wrong with the statement.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Busy(_) | Error::Full(_) | Error::Timeout(_) | Error::Unavailable(_))
    }

    /// Whether the statement reached the database and failed there. Such a failure ends a transaction.
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
            E::PoolTimedOut => Error::Unavailable("no connection became free in time".into()),
            E::PoolClosed => Error::Unavailable("the database was closed".into()),
            E::WorkerCrashed => Error::Unavailable("the connection broke".into()),
            // A server that goes down in the middle of an answer.
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
        // Idle in a transaction for too long.
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
    // The shared memory beside the file could not grow, which in practice is a full disk.
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
    fn postgres_codes() {
        let check = |code: &str| from_sqlstate(code, "m".into());
        assert!(matches!(check("40001"), Some(Error::Busy(_))));
        assert!(matches!(check("40P01"), Some(Error::Busy(_))));
        assert!(matches!(check("53100"), Some(Error::Full(_))));
        assert!(matches!(check("08006"), Some(Error::Unavailable(_))));
        assert!(matches!(check("22021"), Some(Error::Invalid(_))));
        assert!(check("42601").is_none());
    }

    #[test]
    fn sqlite_codes_primary_and_extended() {
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
