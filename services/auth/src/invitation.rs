//! An invitation and its limits.

use chrono::{DateTime, Duration, Utc};
use proto::auth as pb;
use uuid::Uuid;

use crate::user::timestamp;

/// Most code points of a note.
pub const MAX_NOTE: usize = 200;
/// Most uses.
pub const MAX_USES: i32 = 100_000;
/// Lifetime when none is asked for, in days.
const DEFAULT_DAYS: i64 = 7;
/// Longest lifetime, in days.
const MAX_DAYS: i64 = 366;

db::record! {
    /// A code with which somebody may join.
    #[derive(Clone)]
    pub struct Invitation {
        /// The id.
        pub id: Uuid,
        /// What it is for.
        pub note: String,
        /// How often it may still be used.
        pub remaining_use_count: i64,
        /// Who made it.
        pub created_by: Uuid,
        /// When it was made.
        pub created_at: DateTime<Utc>,
        /// Until when it works.
        pub expires_at: DateTime<Utc>,
    }
}

impl Invitation {
    /// For the wire.
    pub fn to_proto(&self) -> pb::Invitation {
        pb::Invitation {
            invitation_id: self.id.to_string(),
            note: self.note.clone(),
            remaining_use_count: i32::try_from(self.remaining_use_count).unwrap_or(i32::MAX),
            create_time: Some(timestamp(self.created_at)),
            expire_time: Some(timestamp(self.expires_at)),
        }
    }
}

/// How often a code may be used: 0 asks for once.
pub fn use_count(asked: i32) -> Result<i64, &'static str> {
    match asked {
        0 => Ok(1),
        1..=MAX_USES => Ok(i64::from(asked)),
        _ => Err("must be 0 (once) to 100,000"),
    }
}

/// Until when a code works.
pub fn expiry(
    asked: Option<prost_types::Timestamp>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, &'static str> {
    const RANGE: &str = "must lie in the future, at most a year ahead";
    let Some(asked) = asked else { return Ok(now + Duration::days(DEFAULT_DAYS)) };
    let nanos = u32::try_from(asked.nanos).map_err(|_| RANGE)?;
    // Microseconds are what a database keeps.
    let at = DateTime::from_timestamp(asked.seconds, nanos / 1000 * 1000).ok_or(RANGE)?;
    if at > now && at <= now + Duration::days(MAX_DAYS) { Ok(at) } else { Err(RANGE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(use_count(0), Ok(1));
        assert_eq!(use_count(100_000), Ok(100_000));
        assert!(use_count(-1).is_err() && use_count(100_001).is_err());
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let ask = |seconds, nanos| expiry(Some(prost_types::Timestamp { seconds, nanos }), now);
        assert_eq!(expiry(None, now), Ok(now + Duration::days(7)));
        assert!(ask(1_800_000_001, 1).is_ok());
        for (seconds, nanos) in [
            (1_800_000_000, 0),
            (0, 0),
            (i64::MAX, 0),
            (i64::MIN, 0),
            (1_800_000_001, -1),
            (1_900_000_000, 0),
        ] {
            assert!(ask(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
        assert!(ask(1_800_000_001, i32::MAX).is_err());
    }
}
