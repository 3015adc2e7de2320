//! The text forms of Timestamp, Duration and FieldMask in proto JSON.

use crate::scalar::Payload;

/// The seconds and nanoseconds of a Timestamp or Duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub seconds: i64,
    /// Has the sign of `seconds` in a Duration; never negative in a Timestamp.
    pub nanos: i32,
}

impl Span {
    /// Appends the fields of the encoded Timestamp or Duration.
    pub fn put(self, out: &mut Vec<u8>) {
        for (number, part) in [(1, self.seconds), (2, i64::from(self.nanos))] {
            if part != 0 {
                Payload::Varint(part as u64).put(out, number);
            }
        }
    }
}

/// 0001-01-01T00:00:00Z
const MIN_TIMESTAMP: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z
const MAX_TIMESTAMP: i64 = 253_402_300_799;
/// In seconds; about ten thousand years.
const MAX_DURATION: i64 = 315_576_000_000;

/// Reads an RFC 3339 time such as `2026-01-31T09:30:00.25Z`.
pub fn parse_timestamp(text: &str) -> Result<Span, &'static str> {
    let span = rfc3339(text).ok_or("must be an RFC 3339 time such as 2026-01-31T09:30:00Z")?;
    if (MIN_TIMESTAMP..=MAX_TIMESTAMP).contains(&span.seconds) {
        Ok(span)
    } else {
        Err("must be a time between the years 1 and 9999")
    }
}

fn rfc3339(text: &str) -> Option<Span> {
    let (clock, rest) = text.split_at_checked(19)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
            (1..=9).contains(&(fraction.len() - zone.len())).then_some(zone)?
        }
        None => rest,
    };
    let has_form = |text: &str, form: &str| {
        let fits = |(byte, form): (u8, u8)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == form,
        };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
    };
    // The parser of prost-types also accepts other forms, and rounds leap seconds down.
    let strict = has_form(clock, "0000-00-00T00:00:00")
        && !clock.ends_with("60")
        && (zone == "Z" || has_form(zone, "+00:00") || has_form(zone, "-00:00"));
    let time: prost_types::Timestamp = strict.then(|| text.parse().ok())??;
    Some(Span { seconds: time.seconds, nanos: time.nanos })
}

/// Appends a time as a JSON string; `None` if it is out of range. The fraction has 0, 3, 6 or 9 digits.
pub fn put_timestamp(out: &mut Vec<u8>, span: Span) -> Option<()> {
    let Span { seconds, nanos } = span;
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    if !(MIN_TIMESTAMP..=MAX_TIMESTAMP).contains(&seconds) {
        return None;
    }
    let since_year_1 = u64::try_from(seconds - MIN_TIMESTAMP).ok()?;
    let (year, month, day) = date(since_year_1 / 86_400);
    let second = (since_year_1 % 86_400) as u32;
    let mut text = *b"\"0000-00-00T00:00:00";
    put_digits(&mut text[1..5], year);
    put_digits(&mut text[6..8], month);
    put_digits(&mut text[9..11], day);
    put_digits(&mut text[12..14], second / 3600);
    put_digits(&mut text[15..17], second / 60 % 60);
    put_digits(&mut text[18..20], second % 60);
    out.extend_from_slice(&text);
    if nanos > 0 {
        let mut fraction = *b".000000000";
        put_digits(&mut fraction[1..], nanos);
        let length = match nanos {
            nanos if nanos % 1_000_000 == 0 => 4,
            nanos if nanos % 1_000 == 0 => 7,
            _ => 10,
        };
        out.extend_from_slice(&fraction[..length]);
    }
    out.extend_from_slice(b"Z\"");
    Some(())
}

