//! The life cycle of the keys that sign access tokens.
//!
//! A key is first *pending*, so that all verifiers know it before it signs; then *active*; then
//! *retired*, until its last token has expired. A *revoked* key is not accepted.

use chrono::{DateTime, Duration, Utc};

db::record! {
    /// A row of `signing_keys`.
    #[derive(Clone)]
    pub struct StoredKey {
        /// RFC 7638 thumbprint.
        pub kid: String,
        /// 32 bytes.
        pub public_key: Vec<u8>,
        pub wrapped_key: Vec<u8>,
        /// Name of a [`State`].
        pub state: String,
        pub created_at: DateTime<Utc>,
        /// Time of the last change of state.
        pub state_at: DateTime<Utc>,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted; does not sign yet.
    Pending,
    /// Accepted; signs new tokens.
    Active,
    /// Accepted; does not sign any more.
    Retired,
    Revoked,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }

    /// Parses a stored name. An unknown state counts as revoked.
    pub fn of(name: &str) -> Self {
        match name {
            "pending" => Self::Pending,
            "active" => Self::Active,
            "retired" => Self::Retired,
            _ => Self::Revoked,
        }
    }

    pub fn is_accepted(self) -> bool {
        self != Self::Revoked
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub active: Duration,
    pub pending: Duration,
    /// At least the maximum lifetime of a token.
    pub retired: Duration,
}

/// A change to the stored keys.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Create(State),
    /// Activate the pending key and retire the active ones.
    Promote {
        pending: String,
        active: Vec<String>,
    },
    /// Delete a key whose tokens have all expired.
    Delete(String),
}

pub fn next_step(keys: &[StoredKey], times: Times, now: DateTime<Utc>) -> Option<Step> {
    let in_state = |state| keys.iter().filter(move |key| State::of(&key.state) == state);
    let kids = |state| in_state(state).map(|key| key.kid.clone()).collect::<Vec<_>>();
    let Some(active) = in_state(State::Active).next_back() else {
        // Without an active key, do not wait for verifiers to learn the new one.
        return Some(match in_state(State::Pending).next() {
            Some(key) => Step::Promote { pending: key.kid.clone(), active: Vec::new() },
            None => Step::Create(State::Active),
        });
    };
    let due = active.state_at + times.active;
    match in_state(State::Pending).next() {
        None if now >= due - times.pending => return Some(Step::Create(State::Pending)),
        Some(key) if now >= due && now >= key.state_at + times.pending => {
            let active = kids(State::Active);
            return Some(Step::Promote { pending: key.kid.clone(), active });
        }
        _ => {}
    }
    let old = in_state(State::Retired).find(|key| now >= key.state_at + times.retired)?;
    Some(Step::Delete(old.kid.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hours * 3600, 0).unwrap()
    }

    fn key(kid: &str, state: State, since: i64) -> StoredKey {
        StoredKey {
            kid: kid.into(),
            public_key: Vec::new(),
            wrapped_key: Vec::new(),
            state: state.name().into(),
            created_at: at(since),
            state_at: at(since),
        }
    }

    const TIMES: Times = Times {
        active: Duration::hours(100),
        pending: Duration::hours(10),
        retired: Duration::hours(5),
    };

    #[test]
    fn keys_rotate_and_are_deleted() {
        use State::{Active, Pending, Retired, Revoked};
        let step = |keys: &[StoredKey], now| next_step(keys, TIMES, at(now));
        assert_eq!(step(&[], 0), Some(Step::Create(Active)));
        let a = key("a", Active, 0);
        assert_eq!(step(std::slice::from_ref(&a), 89), None);
        assert_eq!(step(std::slice::from_ref(&a), 90), Some(Step::Create(Pending)));
        let b = key("b", Pending, 90);
        assert_eq!(step(&[a.clone(), b.clone()], 99), None);
        let promote = Step::Promote { pending: "b".into(), active: vec!["a".into()] };
        assert_eq!(step(&[a.clone(), b], 100), Some(promote));
        // Created late: still pending for the full time.
        assert_eq!(step(&[a, key("b", Pending, 99)], 105), None);
        let (a, b) = (key("a", Retired, 100), key("b", Active, 100));
        assert_eq!(step(&[a.clone(), b.clone()], 104), None);
        assert_eq!(step(&[a, b], 105), Some(Step::Delete("a".into())));
        // The active key was revoked in an emergency.
        let lone = Step::Promote { pending: "b".into(), active: Vec::new() };
        assert_eq!(step(&[key("a", Revoked, 0), key("b", Pending, 0)], 1), Some(lone));
        assert_eq!(step(&[key("a", Revoked, 0)], 1), Some(Step::Create(Active)));
        assert!(!State::of("from the future").is_accepted());
    }
}
