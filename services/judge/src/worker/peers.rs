//! Calls to the problem and challenge services.

use std::time::Duration;

use access::Authorised;
use proto::challenge::GetSubmissionSourceRequest;
use proto::challenge::submission_service_client::SubmissionServiceClient;
use proto::problem as pb;
use proto::problem::judge_data_service_client::JudgeDataServiceClient;
use tonic::{Request, Streaming};

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

    /// The source of a submission.
    pub async fn source(&self, submission_id: &str) -> Result<String, Failure> {
        let request = GetSubmissionSourceRequest { submission_id: submission_id.to_owned() };
        let answer = self.submissions.clone().get_submission_source(with_timeout(request)).await;
        let answer =
            answer.map_err(|status| Failure::from_status("fetching the source", &status))?;
        Ok(answer.into_inner().source)
    }

    /// Limits, checker and tests of a problem version.
    pub async fn judge_data(&self, id: &str, version: i64) -> Result<pb::JudgeData, Failure> {
        let request = pb::GetJudgeDataRequest { problem_id: id.to_owned(), version };
        let answer = self.problems.clone().get_judge_data(with_timeout(request)).await;
        let answer =
            answer.map_err(|status| Failure::from_status("fetching the problem", &status))?;
        answer
            .into_inner()
            .judge_data
            .ok_or_else(|| Failure::Internal("fetching the problem: empty response".into()))
    }

    /// The definition of a check of an import.
    pub async fn verification(&self, id: &str) -> Result<pb::Verification, Failure> {
        let request = pb::GetVerificationRequest { verification_id: id.to_owned() };
        let answer = self.problems.clone().get_verification(with_timeout(request)).await;
        let answer =
            answer.map_err(|status| Failure::from_status("fetching the verification", &status))?;
        answer
            .into_inner()
            .verification
            .ok_or_else(|| Failure::Internal("fetching the verification: empty response".into()))
    }

    /// The content of an object, in chunks.
    pub async fn object(
        &self,
        digest: &str,
    ) -> Result<Streaming<pb::DownloadObjectResponse>, Failure> {
        let mut request = Request::new(pb::DownloadObjectRequest { digest: digest.to_owned() });
        request.set_timeout(DOWNLOAD_TIMEOUT);
        let answer = self.problems.clone().download_object(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| Failure::from_status("downloading an object", &status))
    }
}

fn with_timeout<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}
