//! Values as text: how PostgreSQL's COPY reads them, and what contents are compared by.

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::{ColumnIndex, Decode, Row, Type};
use uuid::Uuid;

/// The types that columns have; the target says which one a column is of.
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
    /// By PostgreSQL's name of it.
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

/// Appends the columns of a row from `first` on, as a line.
pub(super) fn append<'r, R>(
    line: &mut Vec<u8>,
    row: &'r R,
    first: usize,
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
    for (index, (_, kind)) in columns.iter().enumerate() {
        let at = first + index;
        let text = match kind {
            Kind::Uuid => row.try_get::<Option<Uuid>, _>(at)?.map(|value| value.to_string()),
            Kind::Text => row.try_get::<Option<String>, _>(at)?.map(|value| escaped(&value)),
            Kind::Integer => row.try_get::<Option<i64>, _>(at)?.map(|value| value.to_string()),
            Kind::Boolean => row.try_get::<Option<bool>, _>(at)?.map(|value| truth(value).into()),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(at)?.map(|value| hexadecimal(&value)),
            Kind::Time => row.try_get::<Option<DateTime<Utc>>, _>(at)?.map(instant),
            Kind::Real => row.try_get::<Option<f64>, _>(at)?.map(|value| format!("{value:?}")),
        };
        if index > 0 {
            line.push(b'\t');
        }
        line.extend_from_slice(text.as_deref().unwrap_or("\\N").as_bytes());
    }
    line.push(b'\n');
    Ok(())
}

fn truth(value: bool) -> &'static str {
    if value { "t" } else { "f" }
}

/// To the nanosecond: what PostgreSQL would round away shows in the comparison.
fn instant(value: DateTime<Utc>) -> String {
    value.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn escaped(text: &str) -> String {
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

fn hexadecimal(bytes: &[u8]) -> String {
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
    fn values_as_copy_reads_them() {
        assert_eq!(escaped("a\tb\\\n\r\u{e9}"), "a\\tb\\\\\\n\\r\u{e9}");
        assert_eq!(hexadecimal(&[0, 0xab, 0xff]), "\\\\x00abff");
        let time = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        assert_eq!(instant(time), "2023-11-14T22:13:20.123456000Z");
    }
}
