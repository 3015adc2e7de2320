//! Creating, listing and deleting invitations. Their use is tested with registration.

use access::testing::bearer;
use proto::auth as pb;
use tonic::{Code, Status};

use crate::world::{World, assert_invalid, assert_refused, each};

async fn create(
    world: &World,
    token: &str,
    request: pb::CreateInvitationRequest,
) -> Result<pb::CreateInvitationResponse, Status> {
    Ok(world.invitations().create_invitation(bearer(token, request)).await?.into_inner())
}

async fn list(
    world: &World,
    token: &str,
    size: i32,
    page: &str,
) -> Result<pb::ListInvitationsResponse, Status> {
    let request = pb::ListInvitationsRequest { page_size: size, page_token: page.into() };
    Ok(world.invitations().list_invitations(bearer(token, request)).await?.into_inner())
}

#[test]
fn a_retry_gets_the_same_code() {
    each(|world| async move {
        let admin = world.admin().await;
        let request = pb::CreateInvitationRequest {
            request_id: "1".into(),
            note: "club".into(),
            ..Default::default()
        };
        let first = create(&world, &admin, request.clone()).await.unwrap();
        assert_eq!(create(&world, &admin, request.clone()).await.unwrap(), first);
        let other = pb::CreateInvitationRequest { note: "other".into(), ..request.clone() };
        assert_invalid(create(&world, &admin, other).await, &["request_id"]);
        let second = create(
            &world,
            &admin,
            pb::CreateInvitationRequest { request_id: "2".into(), ..request },
        )
        .await;
        assert_ne!(second.unwrap().code, first.code);
    });
}

#[test]
fn invitations_are_paged_and_deleted() {
    each(|world| async move {
        let admin = world.admin().await;
        assert!(list(&world, &admin, 0, "").await.unwrap().invitations.is_empty());
        for _ in 0..3 {
            create(&world, &admin, pb::CreateInvitationRequest::default()).await.unwrap();
        }
        let first = list(&world, &admin, 2, "").await.unwrap();
        let second = list(&world, &admin, 2, &first.next_page_token).await.unwrap();
        assert_eq!((first.invitations.len(), second.invitations.len()), (2, 1));
        assert_eq!(second.next_page_token, "");
        assert_invalid(list(&world, &admin, 2, "tampered").await, &["page_token"]);
        assert_invalid(list(&world, &admin, -1, "").await, &["page_size"]);
        let delete = |id: &str| {
            let request = bearer(&admin, pb::DeleteInvitationRequest { invitation_id: id.into() });
            async { world.invitations().delete_invitation(request).await }
        };
        let id = second.invitations[0].invitation_id.as_str();
        delete(id).await.unwrap();
        assert_refused(delete(id).await, Code::NotFound, "INVITATION_NOT_FOUND");
        assert_invalid(delete("x").await, &["invitation_id"]);
        assert_eq!(list(&world, &admin, 0, "").await.unwrap().invitations.len(), 2);
    });
}

#[test]
fn invalid_invitations_are_refused() {
    each(|world| async move {
        let admin = world.admin().await;
        let past = prost_types::Timestamp { seconds: 1, nanos: 0 };
        let wild = prost_types::Timestamp { seconds: i64::MAX, nanos: i32::MIN };
        for expire_time in [past, wild] {
            let request = pb::CreateInvitationRequest {
                note: "x".repeat(201),
                use_count: -1,
                expire_time: Some(expire_time),
                request_id: "x".repeat(129),
            };
            let all = ["note", "request_id", "use_count", "expire_time"];
            assert_invalid(create(&world, &admin, request).await, &all);
        }
    });
}
