//! Calls of services with the caller's credential.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use prost::Message;
use proto::auth::{CreateSessionRequest, CreateSessionResponse};
use proto::challenge::{
    Award, Clarification, Contest, ContestProblem, GetContestRequest, GetContestResponse,
    GetStandingsRequest, GetStandingsResponse, ListAwardsRequest, ListAwardsResponse,
    ListClarificationsRequest, ListClarificationsResponse, ListContestProblemsRequest,
    ListContestProblemsResponse, ListContestsRequest, ListContestsResponse,
    ListParticipantsRequest, ListParticipantsResponse, ListSubmissionsRequest,
    ListSubmissionsResponse, Participant, StandingsView, Submission,
};
use proto::judge::{Language, ListLanguagesRequest, ListLanguagesResponse};
use tonic::client::Grpc;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::credential::{Credential, Sessions};
use crate::edge::Edge;
use crate::failure::Failure;

/// The largest page that services return.
const PAGE: i32 = 200;
const CHALLENGE: &str = "agon.challenge.v1";

static SESSIONS: LazyLock<Sessions> = LazyLock::new(Sessions::default);

/// The services, for one request.
pub struct Client<'e> {
    edge: &'e Edge,
    metadata: MetadataMap,
    deadline: Instant,
    token: Option<String>,
    /// Whether the token is that of an earlier request.
    kept: bool,
}

impl<'e> Client<'e> {
    /// Logs in if the credential is a password. `metadata` is that of the request.
    pub async fn open(
        edge: &'e Edge,
        metadata: MetadataMap,
        credential: &Credential,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let mut client = Client { edge, metadata, deadline, token: None, kept: false };
        client.token = match credential {
            Credential::Anonymous => None,
            Credential::Token(token) => Some(token.clone()),
            Credential::Password { username, password } => {
                let key = Sessions::key(username, password);
                let known = SESSIONS.get(&key, Instant::now());
                client.kept = known.is_some();
                Some(match known {
                    Some(token) => token,
                    None => client.log_in(key, username, password).await?,
                })
            }
        };
        if let Some(token) = &client.token {
            let value = AsciiMetadataValue::try_from(format!("Bearer {token}"));
            let value = value.map_err(|_| Status::unauthenticated("the token is not valid"))?;
            client.metadata.insert("authorization", value);
        }
        Ok(client)
    }

    async fn log_in(
        &self,
        key: [u8; 32],
        username: &str,
        password: &str,
    ) -> Result<String, Failure> {
        let request = CreateSessionRequest {
            identifier: username.to_owned(),
            password: password.to_owned(),
            ..Default::default()
        };
        let created = self.call("agon.auth.v1", "SessionService/CreateSession", request).await;
        let created: CreateSessionResponse = created?;
        let lifetime = Duration::from_secs(u64::try_from(created.expires_in).unwrap_or(0));
        SESSIONS.put(key, created.access_token.clone(), lifetime, Instant::now());
        Ok(created.access_token)
    }

    /// Whether logging in again can help against the failure: the session of an earlier request has ended.
    pub fn is_stale(&self, failure: &Failure) -> bool {
        self.kept && failure.code() == Code::Unauthenticated
    }

    /// Whether the request has a credential.
    pub fn is_known(&self) -> bool {
        self.token.is_some()
    }

