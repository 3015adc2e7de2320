//! The keys that sign access tokens, and when they change.
//!
//! A key is *pending* first, so that every verifier knows it before it signs anything; then
//! *active*, the one that signs; then *retired*, until its last token has expired. A *revoked* key
//! is accepted by nobody.

use chrono::{DateTime, Duration, Utc};

db::record! {
    /// A signing key as stored.
    #[derive(Clone)]
    pub struct StoredKey {
        /// RFC 7638 thumbprint.
        pub kid: String,
        /// 32 bytes.
        pub public_key: Vec<u8>,
        /// The seed, wrapped.
        pub wrapped_key: Vec<u8>,
        /// A [`State`]'s name.
        pub state: String,
        /// When it was made.
        pub created_at: DateTime<Utc>,
        /// When it came into its state.
        pub state_at: DateTime<Utc>,
    }
}

/// How far a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted, signs nothing yet.
    Pending,
    /// Signs.
    Active,
    /// Accepted, signs nothing any more.
    Retired,
    /// Not accepted.
    Revoked,
}

impl State {
    /// As stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }

    /// As stored; a state that this version does not know is not accepted.
    pub fn of(name: &str) -> Self {
        match name {
            "pending" => Self::Pending,
            "active" => Self::Active,
            "retired" => Self::Retired,
            _ => Self::Revoked,
        }
    }

    /// Whether tokens of such a key are accepted.
    pub fn is_accepted(self) -> bool {
        self != Self::Revoked
    }
}

/// How long each step takes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// An active key is replaced after this time.
    pub active: Duration,
    /// A new key is pending for this time.
    pub pending: Duration,
    /// A retired key is kept for this time: the longest lifetime of a token, and more.
    pub retired: Duration,
}

/// What to do next with the keys.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a key in this state.
    Create(State),
    /// Let the pending key sign, and retire the active one.
    Promote {
        /// The pending key.
        pending: String,
        /// The active keys.
        active: Vec<String>,
    },
    /// Forget a key whose tokens have all expired.
    Forget(String),
}

/// The next step, if one is due.
pub fn next_step(keys: &[StoredKey], times: Times, now: DateTime<Utc>) -> Option<Step> {
    let in_state = |state| keys.iter().filter(move |key| State::of(&key.state) == state);
    let kids = |state| in_state(state).map(|key| key.kid.clone()).collect::<Vec<_>>();
    let Some(active) = in_state(State::Active).next_back() else {
        // Without a key to sign with, nobody waits for verifiers.
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
    Some(Step::Forget(old.kid.clone()))
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
    fn a_keys_life() {
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
        // Made late: it is pending for its time nevertheless.
        assert_eq!(step(&[a, key("b", Pending, 99)], 105), None);
        let (a, b) = (key("a", Retired, 100), key("b", Active, 100));
        assert_eq!(step(&[a.clone(), b.clone()], 104), None);
        assert_eq!(step(&[a, b], 105), Some(Step::Forget("a".into())));
        // The active key was revoked in an emergency.
        let lone = Step::Promote { pending: "b".into(), active: Vec::new() };
        assert_eq!(step(&[key("a", Revoked, 0), key("b", Pending, 0)], 1), Some(lone));
        assert_eq!(step(&[key("a", Revoked, 0)], 1), Some(Step::Create(Active)));
        assert!(!State::of("from the future").is_accepted());
    }
}