/// Writes a number with leading zeros.
fn put_digits(text: &mut [u8], mut number: u32) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of the Gregorian calendar; `days` since 0001-01-01.
fn date(days: u64) -> (u32, u32, u32) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    const DAYS_OF_100_YEARS: u64 = 36_524;
    const DAYS_OF_4_YEARS: u64 = 1_461;
    let (cycles, days) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    // The last century of a cycle, and the last year of four, are a day longer.
    let centuries = (days / DAYS_OF_100_YEARS).min(3);
    let days = days - centuries * DAYS_OF_100_YEARS;
    let (fours, days) = (days / DAYS_OF_4_YEARS, days % DAYS_OF_4_YEARS);
    let years = (days / 365).min(3);
    let year = 400 * cycles + 100 * centuries + 4 * fours + years + 1;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if leap { 29 } else { 28 };
    let mut day = days - years * 365;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year as u32, month, day as u32 + 1)
}

/// Reads a duration such as `1.5s`.
pub fn parse_duration(text: &str) -> Result<Span, &'static str> {
    let expected = "must be a duration in seconds such as 1.5s";
    let number = text.strip_suffix('s').ok_or(expected)?;
    let (sign, number) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number),
    };
    let (whole, nanos) = match number.split_once('.') {
        Some((whole, rest)) => (whole, fraction(rest).ok_or(expected)?),
        None => (number, 0),
    };
    let seconds = digits(whole).ok_or(expected)?;
    if seconds > MAX_DURATION {
        return Err("must be at most 315576000000s");
    }
    Ok(Span { seconds: sign * seconds, nanos: sign as i32 * nanos })
}

/// Formats a duration; `None` if it is out of range or its signs differ.
pub fn duration_text(span: Span) -> Option<String> {
    let Span { seconds, nanos } = span;
    let same_sign = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    let valid = same_sign
        && seconds.unsigned_abs() <= MAX_DURATION as u64
        && nanos.unsigned_abs() <= 999_999_999;
    valid.then(|| prost_types::Duration { seconds, nanos }.to_string())
}

/// Reads a field mask such as `title,timeLimit.seconds` into proto paths. `lenient` also accepts
/// proto names, which are common in queries.
pub fn parse_field_mask(text: &str, lenient: bool) -> Result<Vec<String>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|path| snake_path(path.trim_matches(' '), lenient)).collect()
}

fn snake_path(path: &str, lenient: bool) -> Result<String, &'static str> {
    let expected = "must be a list of field paths such as title,timeLimit";
    if path == "*" {
        return Ok(path.to_owned());
    }
    let mut snake = String::with_capacity(path.len() + 4);
    for (index, part) in path.split('.').enumerate() {
        if index > 0 {
            snake.push('.');
        }
        if part.is_empty() {
            return Err(expected);
        }
        for letter in part.chars() {
            match letter {
                'a'..='z' | '0'..='9' => snake.push(letter),
                'A'..='Z' => snake.extend(['_', letter.to_ascii_lowercase()]),
                '_' if lenient => snake.push('_'),
                _ => return Err(expected),
            }
        }
    }
    Ok(snake)
}

