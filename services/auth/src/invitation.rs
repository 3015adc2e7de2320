//! Invitations and their limits.

use chrono::{DateTime, Duration, Utc};
use proto::auth as pb;
use uuid::Uuid;

use crate::user::timestamp;

/// In code points.
pub const MAX_NOTE: usize = 200;
pub const MAX_USES: i32 = 100_000;
/// Lifetime of an invitation without an expiry in the request.
const DEFAULT_DAYS: i64 = 7;
const MAX_DAYS: i64 = 366;

db::record! {
    /// A row of `invitations`, without the hash of the code.
    #[derive(Clone)]
    pub struct Invitation {
        pub id: Uuid,
        pub note: String,
        pub remaining_use_count: i64,
        pub created_by: Uuid,
        pub created_at: DateTime<Utc>,
        pub expires_at: DateTime<Utc>,
    }
}

impl Invitation {
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

/// The use count for the one in a request, where 0 means once.
pub fn use_count(requested: i32) -> Result<i64, &'static str> {
    match requested {
        0 => Ok(1),
        1..=MAX_USES => Ok(i64::from(requested)),
        _ => Err("must be 0 (once) to 100,000"),
    }
}

/// The expiry for the one in a request; by default a week from now.
pub fn expiry(
    requested: Option<prost_types::Timestamp>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, &'static str> {
    const RANGE: &str = "must be in the future, at most 366 days ahead";
    let Some(requested) = requested else { return Ok(now + Duration::days(DEFAULT_DAYS)) };
    let nanos = u32::try_from(requested.nanos).map_err(|_| RANGE)?;
    // The databases store microseconds.
    let at = DateTime::from_timestamp(requested.seconds, nanos / 1000 * 1000).ok_or(RANGE)?;
    if at > now && at <= now + Duration::days(MAX_DAYS) { Ok(at) } else { Err(RANGE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_counts_and_expiries_are_bounded() {
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
