//! `agon.event.v1.EventService`: the stream of events as a viewer may see it, and dead letters for operators.

mod cursor;
mod feed;
mod filter;
mod letters;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use access::Caller;
use futures_util::Stream;
use proto::event::event_service_server::{EventService, EventServiceServer};
use proto::event::{
    Event, ListDeadLettersRequest, ListDeadLettersResponse, ReplayDeadLettersRequest,
    ReplayDeadLettersResponse, SubscribeRequest, SubscribeResponse,
};
use rpc::PageKey;
use tonic::{Request, Response, Status};

use crate::{Bus, Error, Received};

/// The server of the events on `bus`. Cursors and page tokens are authenticated with `key`.
#[must_use]
pub fn server(bus: Bus, key: PageKey) -> EventServiceServer<impl EventService> {
    server_with(bus, key, HEARTBEAT)
}

/// [`server`], with a sign of life in every subscription after `heartbeat` without an event.
#[must_use]
pub fn server_with(
    bus: Bus,
    key: PageKey,
    heartbeat: Duration,
) -> EventServiceServer<impl EventService> {
    EventServiceServer::new(Events { bus, key: Arc::new(key), heartbeat })
}

/// Shorter than what proxies take for a dead connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Events {
    bus: Bus,
    key: Arc<PageKey>,
    heartbeat: Duration,
}

type Responses = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl EventService for Events {
    type SubscribeStream = Responses;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Responses>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let filter = filter::Filter::new(&self.bus, &request, caller)?;
        let key = self.key.clone();
        let feed = feed::Feed::open(&self.bus, key, filter, &request, self.heartbeat).await?;
        Ok(Response::new(Box::pin(feed.stream())))
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        letters::list(&self.bus, &self.key, &request.into_inner()).await.map(Response::new)
    }

    async fn replay_dead_letters(
        &self,
        request: Request<ReplayDeadLettersRequest>,
    ) -> Result<Response<ReplayDeadLettersResponse>, Status> {
        letters::replay(&self.bus, &request.into_inner()).await.map(Response::new)
    }
}

/// An event on the wire.
fn message(event: &Received) -> Event {
    Event {
        event_id: event.id.to_string(),
        topic: event.topic.to_owned(),
        r#type: event.type_name.clone(),
        key: event.aggregate_id.to_string(),
        sequence: event.version,
        time: Some(timestamp(event.time)),
        data: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/{}", event.type_name),
            value: event.data.to_vec(),
        }),
    }
}

fn timestamp(time: chrono::DateTime<chrono::Utc>) -> prost_types::Timestamp {
    // Below a second: always fits.
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

/// What a failing database or broker is to a client.
fn unavailable(error: &Error) -> Status {
    let passing = match error {
        Error::Db(error) => error.is_transient(),
        Error::Kafka(_) => true,
        Error::Config(_) | Error::Topic(_) => false,
    };
    match passing {
        true => {
            tracing::warn!(%error, "the event log cannot be read");
            let wait = Duration::from_secs(1);
            rpc::status::retry(
                tonic::Code::Unavailable,
                "EVENTS_UNAVAILABLE",
                "the event log cannot be read now",
                wait,
            )
        }
        false => rpc::status::internal(error),
    }
}
