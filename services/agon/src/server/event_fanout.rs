//! The event service of a gateway whose services run in other processes: a subscription goes to one of them, calls for
//! dead letters go to all consumers.

use std::pin::Pin;

use access::{Authorised, Caller};
use futures_util::{Stream, StreamExt as _};
use proto::event::event_service_client::EventServiceClient;
use proto::event::event_service_server::EventService;
use proto::event::{
    DiscardDeadLetterRequest, DiscardDeadLetterResponse, ListDeadLettersRequest,
    ListDeadLettersResponse, ReplayDeadLettersRequest, ReplayDeadLettersResponse, SubscribeRequest,
    SubscribeResponse,
};
use rpc::{Channel, metadata, status};
use tonic::{Code, Request, Response, Status, async_trait};

use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;
use crate::services;

type Client = EventServiceClient<Authorised>;

/// The clients of all consumers, each with its name in page tokens.
pub struct EventFanout(Vec<(&'static str, Client)>);

impl EventFanout {
    /// Connects to the consumers in other processes, and to the event service of this process through `local`.
    pub fn new(base: &Base, local: Option<Channel>) -> Result<Self, Failure> {
        let mut channels: Vec<_> = local.map(|local| ("here", local)).into_iter().collect();
        let consumers = services::ALL.iter().filter(|service| !service.consumes.is_empty());
        for role in consumers.map(Role::of).filter(|role| !base.runs(*role)) {
            channels.push((role.name(), base.channel(role)?));
        }
        let credentials = base.credentials(Role::GATEWAY)?;
        let client =
            |(name, channel)| (name, EventServiceClient::new(credentials.edge_channel(channel)));
        Ok(Self(channels.into_iter().map(client).collect()))
    }
}

#[async_trait]
impl EventService for EventFanout {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (_, client) = self.0.last().expect("at least one consumer");
        let stream = client.clone().subscribe(with_caller(&request)).await?.into_inner();
        Ok(Response::new(stream.boxed()))
    }

    /// Lists one consumer after another. A page token is the consumer's name, a dot and that consumer's page token.
    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let token = request.get_ref().page_token.clone();
        let (first, mut token) = self.parse_page_token(&token)?;
        for (at, (_, client)) in self.0.iter().enumerate().skip(first) {
            let mut forwarded = with_caller(&request);
            forwarded.get_mut().page_token = std::mem::take(&mut token);
            let mut page = client.clone().list_dead_letters(forwarded).await?.into_inner();
            let next = match page.next_page_token.as_str() {
                "" => self.0.get(at + 1).map(|(name, _)| format!("{name}.")),
                inner => Some(format!("{}.{inner}", self.0[at].0)),
            };
            if page.dead_letters.is_empty() && page.next_page_token.is_empty() && next.is_some() {
                continue;
            }
            page.next_page_token = next.unwrap_or_default();
            return Ok(Response::new(page));
        }
        Ok(Response::new(ListDeadLettersResponse::default()))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<ReplayDeadLettersRequest>,
    ) -> Result<Response<ReplayDeadLettersResponse>, Status> {
        let mut answers = Vec::new();
        for (_, client) in &self.0 {
            let answer = client.clone().replay_dead_letters(with_caller(&request)).await;
            answers.push(answer.map(|answer| answer.into_inner().event_count));
        }
        let event_count = sum(answers)?;
        Ok(Response::new(ReplayDeadLettersResponse { event_count }))
    }

    async fn discard_dead_letter(
        &self,
        request: Request<DiscardDeadLetterRequest>,
    ) -> Result<Response<DiscardDeadLetterResponse>, Status> {
        let mut answers = Vec::new();
        for (_, client) in &self.0 {
            let answer = client.clone().discard_dead_letter(with_caller(&request)).await;
            answers.push(answer.map(|answer| answer.into_inner().event_count));
        }
        let event_count = sum(answers)?;
        Ok(Response::new(DiscardDeadLetterResponse { event_count }))
    }
}

impl EventFanout {
    fn parse_page_token(&self, token: &str) -> Result<(usize, String), Status> {
        if token.is_empty() {
            return Ok((0, String::new()));
        }
        let position = token.split_once('.').and_then(|(name, inner)| {
            let at = self.0.iter().position(|(known, _)| *known == name)?;
            Some((at, inner.to_owned()))
        });
        position.ok_or_else(|| {
            let what = "must be a next_page_token of this list, unchanged";
            status::invalid_argument("page_token", what)
        })
    }
}

/// The sum of the consumers' answers. Only the consumers that have the dead letter must answer.
fn sum(answers: Vec<Result<i32, Status>>) -> Result<i32, Status> {
    let (found, mut failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    if found.is_empty() {
        // A consumer that did not answer may have it.
        let unknown = failed.iter().position(|answer| {
            answer.as_ref().is_err_and(|status| status.code() != Code::NotFound)
        });
        return failed.swap_remove(unknown.unwrap_or(0));
    }
    found.into_iter().sum()
}

/// A copy of the request with the caller's credential and address.
fn with_caller<T: Clone>(request: &Request<T>) -> Request<T> {
    let mut forwarded = Request::new(request.get_ref().clone());
    for name in [metadata::AUTHORIZATION, metadata::ON_BEHALF_OF] {
        if let Some(value) = request.metadata().get(name) {
            forwarded.metadata_mut().insert(name, value.clone());
        }
    }
    if let Some(address) = Caller::of(request).address
        && let Ok(value) = address.to_string().parse()
    {
        forwarded.metadata_mut().insert(metadata::CLIENT_ADDRESS, value);
    }
    forwarded
}

#[cfg(test)]
mod tests {
    use access::Credentials;

    use super::*;

    #[tokio::test]
    async fn page_token_names_the_consumer() {
        let channel = Channel::connect("http://127.0.0.1:1").unwrap();
        let client = EventServiceClient::new(Credentials::fixed("token").edge_channel(channel));
        let fanout = EventFanout(vec![("problem", client.clone()), ("judge", client)]);
        assert_eq!(fanout.parse_page_token("").unwrap(), (0, String::new()));
        assert_eq!(fanout.parse_page_token("judge.").unwrap(), (1, String::new()));
        assert_eq!(fanout.parse_page_token("problem.a.b").unwrap(), (0, "a.b".to_owned()));
        for wrong in ["judge", "auth.x", ".", "x"] {
            let status = fanout.parse_page_token(wrong).unwrap_err();
            assert_eq!(status::fields(&status)[0].0, "page_token", "{wrong}");
        }
    }
}