    async fn call<Q, R>(&self, package: &str, method: &str, message: Q) -> Result<R, Failure>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("/{package}.{method}"))
            .map_err(|error| Status::internal(error.to_string()))?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(left);
        let limit = self.edge.config.response_bytes;
        let mut grpc = Grpc::new(self.edge.upstream.clone()).max_decoding_message_size(limit);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let codec = ProstCodec::<Q, R>::default();
        let response = crate::call::within(left, grpc.unary(request, path, codec)).await;
        response.map(tonic::Response::into_inner).map_err(|status| {
            if let (Code::Unauthenticated, Some(token)) = (status.code(), &self.token) {
                SESSIONS.remove(token);
            }
            crate::call::with_headers(status)
        })
    }

    /// All items of a list: `request` makes the request of a page from its token.
    async fn all<Q, R, T>(
        &self,
        method: &str,
        request: impl Fn(String) -> Q,
        split: impl Fn(R) -> (Vec<T>, String),
    ) -> Result<Vec<T>, Failure>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let (items, next) = split(self.call(CHALLENGE, method, request(token)).await?);
            all.extend(items);
            if next.is_empty() {
                return Ok(all);
            }
            token = next;
        }
    }

    pub async fn contests(&self) -> Result<Vec<Contest>, Failure> {
        self.all(
            "ContestService/ListContests",
            |page_token| ListContestsRequest { page_size: PAGE, page_token, ..Default::default() },
            |page: ListContestsResponse| (page.contests, page.next_page_token),
        )
        .await
    }

    /// `id` is an id or a slug.
    pub async fn contest(&self, id: &str) -> Result<Contest, Failure> {
        let request = GetContestRequest { contest_id: id.to_owned() };
        let found = self.call(CHALLENGE, "ContestService/GetContest", request).await;
        let found: GetContestResponse = found?;
        found.contest.ok_or_else(|| Status::internal("no contest in the response").into())
    }

    /// Empty before the start for those who may not see the problems.
    pub async fn problems(&self, contest_id: &str) -> Result<Vec<ContestProblem>, Failure> {
        let request = ListContestProblemsRequest { contest_id: contest_id.to_owned() };
        let found = self.call(CHALLENGE, "ContestService/ListContestProblems", request).await;
        let found: Result<ListContestProblemsResponse, _> = found;
        match found {
            Ok(found) => Ok(found.problems),
            Err(failure) if failure.reason().as_deref() == Some("CONTEST_NOT_STARTED") => {
                Ok(Vec::new())
            }
            Err(failure) => Err(failure),
        }
    }

    pub async fn languages(&self) -> Result<Vec<Language>, Failure> {
        let method = "LanguageService/ListLanguages";
        let found = self.call("agon.judge.v1", method, ListLanguagesRequest {}).await;
        let found: ListLanguagesResponse = found?;
        Ok(found.languages)
    }

    pub async fn participants(&self, contest_id: &str) -> Result<Vec<Participant>, Failure> {
        self.all(
            "ContestService/ListParticipants",
            |page_token| ListParticipantsRequest {
                contest_id: contest_id.to_owned(),
                page_size: PAGE,
                page_token,
            },
            |page: ListParticipantsResponse| (page.participants, page.next_page_token),
        )
        .await
    }

    /// The submissions that the caller may see, the oldest first.
    pub async fn submissions(&self, contest_id: &str) -> Result<Vec<Submission>, Failure> {
        if !self.is_known() {
            return Ok(Vec::new());
        }
        let mut all = self
            .all(
                "SubmissionService/ListSubmissions",
                |page_token| ListSubmissionsRequest {
                    challenge_id: contest_id.to_owned(),
                    page_size: PAGE,
                    page_token,
                    ..Default::default()
                },
                |page: ListSubmissionsResponse| (page.submissions, page.next_page_token),
            )
            .await?;
        all.reverse();
        Ok(all)
    }

    /// The oldest first.
    pub async fn clarifications(&self, contest_id: &str) -> Result<Vec<Clarification>, Failure> {
        let mut all = self
            .all(
                "ClarificationService/ListClarifications",
                |page_token| ListClarificationsRequest {
                    contest_id: contest_id.to_owned(),
                    page_size: PAGE,
                    page_token,
                    ..Default::default()
                },
                |page: ListClarificationsResponse| (page.clarifications, page.next_page_token),
            )
            .await?;
        all.reverse();
        Ok(all)
    }

    /// As the jury sees them, if the caller may see that.
    pub async fn awards(&self, contest_id: &str) -> Result<Vec<Award>, Failure> {
        if self.is_known()
            && let Some(all) = as_jury(self.awards_in(contest_id, StandingsView::Jury).await)?
        {
            return Ok(all);
        }
        self.awards_in(contest_id, StandingsView::Public).await
    }

    async fn awards_in(
        &self,
        contest_id: &str,
        view: StandingsView,
    ) -> Result<Vec<Award>, Failure> {
        self.all(
            "ResultService/ListAwards",
            |page_token| ListAwardsRequest {
                contest_id: contest_id.to_owned(),
                view: view.into(),
                page_size: PAGE,
                page_token,
            },
            |page: ListAwardsResponse| (page.awards, page.next_page_token),
        )
        .await
    }

    /// Pages of the standings, as the jury sees them if the caller may see that. `group` is a name; empty = all.
    pub async fn standings(
        &self,
        contest_id: &str,
        group: &str,
    ) -> Result<Vec<GetStandingsResponse>, Failure> {
        let jury = StandingsView::Jury;
        if self.is_known()
            && let Some(pages) = as_jury(self.standings_in(contest_id, group, jury).await)?
        {
            return Ok(pages);
        }
        self.standings_in(contest_id, group, StandingsView::Public).await
    }

    async fn standings_in(
        &self,
        contest_id: &str,
        group: &str,
        view: StandingsView,
    ) -> Result<Vec<GetStandingsResponse>, Failure> {
        self.all(
            "ContestService/GetStandings",
            |page_token| GetStandingsRequest {
                contest_id: contest_id.to_owned(),
                view: view.into(),
                page_size: PAGE,
                page_token,
                group: group.to_owned(),
                ..Default::default()
            },
            |page: GetStandingsResponse| {
                let token = page.next_page_token.clone();
                (vec![page], token)
            },
        )
        .await
    }
}

/// `None` if the caller does not belong to the jury.
fn as_jury<T>(result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Err(failure) if failure.reason().as_deref() == Some("NOT_JURY") => Ok(None),
        result => result.map(Some),
    }
}
