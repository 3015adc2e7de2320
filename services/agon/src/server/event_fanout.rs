//! The events' service where the services run apart: a stream comes from any of them, dead letters from all that
//! consume.

use std::pin::Pin;

use access::{Caller, EdgeChannel};
use futures_util::{Stream, StreamExt as _};
use proto::event::event_service_client::EventServiceClient;
use proto::event::event_service_server::EventService;
use proto::event::{
    ListDeadLettersRequest, ListDeadLettersResponse, ReplayDeadLettersRequest,
    ReplayDeadLettersResponse, SubscribeRequest, SubscribeResponse,
};
use rpc::{Channel, metadata, status};
use tonic::{Code, Request, Response, Status, async_trait};

use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;

/// Those that consume events, in the order in which their dead letters are listed.
const CONSUMERS: [Role; 3] = [Role::Problem, Role::Judge, Role::Challenge];

type Client = EventServiceClient<EdgeChannel>;

/// The service: clients of those that consume, by the names that page tokens give them.
pub struct Spread(Vec<(&'static str, Client)>);

impl Spread {
    /// Over the roles that are elsewhere; and the events of this process itself, where `here` leads to them.
    pub fn new(base: &Base, here: Option<Channel>) -> Result<Self, Failure> {
        let mut channels: Vec<_> = here.map(|here| ("here", here)).into_iter().collect();
        for role in CONSUMERS.into_iter().filter(|role| !base.plays(*role)) {
            channels.push((role.name(), base.to(role)?));
        }
        let credentials = base.credentials(Role::Gateway)?;
        let client =
            |(name, channel)| (name, EventServiceClient::new(credentials.edge_channel(channel)));
        Ok(Self(channels.into_iter().map(client).collect()))
    }
}

#[async_trait]
impl EventService for Spread {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (_, client) = self.0.last().expect("there are consumers");
        let stream = client.clone().subscribe(onward(&request)).await?.into_inner();
        Ok(Response::new(stream.boxed()))
    }

    /// One role after the other; a page token says whose turn it is, and holds that role's own.
    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let token = request.get_ref().page_token.clone();
        let (first, mut token) = self.place(&token)?;
        for (at, (_, client)) in self.0.iter().enumerate().skip(first) {
            let mut asked = onward(&request);
            asked.get_mut().page_token = std::mem::take(&mut token);
            let mut page = client.clone().list_dead_letters(asked).await?.into_inner();
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
        let (mut event_count, mut missing) = (0, None);
        for (_, client) in &self.0 {
            match client.clone().replay_dead_letters(onward(&request)).await {
                Ok(answer) => event_count += answer.into_inner().event_count,
                Err(status) if status.code() == Code::NotFound => missing = Some(status),
                Err(status) => return Err(status),
            }
        }
        match missing.filter(|_| event_count == 0) {
            Some(status) => Err(status),
            None => Ok(Response::new(ReplayDeadLettersResponse { event_count })),
        }
    }
}

impl Spread {
    fn place(&self, token: &str) -> Result<(usize, String), Status> {
        if token.is_empty() {
            return Ok((0, String::new()));
        }
        let place = token.split_once('.').and_then(|(name, inner)| {
            let at = self.0.iter().position(|(known, _)| *known == name)?;
            Some((at, inner.to_owned()))
        });
        place.ok_or_else(|| {
            let what = "is not a token of this list; send next_page_token back unchanged";
            status::invalid_argument("page_token", what)
        })
    }
}

/// The request with the caller's own credential.
fn onward<T: Clone>(request: &Request<T>) -> Request<T> {
    let mut onward = Request::new(request.get_ref().clone());
    for name in [metadata::AUTHORIZATION, metadata::ON_BEHALF_OF] {
        if let Some(value) = request.metadata().get(name) {
            onward.metadata_mut().insert(name, value.clone());
        }
    }
    if let Some(address) = Caller::of(request).address
        && let Ok(value) = address.to_string().parse()
    {
        onward.metadata_mut().insert(metadata::CLIENT_ADDRESS, value);
    }
    onward
}

#[cfg(test)]
mod tests {
    use access::Credentials;

    use super::*;

    #[tokio::test]
    async fn page_tokens_say_whose_turn_it_is() {
        let channel = Channel::connect("http://127.0.0.1:1").unwrap();
        let client = EventServiceClient::new(Credentials::fixed("token").edge_channel(channel));
        let spread = Spread(vec![("problem", client.clone()), ("judge", client)]);
        assert_eq!(spread.place("").unwrap(), (0, String::new()));
        assert_eq!(spread.place("judge.").unwrap(), (1, String::new()));
        assert_eq!(spread.place("problem.a.b").unwrap(), (0, "a.b".to_owned()));
        for wrong in ["judge", "auth.x", ".", "x"] {
            let status = spread.place(wrong).unwrap_err();
            assert_eq!(status::fields(&status)[0].0, "page_token", "{wrong}");
        }
    }
}
