//! Fakes of the problem and challenge services.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::{Stream, stream};
use proto::challenge as submissions;
use proto::challenge::submission_service_server::{SubmissionService, SubmissionServiceServer};
use proto::problem as problems;
use proto::problem::judge_data_service_server::{JudgeDataService, JudgeDataServiceServer};
use rpc::Services;
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status, async_trait};

type Answer<T> = Result<Response<T>, Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The fake services and their data.
#[derive(Clone, Default)]
pub struct Fakes(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    sources: HashMap<String, (String, String)>,
    versions: HashMap<String, problems::JudgeData>,
    verifications: HashMap<String, problems::Verification>,
    objects: HashMap<String, Vec<u8>>,
    downloads: usize,
    unavailable: bool,
}

impl Fakes {
    pub fn services(&self) -> Services {
        Services::new()
            .add(SubmissionServiceServer::new(self.clone()))
            .add(JudgeDataServiceServer::new(self.clone()))
    }

    pub fn object(&self, bytes: impl Into<Vec<u8>>) -> problems::ObjectRef {
        let bytes = bytes.into();
        let digest = hex::encode(Sha256::digest(&bytes));
        let size_bytes = bytes.len() as i64;
        self.0.lock().unwrap().objects.insert(digest.clone(), bytes);
        problems::ObjectRef { digest, size_bytes }
    }

    pub fn source(&self, submission_id: &str, language: &str, source: &str) {
        let program = (language.to_owned(), source.to_owned());
        self.0.lock().unwrap().sources.insert(submission_id.to_owned(), program);
    }

    pub fn version(&self, data: problems::JudgeData) {
        self.0.lock().unwrap().versions.insert(data.problem_id.clone(), data);
    }

    /// Adds a check of an import.
    pub fn verification(&self, verification: problems::Verification) {
        let id = verification.verification_id.clone();
        self.0.lock().unwrap().verifications.insert(id, verification);
    }

    /// Makes all calls fail with UNAVAILABLE, or succeed again.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.0.lock().unwrap().unavailable = unavailable;
    }

    pub fn downloads(&self) -> usize {
        self.0.lock().unwrap().downloads
    }

    fn known<T>(&self, find: impl FnOnce(&mut Known) -> Option<T>) -> Answer<T> {
        let mut known = self.0.lock().unwrap();
        if known.unavailable {
            return Err(Status::unavailable("fake is unavailable"));
        }
        find(&mut known).map(Response::new).ok_or_else(|| Status::not_found("unknown"))
    }
}

#[async_trait]
impl JudgeDataService for Fakes {
    type DownloadObjectStream = Streamed<problems::DownloadObjectResponse>;

    async fn get_judge_data(
        &self,
        request: Request<problems::GetJudgeDataRequest>,
    ) -> Answer<problems::GetJudgeDataResponse> {
        let id = request.into_inner().problem_id;
        self.known(|known| {
            let judge_data = Some(known.versions.get(&id)?.clone());
            Some(problems::GetJudgeDataResponse { judge_data })
        })
    }

    async fn download_object(
        &self,
        request: Request<problems::DownloadObjectRequest>,
    ) -> Answer<Self::DownloadObjectStream> {
        let digest = request.into_inner().digest;
        let found = self.known(|known| {
            known.downloads += 1;
            known.objects.get(&digest).cloned()
        });
        let pieces: Vec<_> = found?
            .into_inner()
            .chunks(256 << 10)
            .map(|data| Ok(problems::DownloadObjectResponse { data: data.to_vec().into() }))
            .collect();
        Ok(Response::new(Box::pin(stream::iter(pieces))))
    }

    async fn get_verification(
        &self,
        request: Request<problems::GetVerificationRequest>,
    ) -> Answer<problems::GetVerificationResponse> {
        let id = request.into_inner().verification_id;
        self.known(|known| {
            let verification = Some(known.verifications.get(&id)?.clone());
            Some(problems::GetVerificationResponse { verification })
        })
    }
}

#[async_trait]
impl SubmissionService for Fakes {
    type WatchSubmissionStream = Streamed<submissions::WatchSubmissionResponse>;

    service::unimplemented_rpcs! {
        create_submission(submissions::CreateSubmissionRequest)
            -> submissions::CreateSubmissionResponse;
        get_submission(submissions::GetSubmissionRequest) -> submissions::GetSubmissionResponse;
        list_submissions(submissions::ListSubmissionsRequest)
            -> submissions::ListSubmissionsResponse;
    }

    async fn watch_submission(
        &self,
        _: Request<submissions::WatchSubmissionRequest>,
    ) -> Answer<Self::WatchSubmissionStream> {
        Err(Status::unimplemented("not used by these tests"))
    }

    async fn get_submission_source(
        &self,
        request: Request<submissions::GetSubmissionSourceRequest>,
    ) -> Answer<submissions::GetSubmissionSourceResponse> {
        let submission_id = request.into_inner().submission_id;
        self.known(|known| {
            let (language, source) = known.sources.get(&submission_id)?.clone();
            Some(submissions::GetSubmissionSourceResponse { submission_id, language, source })
        })
    }
}
