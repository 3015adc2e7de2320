//! The problem service and the judge, as far as submissions need them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use access::Caller;
use futures_util::Stream;
use proto::google::api::HttpBody;
use proto::judge::judgement_service_server::{JudgementService, JudgementServiceServer};
use proto::judge::language_service_server::{LanguageService, LanguageServiceServer};
use proto::judge::*;
use proto::problem::problem_service_server::{ProblemService, ProblemServiceServer};
use proto::problem::*;
use rpc::Services;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// What the fakes know; tests change it.
#[derive(Clone, Default)]
pub struct Fakes(Arc<Inner>);

#[derive(Default)]
pub struct Inner {
    pub problems: Mutex<HashMap<String, Problem>>,
    /// Who may see a problem that is not public.
    pub owners: Mutex<HashMap<String, Uuid>>,
    pub languages: Mutex<Vec<String>>,
    pub judgements: Mutex<HashMap<String, Judgement>>,
    pub silent: AtomicBool,
}

impl std::ops::Deref for Fakes {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Fakes {
    /// Makes a public problem with a published version, and gives its id.
    pub fn problem(&self, slug: &str) -> String {
        self.add(slug, Problem { published_version: 3, ..Problem::default() })
    }

    /// Makes a problem as given.
    pub fn add(&self, slug: &str, problem: Problem) -> String {
        let id = ids::Clock::system().new_id().to_string();
        let problem = Problem { problem_id: id.clone(), slug: slug.into(), ..problem };
        let mut problems = self.problems.lock().unwrap();
        problems.insert(slug.into(), problem.clone());
        problems.insert(id.clone(), problem);
        id
    }

    pub fn offer(&self, languages: &[&str]) {
        *self.languages.lock().unwrap() = languages.iter().map(|id| (*id).to_owned()).collect();
    }

    /// Whether other services answer at all.
    pub fn silence(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    pub fn services(&self) -> Services {
        Services::new()
            .add(ProblemServiceServer::new(self.clone()))
            .add(JudgementServiceServer::new(self.clone()))
            .add(LanguageServiceServer::new(self.clone()))
    }

    fn answers(&self) -> Result<(), Status> {
        match self.silent.load(Ordering::Relaxed) {
            true => Err(Status::unavailable("nobody is at home")),
            false => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl JudgementService for Fakes {
    async fn get_judgement(
        &self,
        request: Request<GetJudgementRequest>,
    ) -> Result<Response<GetJudgementResponse>, Status> {
        self.answers()?;
        assert!(Caller::of(&request).is_service_itself());
        let id = match request.into_inner().subject {
            Some(get_judgement_request::Subject::SubmissionId(id)) => id,
            other => panic!("{other:?}"),
        };
        let judgement = self.judgements.lock().unwrap().get(&id).cloned();
        let unknown = || rpc::status::not_found("JUDGEMENT_NOT_FOUND", "never heard of it");
        let judgement = Some(judgement.ok_or_else(unknown)?);
        Ok(Response::new(GetJudgementResponse { judgement }))
    }

    async fn list_workers(
        &self,
        _: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        Err(no())
    }

    async fn get_queue(
        &self,
        _: Request<GetQueueRequest>,
    ) -> Result<Response<GetQueueResponse>, Status> {
        Err(no())
    }
}

#[tonic::async_trait]
impl LanguageService for Fakes {
    async fn list_languages(
        &self,
        _: Request<ListLanguagesRequest>,
    ) -> Result<Response<ListLanguagesResponse>, Status> {
        self.answers()?;
        let ids = self.languages.lock().unwrap().clone();
        let language = |language_id| Language { language_id, ..Language::default() };
        let languages = ids.into_iter().map(language).collect();
        Ok(Response::new(ListLanguagesResponse { languages }))
    }
}

#[tonic::async_trait]
impl ProblemService for Fakes {
    async fn get_problem(
        &self,
        request: Request<GetProblemRequest>,
    ) -> Result<Response<GetProblemResponse>, Status> {
        self.answers()?;
        let caller = Caller::of(&request).clone();
        assert!(caller.is_service(), "services come with their own credential");
        let name = request.into_inner().problem_id;
        let problem = self.problems.lock().unwrap().get(&name).cloned();
        let gone = || rpc::status::not_found("PROBLEM_NOT_FOUND", "there is no such problem");
        let problem = problem.ok_or_else(gone)?;
        let owner = self.owners.lock().unwrap().get(&problem.slug).copied();
        if owner.is_some_and(|owner| caller.acting().id != owner) {
            return Err(gone());
        }
        Ok(Response::new(GetProblemResponse { problem: Some(problem) }))
    }

    async fn create_problem(
        &self,
        _: Request<CreateProblemRequest>,
    ) -> Result<Response<CreateProblemResponse>, Status> {
        Err(no())
    }

    async fn list_problems(
        &self,
        _: Request<ListProblemsRequest>,
    ) -> Result<Response<ListProblemsResponse>, Status> {
        Err(no())
    }

    async fn update_problem(
        &self,
        _: Request<UpdateProblemRequest>,
    ) -> Result<Response<UpdateProblemResponse>, Status> {
        Err(no())
    }

    async fn delete_problem(
        &self,
        _: Request<DeleteProblemRequest>,
    ) -> Result<Response<DeleteProblemResponse>, Status> {
        Err(no())
    }

    async fn undelete_problem(
        &self,
        _: Request<UndeleteProblemRequest>,
    ) -> Result<Response<UndeleteProblemResponse>, Status> {
        Err(no())
    }

    async fn publish_problem(
        &self,
        _: Request<PublishProblemRequest>,
    ) -> Result<Response<PublishProblemResponse>, Status> {
        Err(no())
    }

    async fn list_problem_versions(
        &self,
        _: Request<ListProblemVersionsRequest>,
    ) -> Result<Response<ListProblemVersionsResponse>, Status> {
        Err(no())
    }

    async fn get_problem_version(
        &self,
        _: Request<GetProblemVersionRequest>,
    ) -> Result<Response<GetProblemVersionResponse>, Status> {
        Err(no())
    }

    async fn get_statement(
        &self,
        _: Request<GetStatementRequest>,
    ) -> Result<Response<GetStatementResponse>, Status> {
        Err(no())
    }

    type DownloadAttachmentStream = Pin<Box<dyn Stream<Item = Result<HttpBody, Status>> + Send>>;

    async fn download_attachment(
        &self,
        _: Request<DownloadAttachmentRequest>,
    ) -> Result<Response<Self::DownloadAttachmentStream>, Status> {
        Err(no())
    }
}

fn no() -> Status {
    Status::unimplemented("submissions do not need this")
}
