//! Permissions of callers on submissions.

use access::Role;
use proto::challenge::ListSubmissionsRequest;
use tonic::{Code, Status};

use crate::world::*;

fn code<T>(result: Result<T, Status>) -> Code {
    result.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn submissions_are_visible_to_authors_judges_and_services() {
    each(|world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let of_ada = ListSubmissionsRequest { user_id: ada.id.to_string(), ..Default::default() };
        let row = async |user: &User| {
            [
                code(world.get(user, &id).await),
                code(world.source(user, &id).await),
                code(world.watch(user, &id).await),
                code(world.list(user, of_ada.clone()).await),
            ]
        };
        let (ok, hidden, denied) = (Code::Ok, Code::NotFound, Code::PermissionDenied);
        assert_eq!(row(&ada).await, [ok; 4]);
        assert_eq!(row(&world.user("bob")).await, [hidden, hidden, hidden, denied]);
        let setter = world.with_roles("sue", &[Role::Setter, Role::Organiser]);
        assert_eq!(row(&setter).await, [hidden, hidden, hidden, denied]);
        assert_eq!(row(&world.with_roles("jo", &[Role::Judge])).await, [ok; 4]);
        assert_eq!(row(&world.with_roles("root", &[Role::Admin])).await, [ok; 4]);
        assert_eq!(row(&world.service()).await, [ok; 4]);
        let invalid = User { id: ada.id, token: "invalid".into(), account: None };
        assert_eq!(row(&invalid).await, [Code::Unauthenticated; 4]);
        assert_eq!(code(world.create(&invalid, valid()).await), Code::Unauthenticated);
        // Only users submit.
        assert_refused(world.create(&world.service(), valid()).await, denied, "USER_ONLY");
    })
    .await;
}

#[tokio::test]
async fn hidden_submissions_are_reported_as_not_found() {
    each(|world| async move {
        let id = world.submit(&world.user("ada")).await.submission_id;
        let bob = world.user("bob");
        let unknown = world.clock().new_id().to_string();
        for id in [&id, &unknown] {
            let hidden =
                assert_refused(world.get(&bob, id).await, Code::NotFound, "SUBMISSION_NOT_FOUND");
            let source = world.source(&bob, id).await;
            let source = assert_refused(source, Code::NotFound, "SUBMISSION_NOT_FOUND");
            assert_eq!(hidden.message(), source.message());
        }
        for bad in ["", "x", "me", &id.to_uppercase(), "\0"] {
            assert_invalid(world.get(&bob, bad).await, &["submission_id"]);
            assert_invalid(world.source(&bob, bad).await, &["submission_id"]);
            assert_invalid(world.watch(&bob, bad).await.map(drop), &["submission_id"]);
        }
    })
    .await;
}

#[tokio::test]
async fn calls_without_a_credential_are_refused() {
    each(|world| async move {
        let id = world.submit(&world.user("ada")).await.submission_id;
        let mut client = world.client();
        let get = proto::challenge::GetSubmissionRequest { submission_id: id };
        assert_refused(client.get_submission(get).await, Code::Unauthenticated, "TOKEN_MISSING");
        let created = client.create_submission(valid()).await;
        assert_refused(created, Code::Unauthenticated, "TOKEN_MISSING");
    })
    .await;
}
