//! `agon.challenge.v1.ParticipantImportService`.

use access::Caller;
use proto::challenge as pb;
use proto::challenge::participant_import_service_server::ParticipantImportService;
use tonic::{Request, Response, Status, Streaming};

use crate::Challenge;
use crate::error::Error;

/// The largest file, in bytes.
const MAX_CONTENT: usize = 1 << 20;

#[tonic::async_trait]
impl ParticipantImportService for Challenge {
    async fn import_participants(
        &self,
        request: Request<Streaming<pb::ImportParticipantsRequest>>,
    ) -> Result<Response<pb::ImportParticipantsResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let mut messages = request.into_inner();
        let Some(first) = messages.message().await? else {
            return Err(Error::invalid("content", "is missing; must be a file").into());
        };
        let pb::ImportParticipantsRequest { contest_id, dry_run, content } = first;
        let contest = self.contest_for_import(&caller, &contest_id).await?;
        let mut file = content.unwrap_or_default().data.to_vec();
        while let Some(message) = messages.message().await? {
            file.extend_from_slice(&message.content.unwrap_or_default().data);
            if file.len() > MAX_CONTENT {
                break;
            }
        }
        if file.len() > MAX_CONTENT {
            return Err(Error::invalid("content", "must have at most 1 MiB").into());
        }
        let imported = self.import_participants(&caller, &contest, dry_run, &file).await?;
        Ok(Response::new(imported))
    }
}
