//! Absolute and relative times as the Contest API writes them.

use chrono::{DateTime, Utc};
use prost_types::{Duration, Timestamp};

/// `yyyy-mm-ddThh:mm:ss.uuu+00:00`
pub fn absolute(time: Option<Timestamp>) -> Option<String> {
    let millis = millis_of(time?)?;
    let time = DateTime::<Utc>::from_timestamp_millis(millis)?;
    Some(time.format("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string())
}

/// `h:mm:ss.uuu`, with a sign if it is negative.
pub fn relative(millis: i64) -> String {
    let (sign, all) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    let (seconds, rest) = (all / 1000, all % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{sign}{hours}:{minutes:02}:{:02}.{rest:03}", seconds % 60)
}

pub fn duration(duration: Option<Duration>) -> Option<String> {
    let duration = duration?;
    let millis = duration.seconds.checked_mul(1000)?;
    Some(relative(millis.checked_add(i64::from(duration.nanos.div_euclid(1_000_000)))?))
}

pub fn minutes(minutes: i32) -> String {
    relative(i64::from(minutes) * 60_000)
}

/// The contest time of `time` in a contest that started at `start`.
pub fn since(start: Option<Timestamp>, time: Option<Timestamp>) -> Option<String> {
    Some(relative(millis_of(time?)?.checked_sub(millis_of(start?)?)?))
}

fn millis_of(time: Timestamp) -> Option<i64> {
    let millis = time.seconds.checked_mul(1000)?;
    millis.checked_add(i64::from(time.nanos.div_euclid(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_times_have_hours_without_padding() {
        for (millis, expected) in [
            (0, "0:00:00.000"),
            (1, "0:00:00.001"),
            (999, "0:00:00.999"),
            (59_999, "0:00:59.999"),
            (60_000, "0:01:00.000"),
            (3_599_999, "0:59:59.999"),
            (3_600_000, "1:00:00.000"),
            (18_000_000, "5:00:00.000"),
            (360_000_000, "100:00:00.000"),
            (-1, "-0:00:00.001"),
            (-932_457, "-0:15:32.457"),
        ] {
            assert_eq!(relative(millis), expected, "{millis}");
        }
        assert_eq!(relative(i64::MIN), "-2562047788015:12:55.808");
        assert_eq!(minutes(20), "0:20:00.000");
    }

    #[test]
    fn durations_are_cut_to_milliseconds() {
        for (seconds, nanos, expected) in [
            (5025, 34_999_999, Some("1:23:45.034")),
            (0, 0, Some("0:00:00.000")),
            (-1, -500_000_000, Some("-0:00:01.500")),
            (i64::MAX, 0, None),
        ] {
            let found = duration(Some(Duration { seconds, nanos }));
            assert_eq!(found.as_deref(), expected, "{seconds} {nanos}");
        }
        assert_eq!(duration(None), None);
    }

    #[test]
    fn absolute_times_are_utc() {
        let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
        for (time, expected) in [
            (at(0, 0), Some("1970-01-01T00:00:00.000+00:00")),
            (at(1_403_684_525, 34_567_890), Some("2014-06-25T08:22:05.034+00:00")),
            (at(-1, 999_000_000), Some("1969-12-31T23:59:59.999+00:00")),
            (at(i64::MAX, 0), None),
            (None, None),
        ] {
            assert_eq!(absolute(time).as_deref(), expected, "{time:?}");
        }
        assert_eq!(since(at(10, 0), at(8, 500_000_000)).as_deref(), Some("-0:00:01.500"));
        assert_eq!(since(None, at(8, 0)), None);
    }
}
