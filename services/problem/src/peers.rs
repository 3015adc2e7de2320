//! The other services, as this one sees them: auth and judge.

use std::collections::BTreeMap;
use std::time::Duration;

use access::Authorised;
use proto::auth::CheckPermissionRequest;
use proto::auth::access_service_client::AccessServiceClient;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::language_service_client::LanguageServiceClient;
use proto::judge::{
    GetJudgementRequest, Judgement, ListLanguagesRequest, Verdict, get_judgement_request::Subject,
};
use tonic::{Code, Request};
use uuid::Uuid;

use crate::check::Pace;
use crate::error::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(2);
/// Most characters of a message that are kept.
const MAX_MESSAGE: usize = 4000;

/// Clients of the other services.
#[derive(Clone)]
pub struct Peers {
    access: AccessServiceClient<Authorised>,
    judgements: JudgementServiceClient<Authorised>,
    languages: LanguageServiceClient<Authorised>,
}

impl Peers {
    /// Clients over channels with this service's credential.
    pub fn new(auth: Authorised, judge: Authorised) -> Self {
        Self {
            access: AccessServiceClient::new(auth),
            judgements: JudgementServiceClient::new(judge.clone()),
            languages: LanguageServiceClient::new(judge),
        }
    }

    /// Whether a user holds a permission on a problem.
    pub async fn allows(&self, user: Uuid, permission: &str, problem: Uuid) -> Result<bool> {
        let mut request = Request::new(CheckPermissionRequest {
            user_id: user.to_string(),
            permission: permission.to_owned(),
            resource: format!("problems/{problem}"),
        });
        request.set_timeout(PATIENCE);
        match self.access.clone().check_permission(request).await {
            Ok(answer) => Ok(answer.into_inner().allowed),
            // A user that is gone holds nothing.
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {
                Ok(false)
            }
            Err(status) => Err(Error::Peer(Box::new(status))),
        }
    }

    /// How much longer each language may take; nothing while the judge is away.
    pub async fn paces(&self) -> BTreeMap<String, Pace> {
        let mut request = Request::new(ListLanguagesRequest {});
        request.set_timeout(PATIENCE);
        let Ok(answer) = self.languages.clone().list_languages(request).await else {
            return BTreeMap::new();
        };
        let languages = answer.into_inner().languages.into_iter();
        let pace = |language: proto::judge::Language| {
            let extra = language.extra_time.unwrap_or_default();
            let extra_us = extra.seconds * 1_000_000 + i64::from(extra.nanos) / 1000;
            let factor =
                if language.time_multiplier > 0.0 { language.time_multiplier } else { 1.0 };
            let plain = extra_us == 0 && (factor - 1.0).abs() < 1e-9;
            (!plain).then_some((language.language_id, Pace { factor, extra_us }))
        };
        languages.filter_map(pace).collect()
    }

    /// What there is to say about a surprise: the compiler's words, or the judge's. Empty when the judge
    /// does not answer: the verdict stands without it.
    pub async fn explain(&self, check: Uuid) -> String {
        let subject = Some(Subject::VerificationId(check.to_string()));
        let mut request = Request::new(GetJudgementRequest { subject });
        request.set_timeout(PATIENCE);
        let answer = self.judgements.clone().get_judgement(request).await;
        let judgement = answer.ok().and_then(|answer| answer.into_inner().judgement);
        judgement.map(|judgement| told(&judgement)).unwrap_or_default()
    }
}

fn told(judgement: &Judgement) -> String {
    let wrong = judgement.tests.iter().find(|test| test.verdict() != Verdict::Accepted);
    let of_test = wrong.map(|test| test.message.as_str()).unwrap_or_default();
    let compiler = match judgement.verdict() {
        Verdict::CompileError => judgement.compile_output.as_str(),
        _ => "",
    };
    let parts = [judgement.message.as_str(), compiler, of_test];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    // A zero byte is no text in any database.
    parts.join("\n").replace('\0', "\u{fffd}").chars().take(MAX_MESSAGE).collect()
}
