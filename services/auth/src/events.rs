//! The events that auth publishes. It consumes none.

use access::{Caller, Role};
use bus::{Event, Received, Topic, outbox};
use db::Tx;
use prost::Name;
use proto::event as pb;
use uuid::Uuid;

use crate::user::{User, role_names};

const USERS: Topic = Topic::new("agon.user.v1", "auth")
    .key("user_id")
    .types(&[
        "agon.event.v1.UserRegistered",
        "agon.event.v1.UserUpdated",
        "agon.event.v1.UserAccessChanged",
        "agon.event.v1.SessionEnded",
    ])
    .projection(project);

/// The topics that auth publishes.
pub const TOPICS: &[Topic] = &[USERS];

/// Registrations and profile changes are public. Access changes are visible to the user and to
/// holders of `auth.user.suspend`.
fn project(event: &Received, viewer: &Caller) -> Option<Received> {
    let public = event.is::<pb::UserRegistered>() || event.is::<pb::UserUpdated>();
    let own = viewer.acting().is_user() && viewer.acting().id == event.aggregate_id;
    (public || own || viewer.has("auth.user.suspend")).then(|| event.clone())
}

fn append(tx: &mut Tx, user: &User, message: &impl Name) {
    outbox::append(tx, Event::new(&USERS, user.id, user.version, message));
}

pub fn registered(tx: &mut Tx, user: &User) {
    let (user_id, country) = (user.id.to_string(), user.country.clone());
    append(tx, user, &pb::UserRegistered { user_id, country });
}

pub fn updated(tx: &mut Tx, user: &User) {
    let (user_id, country) = (user.id.to_string(), user.country.clone());
    append(tx, user, &pb::UserUpdated { user_id, country });
}

/// The epoch, the roles or the suspension of a user changed.
pub fn access_changed(tx: &mut Tx, user: &User, roles: &[Role]) {
    let message = pb::UserAccessChanged {
        user_id: user.id.to_string(),
        auth_epoch: user.auth_epoch,
        suspended: user.is_suspended(),
        roles: role_names(roles),
    };
    append(tx, user, &message);
}

pub fn session_ended(tx: &mut Tx, user: &User, session_id: Uuid, reason: pb::SessionEndReason) {
    let (user_id, session_id) = (user.id.to_string(), session_id.to_string());
    append(tx, user, &pb::SessionEnded { user_id, session_id, reason: reason.into() });
}

#[cfg(test)]
mod tests {
    use access::{Kind, Principal};

    use super::*;

    fn viewer(kind: Kind, id: u128) -> Caller {
        let principal = Principal { kind, id: Uuid::from_u128(id), ..Principal::anonymous() };
        Caller::of_principal(principal)
    }

    #[test]
    fn access_events_are_visible_to_the_user_only() {
        let user = Uuid::from_u128(1);
        let registered = Event::new(&USERS, user, 1, &pb::UserRegistered::default());
        let ended = Event::new(&USERS, user, 2, &pb::SessionEnded::default());
        let sees =
            |event: &Event, viewer: &Caller| project(&Received::testing(event), viewer).is_some();
        let (own, other) = (viewer(Kind::User, 1), viewer(Kind::User, 2));
        assert!(sees(&registered, &other) && sees(&registered, &Caller::anonymous()));
        assert!(sees(&ended, &own) && !sees(&ended, &other));
        assert!(!sees(&ended, &viewer(Kind::Anonymous, 1)));
    }
}
