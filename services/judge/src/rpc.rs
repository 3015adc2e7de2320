//! The RPC handlers.

use proto::judge as pb;
use proto::judge::get_judgement_request::Subject as RequestedSubject;
use proto::judge::judgement_service_server::JudgementService;
use proto::judge::language_service_server::LanguageService;
use proto::judge::worker_service_server::WorkerService;
use tonic::{Request, Response, Status, Streaming, async_trait};
use uuid::Uuid;

use crate::Judge;
use crate::error::Error;
use crate::judgement::Subject;
use crate::judgements::Wanted;
use crate::{judgements, queue};

/// The maximum number of judgements of a request.
const MAX_BATCH: usize = 1000;

#[async_trait]
impl JudgementService for Judge {
    async fn get_judgement(
        &self,
        request: Request<pb::GetJudgementRequest>,
    ) -> Result<Response<pb::GetJudgementResponse>, Status> {
        let wanted = wanted(request.into_inner().subject)?;
        let judgement = judgements::get(&self.db, &self.queue, wanted).await?;
        Ok(Response::new(pb::GetJudgementResponse { judgement: Some(judgement) }))
    }

    async fn batch_get_judgements(
        &self,
        request: Request<pb::BatchGetJudgementsRequest>,
    ) -> Result<Response<pb::BatchGetJudgementsResponse>, Status> {
        let ids = verifications(&request.get_ref().verification_ids)?;
        let judgements = judgements::of_verifications(&self.db, &self.queue, &ids).await?;
        Ok(Response::new(pb::BatchGetJudgementsResponse { judgements }))
    }

    async fn list_workers(
        &self,
        _: Request<pb::ListWorkersRequest>,
    ) -> Result<Response<pb::ListWorkersResponse>, Status> {
        Ok(Response::new(pb::ListWorkersResponse { workers: self.queue.workers().await? }))
    }

    async fn get_queue(
        &self,
        _: Request<pb::GetQueueRequest>,
    ) -> Result<Response<pb::GetQueueResponse>, Status> {
        let queue = judgements::queue(&self.db, &self.queue).await?;
        Ok(Response::new(pb::GetQueueResponse { queue: Some(queue) }))
    }
}

#[async_trait]
impl LanguageService for Judge {
    async fn list_languages(
        &self,
        _: Request<pb::ListLanguagesRequest>,
    ) -> Result<Response<pb::ListLanguagesResponse>, Status> {
        let mut languages = self.queue.languages().await?;
        self.queue.mark_unserved(&mut languages).await?;
        Ok(Response::new(pb::ListLanguagesResponse { languages }))
    }
}

#[async_trait]
impl WorkerService for Judge {
    type WorkStream = queue::Responses;

    async fn work(
        &self,
        request: Request<Streaming<pb::WorkRequest>>,
    ) -> Result<Response<queue::Responses>, Status> {
        let requests = Box::pin(request.into_inner());
        Ok(Response::new(queue::serve(self.queue.clone(), requests)))
    }
}

fn verifications(ids: &[String]) -> Result<Vec<Uuid>, Error> {
    const FIELD: &str = "verification_ids";
    if ids.len() > MAX_BATCH {
        return Err(Error::invalid(FIELD, format!("must be at most {MAX_BATCH} ids")));
    }
    let read = |text: &String| {
        ids::parse(text).ok_or_else(|| Error::invalid(FIELD, "must be UUIDs in lower case"))
    };
    ids.iter().map(read).collect()
}

fn wanted(requested: Option<RequestedSubject>) -> Result<Wanted, Error> {
    let read = |field, text: &str| {
        ids::parse(text).ok_or_else(|| Error::invalid(field, "must be a UUID in lower case"))
    };
    match requested {
        Some(RequestedSubject::SubmissionId(text)) => {
            read("submission_id", &text).map(|id| Wanted::Of(Subject::Submission(id)))
        }
        Some(RequestedSubject::VerificationId(text)) => {
            read("verification_id", &text).map(|id| Wanted::Of(Subject::Verification(id)))
        }
        Some(RequestedSubject::JudgementId(text)) => {
            read("judgement_id", &text).map(Wanted::Judgement)
        }
        None => Err(Error::invalid("subject", "is required")),
    }
}
