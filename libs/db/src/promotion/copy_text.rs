//! Rows in the text format of PostgreSQL's COPY, which is also what digests are computed from.

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::{ColumnIndex, Decode, Row, Type};
use uuid::Uuid;

/// The supported column types; those of the target count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Uuid,
    Text,
    Integer,
    Boolean,
    Bytes,
    Time,
    Real,
}

impl Kind {
    /// From PostgreSQL's name of the type.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "uuid" => Self::Uuid,
            "text" => Self::Text,
            "bigint" => Self::Integer,
            "boolean" => Self::Boolean,
            "bytea" => Self::Bytes,
            "timestamp with time zone" => Self::Time,
            "double precision" => Self::Real,
            _ => return None,
        })
    }
}

/// Appends the first columns of a row as a line.
pub(super) fn append<'r, R>(
    line: &mut Vec<u8>,
    row: &'r R,
    columns: &[(String, Kind)],
) -> sqlx::Result<()>
where
    R: Row,
    usize: ColumnIndex<R>,
    Uuid: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
    DateTime<Utc>: Decode<'r, R::Database> + Type<R::Database>,
    f64: Decode<'r, R::Database> + Type<R::Database>,
{
    for (at, (_, kind)) in columns.iter().enumerate() {
        let text = match kind {
            Kind::Uuid => row.try_get::<Option<Uuid>, _>(at)?.map(|value| value.to_string()),
            Kind::Text => row.try_get::<Option<String>, _>(at)?.map(|value| escape(&value)),
            Kind::Integer => row.try_get::<Option<i64>, _>(at)?.map(|value| value.to_string()),
            Kind::Boolean => row
                .try_get::<Option<bool>, _>(at)?
                .map(|value| if value { "t" } else { "f" }.into()),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(at)?.map(|value| hex(&value)),
            Kind::Time => row.try_get::<Option<DateTime<Utc>>, _>(at)?.map(rfc3339),
            Kind::Real => row.try_get::<Option<f64>, _>(at)?.map(|value| format!("{value:?}")),
        };
        if at > 0 {
            line.push(b'\t');
        }
        line.extend_from_slice(text.as_deref().unwrap_or("\\N").as_bytes());
    }
    line.push(b'\n');
    Ok(())
}

/// With nanoseconds, so that the comparison detects what PostgreSQL rounds.
fn rfc3339(value: DateTime<Utc>) -> String {
    value.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(3 + 2 * bytes.len());
    text.push_str("\\\\x");
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_the_format_of_copy() {
        assert_eq!(escape("a\tb\\\n\r\u{e9}"), "a\\tb\\\\\\n\\r\u{e9}");
        assert_eq!(hex(&[0, 0xab, 0xff]), "\\\\x00abff");
        let time = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.123456000Z");
    }
}
