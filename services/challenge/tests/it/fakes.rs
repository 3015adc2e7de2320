//! Fakes of the auth service, the problem service and the judge.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use access::Caller;
use futures_util::Stream;
use proto::auth::access_service_server::{AccessService, AccessServiceServer};
use proto::auth::account_service_server::{AccountService, AccountServiceServer};
use proto::auth::user_service_server::{UserService, UserServiceServer};
use proto::auth::*;
use proto::google::api::HttpBody;
use proto::judge::judgement_service_server::{JudgementService, JudgementServiceServer};
use proto::judge::language_service_server::{LanguageService, LanguageServiceServer};
use proto::judge::*;
use proto::problem::problem_service_server::{ProblemService, ProblemServiceServer};
use proto::problem::*;
use rpc::Services;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// The state of the fakes, which tests change.
#[derive(Clone, Default)]
pub struct Fakes(Arc<Inner>);

#[derive(Default)]
pub struct Inner {
    pub problems: Mutex<HashMap<String, Problem>>,
    /// By slug: the only user who may see the problem. Problems without an owner are public.
    pub owners: Mutex<HashMap<String, Uuid>>,
    pub languages: Mutex<Vec<String>>,
    pub judgements: Mutex<HashMap<String, Judgement>>,
    /// Permissions on resources: user, permission, resource.
    pub grants: Mutex<HashSet<(String, String, String)>>,
    /// By key: the usernames of accounts that were made.
    pub accounts: Mutex<HashMap<String, String>>,
    unavailable: AtomicBool,
}

impl std::ops::Deref for Fakes {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Fakes {
    /// Adds a public problem with a published version; returns its id.
    pub fn problem(&self, slug: &str) -> String {
        self.add(slug, Problem { published_version: 3, ..Problem::default() })
    }

    /// Publishes a version of a problem.
    pub fn publish(&self, slug: &str, version: i64) {
        for problem in self.problems.lock().unwrap().values_mut() {
            if problem.slug == slug {
                problem.published_version = version;
            }
        }
    }

    /// Adds a problem; returns its id.
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

    /// While true, every call fails with UNAVAILABLE.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.unavailable.store(unavailable, Ordering::Relaxed);
    }

    pub fn services(&self) -> Services {
        Services::new()
            .add(AccessServiceServer::new(self.clone()))
            .add(UserServiceServer::new(self.clone()))
            .add(AccountServiceServer::new(self.clone()))
            .add(ProblemServiceServer::new(self.clone()))
            .add(JudgementServiceServer::new(self.clone()))
            .add(LanguageServiceServer::new(self.clone()))
    }

