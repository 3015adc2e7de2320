//! Creating, listing and deleting invitations.

use access::Caller;
use prost::Message;
use proto::auth as pb;
use rpc::{Violations, page};
use uuid::Uuid;

use crate::error::{Error, Result, checked};
use crate::invitation::{Invitation, MAX_NOTE, expiry, use_count};
use crate::requests::{Once, check_id};
use crate::users::{audit_event, next_page, parse_id};
use crate::{State, secret, store};

impl State {
    pub async fn create_invitation(
        &self,
        caller: &Caller,
        request: pb::CreateInvitationRequest,
    ) -> Result<pb::CreateInvitationResponse> {
        let mut violations = Violations::default();
        let plain = request.note.chars().count() <= MAX_NOTE && !request.note.contains('\0');
        violations.check(plain, "note", "must have at most 200 characters");
        check_id(&mut violations, &request.request_id);
        let uses = use_count(request.use_count);
        let uses = uses.map_err(|what| violations.add("use_count", what)).unwrap_or_default();
        let requested = request.expire_time;
        let expires_at = expiry(requested, self.clock.now());
        let expires_at = expires_at.map_err(|what| violations.add("expire_time", what)).ok();
        checked(violations)?;
        let expires_at = expires_at.ok_or_else(|| Error::field("expire_time", "must be a time"))?;
        let requested =
            requested.map(|at| format!("{}.{}", at.seconds, at.nanos)).unwrap_or_default();
        let parts = [request.note.as_str(), &uses.to_string(), &requested];
        let once = Once::new(caller, "CreateInvitation", &request.request_id, &parts);
        let (once, text) = (&once, request.note.as_str());
        let creating = self.db.transact(|mut tx| async move {
            if let Some(before) = once.begin(&mut tx).await? {
                return pb::Invitation::decode(before.as_slice())
                    .map_err(|error| Error::internal(&error));
            }
            let invitation = Invitation {
                id: tx.new_id(),
                note: text.to_owned(),
                remaining_use_count: uses,
                created_by: caller.acting().id,
                created_at: tx.now(),
                expires_at,
            };
            let hash = secret::code_hash(&self.secrets.invitation_code(invitation.id));
            store::invitations::insert(&mut tx, &invitation, &hash).await?;
            audit_event(&mut tx, "invitation.made", caller, invitation.id, serde_json::json!({}));
            let response = invitation.to_proto();
            once.finish(&mut tx, &response).await?;
            Ok(response)
        });
        let invitation = creating.await?;
        // Derived from the id, so that a retry gets the same code although it is not stored.
        let code =
            self.secrets.invitation_code(parse_id("invitation_id", &invitation.invitation_id)?);
        Ok(pb::CreateInvitationResponse { invitation: Some(invitation), code })
    }

    /// A page of usable invitations.
    pub async fn list_invitations(
        &self,
        request: &pb::ListInvitationsRequest,
    ) -> Result<pb::ListInvitationsResponse> {
        let size = page::page_size(request.page_size, 50, 200)?;
        let args = page::digest("ListInvitations", &[]);
        let before: Option<Uuid> = self.pages.parse(&args, &request.page_token)?;
        let before = before.unwrap_or(Uuid::max());
        let now = self.clock.now();
        let mut found = store::invitations::page(&self.db, before, now, size + 1).await?;
        let next = next_page(&mut found, size, |last| self.pages.token(&args, &last.id));
        let invitations = found.iter().map(Invitation::to_proto).collect();
        Ok(pb::ListInvitationsResponse { invitations, next_page_token: next })
    }

    pub async fn delete_invitation(&self, caller: &Caller, reference: &str) -> Result<()> {
        let id = parse_id("invitation_id", reference)?;
        let deleting = self.db.transact(|mut tx| async move {
            if !store::invitations::delete(&mut tx, id).await? {
                return Err(Error::InvitationNotFound);
            }
            audit_event(&mut tx, "invitation.withdrawn", caller, id, serde_json::json!({}));
            Ok(())
        });
        deleting.await
    }
}