/// Formats a path of a field mask; `None` if it cannot be read back.
pub fn camel_path(path: &str) -> Option<String> {
    let mut camel = String::with_capacity(path.len());
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            'A'..='Z' => return None,
            '_' => {
                let letter = letters.next().filter(char::is_ascii_lowercase)?;
                camel.push(letter.to_ascii_uppercase());
            }
            other => camel.push(other),
        }
    }
    Some(camel)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn fraction(text: &str) -> Option<i32> {
    if text.len() > 9 {
        return None;
    }
    let value = i32::try_from(digits(text)?).ok()?;
    Some(value * 10_i32.pow(9 - text.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp_text(span: Span) -> Option<String> {
        let mut out = Vec::new();
        put_timestamp(&mut out, span)?;
        let text = String::from_utf8(out).unwrap();
        Some(text.trim_matches('"').to_owned())
    }

    #[test]
    fn timestamps_round_trip() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("0001-01-01T00:00:00Z", MIN_TIMESTAMP, 0),
            ("9999-12-31T23:59:59.999999999Z", MAX_TIMESTAMP, 999_999_999),
            ("2000-02-29T12:30:15.250Z", 951_827_415, 250_000_000),
            ("1969-12-31T23:59:59.000001Z", -1, 1000),
        ] {
            let span = Span { seconds, nanos };
            assert_eq!(parse_timestamp(text), Ok(span), "{text}");
            assert_eq!(timestamp_text(span).as_deref(), Some(text));
        }
        assert_eq!(parse_timestamp("1970-01-01T08:00:01+08:00").unwrap().seconds, 1);
        assert_eq!(parse_timestamp("1969-12-31T16:00:01.1-08:00").unwrap().nanos, 100_000_000);
        for step in 0..4000 {
            let seconds = MIN_TIMESTAMP + step * 78_900_123;
            let text = timestamp_text(Span { seconds, nanos: 0 }).unwrap();
            assert_eq!(parse_timestamp(&text).unwrap().seconds, seconds, "{text}");
        }
    }

    #[test]
    fn invalid_timestamps_are_refused() {
        for text in [
            "",
            "0000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01 00:00:00Z",
            "1970-01-01t00:00:00Z",
            "1970-01-01T00:00:00z",
            "1970-13-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:60Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567890Z",
            "1970-01-01T00:00:00+0800",
            "1970-01-01T00:00:00+08:60",
            "1970-1-1T00:00:00Z",
            "9999-12-31T23:59:59-00:01",
            "0001-01-01T00:00:00+00:01",
            "1970-01-01T00:00Z",
            "é970-01-01T00:00:00Z",
            "1970-01-01T00:00:0éZ",
            "197é-01-01T00:00:00Z",
            "+970-01-01T00:00:00Z",
        ] {
            assert!(parse_timestamp(text).is_err(), "{text}");
        }
        assert_eq!(timestamp_text(Span { seconds: MAX_TIMESTAMP + 1, nanos: 0 }), None);
        assert_eq!(timestamp_text(Span { seconds: 0, nanos: -1 }), None);
    }

    #[test]
    fn durations_round_trip() {
        for (text, seconds, nanos) in [
            ("0s", 0, 0),
            ("1.500s", 1, 500_000_000),
            ("-0.000001s", 0, -1000),
            ("315576000000.999999999s", MAX_DURATION, 999_999_999),
            ("-315576000000.999999999s", -MAX_DURATION, -999_999_999),
        ] {
            let span = Span { seconds, nanos };
            assert_eq!(parse_duration(text), Ok(span), "{text}");
            assert_eq!(duration_text(span).as_deref(), Some(text));
        }
        for text in [
            "",
            "s",
            "1",
            "1 s",
            "1.s",
            ".5s",
            "+1s",
            "--1s",
            "1.0000000001s",
            "1e3s",
            "315576000001s",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(duration_text(Span { seconds: 1, nanos: -1 }), None);
        assert_eq!(duration_text(Span { seconds: MAX_DURATION + 1, nanos: 0 }), None);
    }

    #[test]
    fn field_masks_round_trip() {
        let paths = |text| parse_field_mask(text, false);
        assert_eq!(paths(""), Ok(vec![]));
        assert_eq!(paths("foo,barBaz.quX"), Ok(vec!["foo".into(), "bar_baz.qu_x".into()]));
        assert_eq!(paths("*"), Ok(vec!["*".into()]));
        assert_eq!(parse_field_mask("bar_baz", true), Ok(vec!["bar_baz".into()]));
        for text in ["bar_baz", "a,,b", ",", "a.", "a b", "é"] {
            assert!(paths(text).is_err(), "{text}");
        }
        assert_eq!(camel_path("bar_baz.qu_x").as_deref(), Some("barBaz.quX"));
        for path in ["fooBar", "foo_3_bar", "foo__bar", "foo_", "foo_B"] {
            assert_eq!(camel_path(path), None, "{path}");
        }
    }
}
