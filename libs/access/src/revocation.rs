//! Revoked sessions and users, in memory. Consulted at every call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use crate::principal::Principal;
use crate::token::Rejection;

/// The revocation of a session, or of a user's tokens below an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Id of the session or user.
    pub subject: Uuid,
    /// Tokens with a lower epoch are refused; `i64::MAX` refuses all.
    pub below_epoch: i64,
    /// Whether the reason is a suspension of the user.
    pub suspended: bool,
    /// When the last affected token expires.
    pub until: DateTime<Utc>,
}

/// The revocations that affect unexpired tokens.
#[derive(Debug, Default)]
pub struct Revocations {
    by_subject: RwLock<HashMap<Uuid, Revocation>>,
    generation: AtomicU64,
    changed: watch::Sender<()>,
}

impl Revocations {
    /// Adds revocations, effective from the next call. A revocation replaces one of the same
    /// subject with the same or a lower epoch.
    pub fn add(&self, revocations: impl IntoIterator<Item = Revocation>) {
        let mut map = self.by_subject.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for new in revocations {
            let known = map.get(&new.subject);
            if known.is_none_or(|old| old.below_epoch <= new.below_epoch && *old != new) {
                map.insert(new.subject, new);
                changed = true;
            }
        }
        if changed {
            // Under the lock, so that a reader of the new generation sees the new map.
            self.generation.fetch_add(1, Ordering::Release);
            self.changed.send_replace(());
        }
    }

    /// Removes revocations whose tokens have all expired.
    pub fn purge(&self, now: DateTime<Utc>) {
        let mut map = self.by_subject.write().unwrap_or_else(PoisonError::into_inner);
        map.retain(|_, revocation| revocation.until > now);
    }

    /// Increases with every change. A token that was valid at this generation need not be checked
    /// again.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notified of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// An error when the principal's token is revoked.
    pub fn check(&self, principal: &Principal) -> Result<(), Rejection> {
        let map = self.by_subject.read().unwrap_or_else(PoisonError::into_inner);
        // The user first: a suspension also ends the sessions, and is the more useful reason.
        match map.get(&principal.id) {
            Some(found) if principal.auth_epoch < found.below_epoch => {
                Err(if found.suspended { Rejection::Suspended } else { Rejection::Revoked })
            }
            _ if map.contains_key(&principal.session_id) => Err(Rejection::Revoked),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(epoch: i64) -> Principal {
        Principal {
            id: Uuid::from_u128(1),
            session_id: Uuid::from_u128(2),
            auth_epoch: epoch,
            ..Principal::anonymous()
        }
    }

    fn revoke(subject: u128, below_epoch: i64, suspended: bool) -> Revocation {
        let until = DateTime::from_timestamp(100, 0).unwrap();
        Revocation { subject: Uuid::from_u128(subject), below_epoch, suspended, until }
    }

    #[test]
    fn tokens_of_revoked_epochs_and_sessions_are_refused() {
        let revocations = Revocations::default();
        assert_eq!(revocations.check(&user(1)), Ok(()));
        let before = revocations.generation();
        revocations.add([revoke(1, 3, true)]);
        assert_ne!(revocations.generation(), before);
        assert_eq!(revocations.check(&user(2)), Err(Rejection::Suspended));
        assert_eq!(revocations.check(&user(3)), Ok(()));
        revocations.add([revoke(1, 4, false), revoke(1, 2, true)]);
        assert_eq!(revocations.check(&user(3)), Err(Rejection::Revoked));
        revocations.add([revoke(2, i64::MAX, false)]);
        assert_eq!(revocations.check(&user(9)), Err(Rejection::Revoked));
    }

    #[test]
    fn repeated_revocation_keeps_the_generation() {
        let revocations = Revocations::default();
        revocations.add([revoke(1, 3, false)]);
        let before = revocations.generation();
        revocations.add([revoke(1, 3, false)]);
        assert_eq!(revocations.generation(), before);
        revocations.purge(DateTime::from_timestamp(101, 0).unwrap());
        assert_eq!(revocations.check(&user(1)), Ok(()));
    }
}
