//! Creating, listing and deleting invitations.

use access::Caller;
use db::TxGuard;
use proto::auth as pb;
use rpc::Violations;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::invitation::{Invitation, MAX_NOTE, expiry, use_count};
use crate::users::{audit_event, parse_id};
use crate::{State, secret, store};

impl State {
    pub async fn create_invitation(
        &self,
        caller: &Caller,
        request: pb::CreateInvitationRequest,
    ) -> Result<pb::CreateInvitationResponse> {
        let mut violations = Violations::default();
        if let Err(refusal) = text::check_lines(&request.note, MAX_NOTE) {
            violations.add("note", refusal.to_string());
        }
        check_request_id(&mut violations, &request.request_id);
        let uses = use_count(request.use_count);
        let uses = uses.map_err(|what| violations.add("use_count", what)).unwrap_or_default();
        let requested = request.expire_time;
        let expires_at = expiry(requested, self.clock.now());
        let expires_at = expires_at.map_err(|what| violations.add("expire_time", what)).ok();
        violations.into_result()?;
        let expires_at = expires_at.ok_or_else(|| Error::field("expire_time", "must be a time"))?;
        let requested =
            requested.map(|at| format!("{}.{}", at.seconds, at.nanos)).unwrap_or_default();
        let (note, count) = (request.note.as_str(), uses.to_string());
        let content = [note.as_bytes(), count.as_bytes(), requested.as_bytes()];
        let (caller_id, request_id) = (caller.acting().id, &request.request_id);
        let once = Idempotent::new(caller_id, "CreateInvitation", request_id, &content);
        let create = |mut tx: TxGuard| async move {
            let invitation = Invitation {
                id: tx.new_id(),
                note: note.to_owned(),
                remaining_use_count: uses,
                created_by: caller.acting().id,
                created_at: tx.now(),
                expires_at,
            };
            let hash = secret::code_hash(&self.secrets.invitation_code(invitation.id));
            let hash = hash.expect("an invitation code is a code");
            store::invitations::insert(&mut tx, &invitation, &hash).await?;
            audit_event(&mut tx, "invitation.made", caller, invitation.id, serde_json::json!({}));
            Ok::<_, Error>(invitation.to_proto())
        };
        let invitation = once.run(&self.db, create).await?;
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
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&self.pages, "ListInvitations", &[], size, token)?;
        let (before, now) = (page.after.unwrap_or(Uuid::max()), self.clock.now());
        let rows = store::invitations::page(&self.db, before, now, page.limit()).await?;
        let (invitations, next) = page.close(rows, |last| last.id);
        let invitations = invitations.iter().map(Invitation::to_proto).collect();
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
