//! The other services, as a worker sees them: problems with their objects, and programs.

use std::time::Duration;

use access::Authorised;
use proto::challenge::GetSubmissionSourceRequest;
use proto::challenge::submission_service_client::SubmissionServiceClient;
use proto::problem as pb;
use proto::problem::judge_data_service_client::JudgeDataServiceClient;
use tonic::{Request, Streaming};

use super::failure::Failure;

const PATIENCE: Duration = Duration::from_secs(20);
/// Test data may be large and far away.
const DOWNLOAD: Duration = Duration::from_secs(600);
/// Versions with thousands of tests.
const MAX_MESSAGE: usize = 64 << 20;

/// Clients of the other services.
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

    /// A submission's program.
    pub async fn source(&self, submission_id: &str) -> Result<String, Failure> {
        let request = GetSubmissionSourceRequest { submission_id: submission_id.to_owned() };
        let answer = self.submissions.clone().get_submission_source(patient(request)).await;
        let answer = answer.map_err(|status| Failure::of_call("the program", &status))?;
        Ok(answer.into_inner().source)
    }

    /// Limits, checker and tests of a version.
    pub async fn judge_data(&self, id: &str, version: i64) -> Result<pb::JudgeData, Failure> {
        let request = pb::GetJudgeDataRequest { problem_id: id.to_owned(), version };
        let answer = self.problems.clone().get_judge_data(patient(request)).await;
        let answer = answer.map_err(|status| Failure::of_call("the problem", &status))?;
        answer
            .into_inner()
            .judge_data
            .ok_or_else(|| Failure::Broken("the problem: an empty answer".into()))
    }

    /// What a check of an import runs.
    pub async fn verification(&self, id: &str) -> Result<pb::Verification, Failure> {
        let request = pb::GetVerificationRequest { verification_id: id.to_owned() };
        let answer = self.problems.clone().get_verification(patient(request)).await;
        let answer = answer.map_err(|status| Failure::of_call("the verification", &status))?;
        answer
            .into_inner()
            .verification
            .ok_or_else(|| Failure::Broken("the verification: an empty answer".into()))
    }

    /// An object's bytes, piece by piece.
    pub async fn object(
        &self,
        digest: &str,
    ) -> Result<Streaming<pb::DownloadObjectResponse>, Failure> {
        let mut request = Request::new(pb::DownloadObjectRequest { digest: digest.to_owned() });
        request.set_timeout(DOWNLOAD);
        let answer = self.problems.clone().download_object(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| Failure::of_call("an object", &status))
    }
}

fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}
