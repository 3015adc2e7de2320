//! Fake peers: a judge that takes its verdicts from the first line of a program, and an auth service with a list of
//! grants.
//!
//! The first line of a program is a comment with one verdict for all tests, or one per test, optionally preceded by
//! `time=<microseconds>`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bus::{Bus, Event, Fault, Received, Topic};
use db::Tx;
use db::testing::TestDb;
use proto::auth as auth_pb;
use proto::auth::access_service_server::AccessServiceServer;
use proto::event::{JudgedTest, JudgementCompleted, Verdict, VerificationRequested};
use proto::judge as judge_pb;
use proto::judge::judgement_service_server::JudgementServiceServer;
use proto::judge::language_service_server::LanguageServiceServer;
use proto::problem as pb;
use proto::problem::judge_data_service_client::JudgeDataServiceClient;
use rpc::Services;
use runtime::Shutdown;
use tonic::{Request, Response, Status};

pub const JUDGEMENT: Topic = Topic::new("agon.judgement.v1", "judge")
    .key("verification_id")
    .types(&["agon.event.v1.JudgementCompleted"]);
pub const TOPICS: &[Topic] = &[JUDGEMENT];

pub type Client = JudgeDataServiceClient<access::Authorised>;

pub struct Judge {
    pub problem: Client,
}

impl bus::Handler for Judge {
    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        let requested: VerificationRequested = event.decode()?;
        let request =
            pb::GetVerificationRequest { verification_id: requested.verification_id.clone() };
        let found = self.problem.clone().get_verification(request).await?.into_inner();
        let verification = found.verification.ok_or_else(|| Fault::permanent("no verification"))?;
        let judged = judge(&self.problem, &verification).await?;
        complete(tx, &judged);
        Ok(())
    }
}

pub fn complete(tx: &mut Tx, judged: &JudgementCompleted) {
    let key = ids::parse(&judged.verification_id).unwrap();
    bus::outbox::append(tx, Event::new(&JUDGEMENT, key, 1, judged));
}

async fn judge(
    client: &Client,
    requested: &pb::Verification,
) -> Result<JudgementCompleted, Status> {
    let source = match requested.sources.first().and_then(|source| source.content.clone()) {
        Some(object) => download(client, &object.digest).await?,
        None => b"# AC".to_vec(),
    };
    let line = String::from_utf8_lossy(&source).lines().next().unwrap_or("").to_owned();
    let (mut time, mut words) = (1000, Vec::new());
    for word in line.trim_start_matches(['#', '/']).split_whitespace() {
        match word.strip_prefix("time=") {
            Some(us) => time = us.parse().unwrap(),
            None => words.push(word.to_owned()),
        }
    }
    let count = count(client, requested).await?;
    let test = |index: usize| {
        let word = words.get(index.min(words.len().saturating_sub(1))).map_or("AC", String::as_str);
        let mut verdict = verdict(word);
        let solution = requested.kind() == pb::VerificationKind::Solution;
        let mut elapsed = time;
        if solution && verdict != Verdict::CompileError && elapsed > requested.time_limit_us {
            (verdict, elapsed) = (Verdict::TimeLimitExceeded, requested.time_limit_us);
        }
        let index = i32::try_from(index).unwrap();
        JudgedTest { index, verdict: verdict.into(), cpu_time_us: elapsed, ..JudgedTest::default() }
    };
    let tests: Vec<JudgedTest> = (0..count).map(test).collect();
    let failed = tests.iter().map(JudgedTest::verdict).find(|v| *v != Verdict::Accepted);
    Ok(JudgementCompleted {
        judgement_id: requested.verification_id.clone(),
        verification_id: requested.verification_id.clone(),
        verdict: failed.unwrap_or(Verdict::Accepted).into(),
        cpu_time_us: tests.iter().map(|t| t.cpu_time_us).max().unwrap_or(0),
        memory_bytes: 1 << 20,
        test_count: i32::try_from(count).unwrap(),
        tests,
        ..JudgementCompleted::default()
    })
}

async fn count(client: &Client, requested: &pb::Verification) -> Result<usize, Status> {
    if requested.kind() != pb::VerificationKind::Solution {
        return Ok(requested.inputs.len()
            + requested.invalid_inputs.len()
            + requested.outputs.len());
    }
    let request = pb::GetJudgeDataRequest {
        problem_id: requested.problem_id.clone(),
        version: requested.version,
    };
    let data = client.clone().get_judge_data(request).await?.into_inner().judge_data;
    Ok(data.unwrap_or_default().tests.len())
}

/// All bytes of an object.
pub async fn download(client: &Client, digest: &str) -> Result<Vec<u8>, Status> {
    let request = pb::DownloadObjectRequest { digest: digest.to_owned() };
    let mut chunks = client.clone().download_object(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        bytes.extend_from_slice(&chunk.data);
    }
    Ok(bytes)
}

