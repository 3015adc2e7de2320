//! Concurrent calls.

use access::testing::bearer;
use futures_util::future::join_all;
use proto::auth as pb;
use rpc::status;

use crate::world::{PASSWORD, World, each, registration};

#[test]
fn concurrent_registrations_of_a_name_have_one_winner() {
    each(|world| async move {
        let calls =
            (0..6).map(|n| world.register(registration(if n % 2 == 0 { "ada" } else { "ADA" })));
        let answers = join_all(calls).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        for status in answers.into_iter().filter_map(Result::err) {
            assert_eq!(status::reason(&status).as_deref(), Some("USERNAME_TAKEN"), "{status:?}");
        }
    });
}

#[test]
fn concurrent_retries_create_one_account() {
    each(|world| async move {
        let request = pb::RegisterUserRequest { request_id: "1".into(), ..registration("ada") };
        let calls = (0..4).map(|_| world.register(request.clone()));
        let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    });
}

#[test]
fn concurrent_claims_of_an_email_have_one_winner() {
    each(|world| async move {
        let calls = (0..4).map(|n| {
            let (name, email) = (format!("user{n}"), "ada@example.org".into());
            world.register(pb::RegisterUserRequest { email, ..registration(&name) })
        });
        assert!(join_all(calls).await.iter().all(Result::is_ok));
        world.log_in("ada@example.org").await;
    });
}

async fn admins(world: &World, token: &str) -> Vec<pb::RoleBinding> {
    let request = pb::ListRoleBindingsRequest { role: "admin".into(), ..Default::default() };
    let page = world.access().list_role_bindings(bearer(token, request)).await.unwrap();
    page.into_inner().role_bindings
}

#[test]
fn concurrent_removals_leave_one_administrator() {
    each(|world| async move {
        let admin = world.admin().await;
        world.user("ada").await;
        world.bind(&admin, "ada", "admin").await.unwrap();
        let ada = world.log_in("ada").await.access_token;
        let both = admins(&world, &admin).await;
        assert_eq!(both.len(), 2);
        let calls = both.iter().map(|binding| {
            let mut access = world.access();
            let role_binding_id = binding.role_binding_id.clone();
            // Each removes the role of one administrator.
            let token = if binding.user_id == both[0].user_id { &admin } else { &ada };
            let request = bearer(token, pb::DeleteRoleBindingRequest { role_binding_id });
            async move { access.delete_role_binding(request).await }
        });
        let left = join_all(calls).await.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(left, 1);
    });
}

#[test]
fn concurrent_removal_and_suspension_leave_one_administrator() {
    each(|world| async move {
        let admin = world.admin().await;
        world.user("ada").await;
        world.bind(&admin, "ada", "admin").await.unwrap();
        let both = admins(&world, &admin).await;
        let role_binding_id = both[1].role_binding_id.clone();
        let request = bearer(&admin, pb::DeleteRoleBindingRequest { role_binding_id });
        let mut access = world.access();
        let (removed, suspended) = futures_util::join!(
            access.delete_role_binding(request),
            world.suspend(&admin, &both[0].user_id),
        );
        assert!(removed.is_err() || suspended.is_err(), "one administrator must be left");
    });
}

#[test]
fn concurrent_log_in_and_suspension_leave_no_valid_token() {
    each(|world| async move {
        let admin = world.admin().await;
        world.user("ada").await;
        let (made, suspended) =
            futures_util::join!(world.try_log_in("ada", PASSWORD), world.suspend(&admin, "ada"));
        suspended.unwrap();
        if let Ok(made) = made {
            assert!(world.validate(&made.access_token).await.is_err());
            assert!(world.refresh(&made.refresh_token).await.is_err());
        }
    });
}
