//! Calls to the problem and challenge services.

use std::time::Duration;

use access::Authorised;
use proto::challenge::GetSubmissionSourceRequest;
use proto::challenge::submission_service_client::SubmissionServiceClient;
use proto::problem as pb;
use proto::problem::judge_data_service_client::JudgeDataServiceClient;
use tonic::{Request, Response, Status, Streaming};

use super::failure::Failure;

const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Test data can be large.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// In bytes; a problem version can have thousands of tests.
const MAX_MESSAGE: usize = 64 << 20;

pub(super) struct Peers {
    problems: JudgeDataServiceClient<Authorised>,
    submissions: SubmissionServiceClient<Authorised>,
}

impl Peers {
    pub fn new(problem: Authorised, challenge: Authorised) -> Self {
        Self {
            problems: JudgeDataServiceClient::new(problem).max_decoding_message_size(MAX_MESSAGE),
            submissions: SubmissionServiceClient::new(challenge),
        }
    }

    pub async fn source(&self, submission_id: &str) -> Result<String, Failure> {
        let request = GetSubmissionSourceRequest { submission_id: submission_id.to_owned() };
        let request = with_timeout(request, CALL_TIMEOUT);
        let answer = self.submissions.clone().get_submission_source(request).await;
        Ok(checked("fetching the source", answer)?.source)
    }

    /// Limits, checker and tests of a problem version.
    pub async fn judge_data(&self, id: &str, version: i64) -> Result<pb::JudgeData, Failure> {
        let request = pb::GetJudgeDataRequest { problem_id: id.to_owned(), version };
        let request = with_timeout(request, CALL_TIMEOUT);
        let answer = self.problems.clone().get_judge_data(request).await;
        let data = checked("fetching the problem", answer)?.judge_data;
        data.ok_or_else(|| Failure::Internal("fetching the problem: empty response".into()))
    }

    /// The definition of a check of an import.
    pub async fn verification(&self, id: &str) -> Result<pb::Verification, Failure> {
        let request = pb::GetVerificationRequest { verification_id: id.to_owned() };
        let request = with_timeout(request, CALL_TIMEOUT);
        let answer = self.problems.clone().get_verification(request).await;
        let verification = checked("fetching the verification", answer)?.verification;
        verification
            .ok_or_else(|| Failure::Internal("fetching the verification: empty response".into()))
    }

    /// The content of an object, in chunks.
    pub async fn object(
        &self,
        digest: &str,
    ) -> Result<Streaming<pb::DownloadObjectResponse>, Failure> {
        let request = pb::DownloadObjectRequest { digest: digest.to_owned() };
        let request = with_timeout(request, DOWNLOAD_TIMEOUT);
        checked("downloading an object", self.problems.clone().download_object(request).await)
    }
}

fn with_timeout<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

fn checked<T>(what: &str, answer: Result<Response<T>, Status>) -> Result<T, Failure> {
    answer.map(Response::into_inner).map_err(|status| Failure::from_status(what, &status))
}
