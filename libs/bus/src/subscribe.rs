//! `agon.event.v1.EventService`: the stream of events, projected for the caller, and the dead letters for operators.

mod dead_letters;
mod filter;
mod subscription;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use access::Caller;
use futures_util::Stream;
use proto::event::event_service_server::{EventService, EventServiceServer};
use proto::event::{
    DiscardDeadLetterRequest, DiscardDeadLetterResponse, Event, ListDeadLettersRequest,
    ListDeadLettersResponse, ReplayDeadLettersRequest, ReplayDeadLettersResponse, SubscribeRequest,
    SubscribeResponse,
};
use rpc::PageKey;
use tonic::{Request, Response, Status};

use crate::{Bus, Error, Received};
use subscription::Subscription;

/// The gRPC service over the events of `bus`. Cursors and page tokens are authenticated with `key`.
pub fn server(bus: Bus, key: PageKey) -> EventServiceServer<impl EventService> {
    server_with(bus, key, HEARTBEAT)
}

/// [`server`] with another interval of heartbeats: responses without an event that an idle subscription gets.
pub fn server_with(
    bus: Bus,
    key: PageKey,
    heartbeat: Duration,
) -> EventServiceServer<impl EventService> {
    EventServiceServer::new(Events { bus, key: Arc::new(key), heartbeat })
}

/// Shorter than the idle timeouts of common proxies.
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
        let subscription =
            Subscription::open(&self.bus, key, filter, &request, self.heartbeat).await?;
        Ok(Response::new(Box::pin(subscription.stream())))
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        dead_letters::list(&self.bus, &self.key, &request.into_inner()).await.map(Response::new)
    }

    async fn replay_dead_letters(
        &self,
        request: Request<ReplayDeadLettersRequest>,
    ) -> Result<Response<ReplayDeadLettersResponse>, Status> {
        dead_letters::replay(&self.bus, &request.into_inner()).await.map(Response::new)
    }

    async fn discard_dead_letter(
        &self,
        request: Request<DiscardDeadLetterRequest>,
    ) -> Result<Response<DiscardDeadLetterResponse>, Status> {
        dead_letters::discard(&self.bus, &request.into_inner()).await.map(Response::new)
    }
}

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
    // Always fits: below 10^9.
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

fn unavailable(error: &Error) -> Status {
    let transient = match error {
        Error::Db(error) => error.is_transient(),
        Error::Kafka(_) => true,
        Error::Config(_) | Error::Topic(_) => false,
    };
    match transient {
        true => {
            tracing::warn!(%error, "reading event log failed");
            let text = "the event log is temporarily unavailable";
            let code = tonic::Code::Unavailable;
            rpc::status::retry(code, "EVENTS_UNAVAILABLE", text, Duration::from_secs(1))
        }
        false => rpc::status::internal(error),
    }
}
