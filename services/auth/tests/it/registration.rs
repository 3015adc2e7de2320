//! Registration.

use access::testing::bearer;
use auth::{Config, Registration};
use proto::auth as pb;
use tonic::Code;

use crate::world::{
    PASSWORD, World, assert_invalid, assert_refused, config, each, each_with, registration,
};

#[test]
fn a_new_user_can_be_found_and_can_log_in() {
    each(|world| async move {
        let request = pb::RegisterUserRequest {
            display_name: "Ada Lovelace".into(),
            country: "GB".into(),
            email: "Ada@analytical.example".into(),
            ..registration("Ada")
        };
        let user = world.register(request).await.unwrap();
        assert_eq!((user.username.as_str(), user.country.as_str()), ("Ada", "GB"));
        assert_eq!(user.roles, ["player"]);
        assert_eq!(user.state(), pb::UserState::Active);
        for reference in ["ada", "ADA", user.user_id.as_str()] {
            let request = pb::GetUserRequest { user_id: reference.into() };
            let found = world.users().get_user(request).await.unwrap().into_inner().user.unwrap();
            assert_eq!(found.user_id, user.user_id);
            assert_eq!(found.email, "", "e-mail addresses are private");
        }
        for identifier in ["Ada", "ada", "ada@ANALYTICAL.example", " ada "] {
            assert!(world.try_log_in(identifier, PASSWORD).await.is_ok(), "{identifier}");
        }
    });
}

#[test]
fn usernames_are_unique_regardless_of_case() {
    each(|world| async move {
        world.user("ada").await;
        for name in ["ada", "ADA", "Ada"] {
            let again = world.register(registration(name)).await;
            assert_refused(again, Code::AlreadyExists, "USERNAME_TAKEN");
        }
    });
}

#[test]
fn all_invalid_fields_are_reported() {
    each(|world| async move {
        let request = pb::RegisterUserRequest {
            username: "me".into(),
            password: "short".into(),
            email: "nowhere".into(),
            display_name: "a\nb".into(),
            country: "XX".into(),
            invitation_code: "x".repeat(65),
            request_id: "x".repeat(129),
        };
        let profile = ["username", "display_name", "country", "email"];
        let all = [&profile[..], &["request_id", "invitation_code", "password"]].concat();
        assert_invalid(world.register(request).await, &all);
        for name in ["", "admin", "a192f0c123457abc8def0123456789ab", "nul\0name"] {
            assert_invalid(world.register(registration(name)).await, &["username"]);
        }
        let long = "é".repeat(9999);
        for password in ["", "fourteen chars", "adaadaadaadaada1", "password1234567", &long] {
            let password = password.into();
            let request = pb::RegisterUserRequest { password, ..registration("ada") };
            assert_invalid(world.register(request).await, &["password"]);
        }
    });
}

#[test]
fn a_taken_email_is_not_revealed() {
    each(|world| async move {
        let with = |name: &str| pb::RegisterUserRequest {
            email: "ada@example.org".into(),
            ..registration(name)
        };
        let first = world.register(with("ada")).await.unwrap();
        assert_eq!(first.email, world.register(with("eve")).await.unwrap().email);
        let token = world.log_in("eve").await.access_token;
        let me = pb::GetUserRequest { user_id: "me".into() };
        let me = world.users().get_user(bearer(&token, me)).await.unwrap().into_inner();
        assert_eq!(me.user.unwrap().email, "ada@example.org", "the profile keeps the address");
        // The address signs in the user who claimed it first.
        let session = world.log_in("ada@example.org").await.session.unwrap();
        let ada = world.log_in("ada").await.session.unwrap();
        assert_eq!(session.user_id, ada.user_id);
    });
}

#[test]
fn a_retry_gets_the_same_response() {
    each(|world| async move {
        let request = pb::RegisterUserRequest {
            request_id: "try-1".into(),
            email: "ada@example.org".into(),
            ..registration("ada")
        };
        let first = world.register(request.clone()).await.unwrap();
        assert_eq!(world.register(request.clone()).await.unwrap(), first);
        // Guessing the request id reveals nothing.
        let other = pb::RegisterUserRequest {
            password: "another battery, another staple".into(),
            ..request.clone()
        };
        assert_refused(world.register(other).await, Code::AlreadyExists, "USERNAME_TAKEN");
        let other = pb::RegisterUserRequest { country: "NZ".into(), ..request.clone() };
        assert_refused(world.register(other).await, Code::AlreadyExists, "USERNAME_TAKEN");
        // Request ids are scoped by username.
        let other = pb::RegisterUserRequest { username: "grace".into(), ..request };
        assert!(world.register(other).await.is_ok());
    });
}

#[test]
fn closed_registration_is_refused() {
    each_with(&Config { registration: Registration::Closed, ..config() }, |world| async move {
        let refusal = world.register(registration("ada")).await;
        assert_refused(refusal, Code::PermissionDenied, "REGISTRATION_CLOSED");
    });
}

async fn invite(world: &World, uses: i32) -> String {
    let request = pb::CreateInvitationRequest { use_count: uses, ..Default::default() };
    let request = bearer(&world.admin().await, request);
    world.invitations().create_invitation(request).await.unwrap().into_inner().code
}

#[test]
fn invitations_are_limited_by_uses_and_expiry() {
    each_with(&Config { registration: Registration::Invite, ..config() }, |world| async move {
        let with = |name: &str, code: &str| pb::RegisterUserRequest {
            invitation_code: code.into(),
            ..registration(name)
        };
        let denied = Code::PermissionDenied;
        assert_refused(world.register(with("ada", "")).await, denied, "INVITATION_REQUIRED");
        assert_refused(world.register(with("ada", "MADE-UP")).await, denied, "INVITATION_INVALID");
        let code = invite(&world, 2).await;
        assert!(world.register(with("ada", &code.to_lowercase())).await.is_ok());
        let taken = world.register(with("ada", &code)).await;
        assert_refused(taken, Code::AlreadyExists, "USERNAME_TAKEN");
        let retried = pb::RegisterUserRequest { request_id: "1".into(), ..with("grace", &code) };
        assert!(world.register(retried.clone()).await.is_ok());
        assert_refused(world.register(with("eve", &code)).await, denied, "INVITATION_INVALID");
        assert!(world.register(retried).await.is_ok(), "a retry does not count as a use");
        let late = pb::RegisterUserRequest { request_id: "2".into(), ..with("eve", &code) };
        assert_refused(world.register(late).await, denied, "INVITATION_INVALID");
        let code = invite(&world, 1).await;
        world.clock.advance(std::time::Duration::from_secs(8 * 24 * 3600));
        assert_refused(world.register(with("eve", &code)).await, denied, "INVITATION_INVALID");
    });
}