    fn check_available(&self) -> Result<(), Status> {
        match self.unavailable.load(Ordering::Relaxed) {
            true => Err(Status::unavailable("the fakes are unavailable")),
            false => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl AccessService for Fakes {
    async fn check_permission(
        &self,
        request: Request<CheckPermissionRequest>,
    ) -> Result<Response<CheckPermissionResponse>, Status> {
        self.check_available()?;
        assert!(Caller::of(&request).is_service_itself());
        let CheckPermissionRequest { user_id, permission, resource } = request.into_inner();
        let allowed = self.grants.lock().unwrap().contains(&(user_id, permission, resource));
        Ok(Response::new(CheckPermissionResponse { allowed }))
    }

    service::unimplemented_rpcs! {
        list_roles(ListRolesRequest) -> ListRolesResponse;
        create_role_binding(CreateRoleBindingRequest) -> CreateRoleBindingResponse;
        list_role_bindings(ListRoleBindingsRequest) -> ListRoleBindingsResponse;
        delete_role_binding(DeleteRoleBindingRequest) -> DeleteRoleBindingResponse;
    }
}

/// Every name of lower-case letters is a user, with the id that `World::user` gives it.
#[tonic::async_trait]
impl UserService for Fakes {
    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        self.check_available()?;
        let name = request.into_inner().user_id;
        let name = ids::parse(&name).map_or(name, |id| {
            let bytes: Vec<u8> = id.as_bytes().iter().copied().take_while(|b| *b != 0).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let known = (1..=16).contains(&name.len()) && name != "nobody";
        if !known || !name.bytes().all(|b| b.is_ascii_lowercase()) {
            return Err(rpc::status::not_found("USER_NOT_FOUND", "there is no such user"));
        }
        let user_id = crate::world::user_id(&name).to_string();
        let user = Some(User { user_id, username: name, ..User::default() });
        Ok(Response::new(GetUserResponse { user }))
    }

    service::unimplemented_rpcs! {
        register_user(RegisterUserRequest) -> RegisterUserResponse;
        list_users(ListUsersRequest) -> ListUsersResponse;
        update_user(UpdateUserRequest) -> UpdateUserResponse;
        suspend_user(SuspendUserRequest) -> SuspendUserResponse;
        reinstate_user(ReinstateUserRequest) -> ReinstateUserResponse;
    }
}

/// The username `taken` is taken. The password of an account is its name and the number of accounts.
#[tonic::async_trait]
impl AccountService for Fakes {
    async fn create_accounts(
        &self,
        request: Request<CreateAccountsRequest>,
    ) -> Result<Response<CreateAccountsResponse>, Status> {
        self.check_available()?;
        let caller = Caller::of(&request).clone();
        assert!(caller.is_service(), "the call must carry the credential of the service");
        caller.require("auth.account.create")?;
        let CreateAccountsRequest { accounts, validate_only } = request.into_inner();
        let mut violations = rpc::Violations::default();
        for (index, account) in accounts.iter().enumerate() {
            let free = account.username != "taken";
            violations.check(free, &format!("accounts[{index}].username"), "is taken");
        }
        violations.into_result()?;
        let mut known = self.accounts.lock().unwrap();
        let made = accounts.into_iter().map(|NewAccount { key, username, .. }| {
            let existing = known.contains_key(&key);
            let mut made = MadeAccount { key, username, existing, ..Default::default() };
            if !validate_only {
                made.user_id = crate::world::user_id(&made.username).to_string();
                known.insert(made.key.clone(), made.username.clone());
                made.password = format!("{}-{}", made.username, known.len());
            }
            made
        });
        Ok(Response::new(CreateAccountsResponse { accounts: made.collect() }))
    }
}

#[tonic::async_trait]
impl JudgementService for Fakes {
    async fn get_judgement(
        &self,
        request: Request<GetJudgementRequest>,
    ) -> Result<Response<GetJudgementResponse>, Status> {
        self.check_available()?;
        assert!(Caller::of(&request).is_service_itself());
        let judgements = self.judgements.lock().unwrap();
        let judgement = match request.into_inner().subject {
            Some(get_judgement_request::Subject::SubmissionId(id)) => judgements.get(&id),
            Some(get_judgement_request::Subject::JudgementId(id)) => {
                judgements.values().find(|judgement| judgement.judgement_id == id)
            }
            other => panic!("{other:?}"),
        };
        let judgement = judgement.cloned();
        let unknown =
            || rpc::status::not_found("JUDGEMENT_NOT_FOUND", "there is no such judgement");
        let judgement = Some(judgement.ok_or_else(unknown)?);
        Ok(Response::new(GetJudgementResponse { judgement }))
    }

    service::unimplemented_rpcs! {
        batch_get_judgements(proto::judge::BatchGetJudgementsRequest)
            -> proto::judge::BatchGetJudgementsResponse;
        list_workers(ListWorkersRequest) -> ListWorkersResponse;
        get_queue(GetQueueRequest) -> GetQueueResponse;
    }
}

#[tonic::async_trait]
impl LanguageService for Fakes {
    async fn list_languages(
        &self,
        _: Request<ListLanguagesRequest>,
    ) -> Result<Response<ListLanguagesResponse>, Status> {
        self.check_available()?;
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
        self.check_available()?;
        let caller = Caller::of(&request).clone();
        assert!(caller.is_service(), "the call must carry the credential of the service");
        let name = request.into_inner().problem_id;
        let problem = self.problems.lock().unwrap().get(&name).cloned();
        let not_found = || rpc::status::not_found("PROBLEM_NOT_FOUND", "there is no such problem");
        let problem = problem.ok_or_else(not_found)?;
        let owner = self.owners.lock().unwrap().get(&problem.slug).copied();
        if owner.is_some_and(|owner| caller.acting().id != owner) {
            return Err(not_found());
        }
        Ok(Response::new(GetProblemResponse { problem: Some(problem) }))
    }

    async fn get_statement(
        &self,
        request: Request<GetStatementRequest>,
    ) -> Result<Response<GetStatementResponse>, Status> {
        self.check_available()?;
        assert!(Caller::of(&request).is_service_itself());
        let name = request.into_inner().problem_id;
        let title = self.problems.lock().unwrap()[&name].title.clone();
        let statement = Some(Statement { title, html: "<p>Add.</p>".into(), ..Default::default() });
        Ok(Response::new(GetStatementResponse { statement }))
    }

    type DownloadAttachmentStream = Pin<Box<dyn Stream<Item = Result<HttpBody, Status>> + Send>>;

    service::unimplemented_rpcs! {
        create_problem(CreateProblemRequest) -> CreateProblemResponse;
        list_problems(ListProblemsRequest) -> ListProblemsResponse;
        update_problem(UpdateProblemRequest) -> UpdateProblemResponse;
        delete_problem(DeleteProblemRequest) -> DeleteProblemResponse;
        undelete_problem(UndeleteProblemRequest) -> UndeleteProblemResponse;
        publish_problem(PublishProblemRequest) -> PublishProblemResponse;
        list_problem_versions(ListProblemVersionsRequest) -> ListProblemVersionsResponse;
        get_problem_version(GetProblemVersionRequest) -> GetProblemVersionResponse;
        download_attachment(DownloadAttachmentRequest) -> Self::DownloadAttachmentStream;
    }
}
