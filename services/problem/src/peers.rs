//! Clients of the other services: auth and judge.

use std::collections::BTreeMap;
use std::time::Duration;

use access::Authorised;
use proto::auth::CheckPermissionRequest;
use proto::auth::access_service_client::AccessServiceClient;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::language_service_client::LanguageServiceClient;
use proto::judge::{
    BatchGetJudgementsRequest, GetJudgementRequest, Judgement, JudgementState,
    ListLanguagesRequest, Verdict, get_judgement_request::Subject,
};
use service::OpenError;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::check::TimeFactor;
use crate::error::Result;
use crate::import::Progress;

const TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum of BatchGetJudgements.
const MAX_BATCH: usize = 1000;
/// Characters of a judge message that are stored.
const MAX_MESSAGE: usize = 4000;

#[derive(Clone)]
pub struct Peers {
    access: AccessServiceClient<Authorised>,
    judgements: JudgementServiceClient<Authorised>,
    languages: LanguageServiceClient<Authorised>,
}

impl Peers {
    pub fn new(peers: &service::Peers) -> Result<Self, OpenError> {
        let judge = peers.channel("judge")?;
        Ok(Self {
            access: AccessServiceClient::new(peers.channel("auth")?),
            judgements: JudgementServiceClient::new(judge.clone()),
            languages: LanguageServiceClient::new(judge),
        })
    }

    /// Whether a user holds a permission on a problem.
    pub async fn allows(&self, user: Uuid, permission: &str, problem: Uuid) -> Result<bool> {
        let mut request = Request::new(CheckPermissionRequest {
            user_id: user.to_string(),
            permission: permission.to_owned(),
            resource: format!("problems/{problem}"),
        });
        request.set_timeout(TIMEOUT);
        match self.access.clone().check_permission(request).await {
            Ok(response) => Ok(response.into_inner().allowed),
            // A deleted user has no permissions.
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {
                Ok(false)
            }
            Err(status) => Err(service::peer("auth")(status).into()),
        }
    }

    /// Empty if the judge is unavailable.
    async fn list_languages(&self) -> Vec<proto::judge::Language> {
        let mut request = Request::new(ListLanguagesRequest {});
        request.set_timeout(TIMEOUT);
        let response = self.languages.clone().list_languages(request).await;
        response.map(|response| response.into_inner().languages).unwrap_or_default()
    }

    /// The languages that the judge offers; its built-in ones if it is unavailable.
    pub async fn languages(&self) -> package::Languages {
        let languages = self.list_languages().await;
        if languages.is_empty() {
            return package::Languages::built_in();
        }
        package::Languages::offered(languages.into_iter().map(|language| language.language_id))
    }

    /// Time factors by language; empty if the judge is unavailable.
    pub async fn time_factors(&self) -> BTreeMap<String, TimeFactor> {
        let languages = self.list_languages().await.into_iter();
        let time_factor = |language: proto::judge::Language| {
            let extra = language.extra_time.unwrap_or_default();
            let extra_us = extra.seconds * 1_000_000 + i64::from(extra.nanos) / 1000;
            let factor =
                if language.time_multiplier > 0.0 { language.time_multiplier } else { 1.0 };
            let is_default = extra_us == 0 && (factor - 1.0).abs() < 1e-9;
            (!is_default).then_some((language.language_id, TimeFactor { factor, extra_us }))
        };
        languages.filter_map(time_factor).collect()
    }

    /// The progress of checks, by id; empty if the judge is unavailable. Checks that the judge does not know yet are
    /// missing.
    pub async fn progress(&self, checks: &[Uuid]) -> BTreeMap<Uuid, Progress> {
        if checks.is_empty() {
            return BTreeMap::new();
        }
        let verification_ids = checks.iter().take(MAX_BATCH).map(Uuid::to_string).collect();
        let mut request = Request::new(BatchGetJudgementsRequest { verification_ids });
        request.set_timeout(TIMEOUT);
        let response = self.judgements.clone().batch_get_judgements(request).await;
        let judgements = response.map(|response| response.into_inner().judgements);
        let progress = |judgement: Judgement| {
            let id = ids::parse(&judgement.verification_id)?;
            let running = [JudgementState::Compiling, JudgementState::Running];
            let running = running.contains(&judgement.state());
            let message = match judgement.state() {
                JudgementState::Queued => judgement.message,
                _ => String::new(),
            };
            let progress = Progress {
                running,
                done_count: judgement.done_count,
                queued_at: judgement.create_time,
                message,
            };
            Some((id, progress))
        };
        judgements.unwrap_or_default().into_iter().filter_map(progress).collect()
    }

    /// Explains an unexpected verdict: messages of judge, compiler and first failed test. Empty if the judge is
    /// unavailable, as the verdict is valid without it.
    pub async fn explain(&self, check: Uuid) -> String {
        let subject = Some(Subject::VerificationId(check.to_string()));
        let mut request = Request::new(GetJudgementRequest { subject });
        request.set_timeout(TIMEOUT);
        let response = self.judgements.clone().get_judgement(request).await;
        let judgement = response.ok().and_then(|response| response.into_inner().judgement);
        judgement.map(|judgement| explanation(&judgement)).unwrap_or_default()
    }
}

fn explanation(judgement: &Judgement) -> String {
    let failed = judgement.tests.iter().find(|test| test.verdict() != Verdict::Accepted);
    let test = failed.map(|test| test.message.as_str()).unwrap_or_default();
    let compiler = match judgement.verdict() {
        Verdict::CompileError => judgement.compile_output.as_str(),
        _ => "",
    };
    let parts = [judgement.message.as_str(), compiler, test];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    // Databases do not store zero bytes in texts.
    parts.join("\n").replace('\0', "\u{fffd}").chars().take(MAX_MESSAGE).collect()
}