fn verdict(word: &str) -> Verdict {
    match word {
        "WA" => Verdict::WrongAnswer,
        "TLE" => Verdict::TimeLimitExceeded,
        "RTE" => Verdict::RuntimeError,
        "CE" => Verdict::CompileError,
        "JE" => Verdict::JudgeError,
        _ => Verdict::Accepted,
    }
}

/// Runs the judge until the shutdown.
pub fn run(bus: &Bus, db: &TestDb, problem: Client, shutdown: &Shutdown) {
    let judge = Judge { problem };
    let consumer = bus.consumer("judge", db.db(), &["agon.verification.v1"], judge).unwrap();
    tokio::spawn(consumer.run(shutdown.wait()));
}

/// Serves the RPCs of judge and auth that the service calls.
#[derive(Clone, Default)]
pub struct FakePeers {
    /// `user permission resource`.
    pub grants: Arc<Mutex<HashSet<String>>>,
    /// Ids of the languages that the judge offers; empty = it is unavailable.
    pub languages: Arc<Mutex<Vec<String>>>,
}

impl FakePeers {
    pub fn services(&self) -> Services {
        Services::new()
            .add(JudgementServiceServer::new(self.clone()))
            .add(LanguageServiceServer::new(self.clone()))
            .add(AccessServiceServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl judge_pb::judgement_service_server::JudgementService for FakePeers {
    async fn get_judgement(
        &self,
        _: Request<judge_pb::GetJudgementRequest>,
    ) -> Result<Response<judge_pb::GetJudgementResponse>, Status> {
        let judgement = judge_pb::Judgement {
            verdict: judge_pb::Verdict::CompileError.into(),
            compile_output: "expected `;`\0".into(),
            ..judge_pb::Judgement::default()
        };
        Ok(Response::new(judge_pb::GetJudgementResponse { judgement: Some(judgement) }))
    }
    async fn batch_get_judgements(
        &self,
        request: Request<judge_pb::BatchGetJudgementsRequest>,
    ) -> Result<Response<judge_pb::BatchGetJudgementsResponse>, Status> {
        let ids = request.into_inner().verification_ids;
        let running = |verification_id: String| judge_pb::Judgement {
            verification_id,
            state: judge_pb::JudgementState::Running.into(),
            done_count: 1,
            create_time: Some(prost_types::Timestamp { seconds: 100, nanos: 0 }),
            ..judge_pb::Judgement::default()
        };
        let queued = |verification_id: String| judge_pb::Judgement {
            verification_id,
            state: judge_pb::JudgementState::Queued.into(),
            message: "no worker".into(),
            ..judge_pb::Judgement::default()
        };
        // The judge has not got further requests yet.
        let mut ids = ids.into_iter();
        let first = ids.next().map(running);
        let judgements = first.into_iter().chain(ids.next().map(queued)).collect();
        Ok(Response::new(judge_pb::BatchGetJudgementsResponse { judgements }))
    }
    service::unimplemented_rpcs! {
        list_workers(judge_pb::ListWorkersRequest) -> judge_pb::ListWorkersResponse;
        get_queue(judge_pb::GetQueueRequest) -> judge_pb::GetQueueResponse;
    }
}

#[tonic::async_trait]
impl judge_pb::language_service_server::LanguageService for FakePeers {
    async fn list_languages(
        &self,
        _: Request<judge_pb::ListLanguagesRequest>,
    ) -> Result<Response<judge_pb::ListLanguagesResponse>, Status> {
        let ids = self.languages.lock().unwrap().clone();
        if ids.is_empty() {
            return Err(Status::unavailable("no judge"));
        }
        let language = |language_id| judge_pb::Language { language_id, ..Default::default() };
        let languages = ids.into_iter().map(language).collect();
        Ok(Response::new(judge_pb::ListLanguagesResponse { languages }))
    }
}

#[tonic::async_trait]
impl auth_pb::access_service_server::AccessService for FakePeers {
    async fn check_permission(
        &self,
        request: Request<auth_pb::CheckPermissionRequest>,
    ) -> Result<Response<auth_pb::CheckPermissionResponse>, Status> {
        let auth_pb::CheckPermissionRequest { user_id, permission, resource } = request.get_ref();
        let grant = format!("{user_id} {permission} {resource}");
        let allowed = self.grants.lock().unwrap().contains(&grant);
        Ok(Response::new(auth_pb::CheckPermissionResponse { allowed }))
    }
    service::unimplemented_rpcs! {
        list_roles(auth_pb::ListRolesRequest) -> auth_pb::ListRolesResponse;
        create_role_binding(auth_pb::CreateRoleBindingRequest) -> auth_pb::CreateRoleBindingResponse;
        list_role_bindings(auth_pb::ListRoleBindingsRequest) -> auth_pb::ListRoleBindingsResponse;
        delete_role_binding(auth_pb::DeleteRoleBindingRequest) -> auth_pb::DeleteRoleBindingResponse;
    }
}
