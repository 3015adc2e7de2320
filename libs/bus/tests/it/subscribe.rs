//! Subscriptions and dead letters, through the generated client.

use std::sync::Arc;
use std::time::Duration;

use access::{Caller, Kind, Principal};
use bus::{Event, outbox};
use db::testing::{self, eventually};
use ids::Uuid;
use proto::event::event_service_client::EventServiceClient;
use proto::event::{
    ListDeadLettersRequest, ReplayDeadLettersRequest, SubscribeRequest, SubscribeResponse,
    UserUpdated,
};
use rpc::{PageKey, RootSecret};
use tonic::{Code, Request, Status, Streaming};

use crate::world::{CONSUMER, Inject, SECRETS, World};

fn caller(kind: Kind, id: Uuid) -> Caller {
    let principal = Principal { kind, id, ..Principal::anonymous() };
    let mut caller = Caller::anonymous();
    caller.principal = Arc::new(principal);
    caller
}

fn service() -> Caller {
    caller(Kind::Service, Uuid::nil())
}

macro_rules! call {
    ($world:expr, $caller:expr, $rpc:ident($request:expr)) => {{
        let key = PageKey::new(&RootSecret::from_bytes([7; 32]));
        let server =
            bus::subscribe::server_with($world.bus.clone(), key, Duration::from_millis(200));
        let mut request = Request::new($request);
        request.extensions_mut().insert($caller);
        EventServiceClient::new(server).$rpc(request).await.map(|response| response.into_inner())
    }};
}

async fn subscribe(
    world: &World,
    caller: Caller,
    request: SubscribeRequest,
) -> Result<Streaming<SubscribeResponse>, Status> {
    call!(world, caller, subscribe(request))
}

/// The next event, skipping heartbeats: topic, key, version and cursor.
async fn next(stream: &mut Streaming<SubscribeResponse>) -> (String, Uuid, i64, String) {
    loop {
        let response = stream.message().await.unwrap().expect("the stream has not ended");
        if let Some(event) = response.event {
            let data = event.data.expect("an event has data");
            assert_eq!(data.type_url, format!("type.googleapis.com/{}", event.r#type));
            return (event.topic, event.key.parse().unwrap(), event.sequence, response.cursor);
        }
    }
}

fn from_start() -> SubscribeRequest {
    SubscribeRequest { from_start: true, ..Default::default() }
}

#[tokio::test]
async fn stream_resumes_after_its_cursor() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        world.update(id).await;
        let mut stream = subscribe(&world, service(), from_start()).await.unwrap();
        assert_eq!(next(&mut stream).await.2, 1);
        let (_, _, version, cursor) = next(&mut stream).await;
        assert_eq!(version, 2);
        world.update(id).await;
        assert_eq!(next(&mut stream).await.2, 3, "live");
        drop(stream);
        let request = SubscribeRequest { cursor, ..Default::default() };
        let mut stream = subscribe(&world, service(), request).await.unwrap();
        assert_eq!(next(&mut stream).await.2, 3, "resumed after the cursor");
        // Without a cursor, only new events.
        let mut stream = subscribe(&world, service(), SubscribeRequest::default()).await.unwrap();
        world.update(id).await;
        assert_eq!(next(&mut stream).await.2, 4);
    })
    .await;
}

#[tokio::test]
async fn events_are_projected_for_the_caller() {
    World::on_each_database(async |world| {
        let (ann, bob) = (world.user().await, world.user().await);
        world.update(bob).await;
        let mut tx = world.auth.begin().await.unwrap();
        outbox::append(&mut tx, Event::new(&SECRETS, ann, 1, &UserUpdated::default()));
        tx.commit().await.unwrap();
        world.update(ann).await;

        let mut stream = subscribe(&world, caller(Kind::User, ann), from_start()).await.unwrap();
        for version in 1..=2 {
            let seen = next(&mut stream).await;
            assert_eq!((seen.0.as_str(), seen.1, seen.2), ("agon.user.v1", ann, version));
        }
        // Then only heartbeats, whose cursor is after all other events.
        let heartbeat = stream.message().await.unwrap().unwrap();
        assert!(heartbeat.event.is_none());
        let request = SubscribeRequest { cursor: heartbeat.cursor, ..Default::default() };
        let mut stream = subscribe(&world, service(), request).await.unwrap();
        world.update(bob).await;
        assert_eq!(next(&mut stream).await.1, bob);

        let secrets = SubscribeRequest { topics: vec![SECRETS.name.into()], ..from_start() };
        let mut stream = subscribe(&world, service(), secrets.clone()).await.unwrap();
        assert_eq!(next(&mut stream).await.1, ann);
        let mut stream = subscribe(&world, caller(Kind::User, ann), secrets).await.unwrap();
        assert!(stream.message().await.unwrap().unwrap().event.is_none());
        // A service on behalf of a user.
        let mut acting = service();
        acting.on_behalf_of = Some(caller(Kind::User, bob).principal);
        let mut stream = subscribe(&world, acting, from_start()).await.unwrap();
        assert_eq!(next(&mut stream).await.1, bob);
    })
    .await;
}

#[tokio::test]
async fn filters_select_events_and_invalid_ones_are_refused() {
    let world = World::new(&testing::Kind::Sqlite).await;
    let (ann, bob) = (world.user().await, world.user().await);
    world.update(bob).await;
    world.update(ann).await;
    let only_ann = SubscribeRequest { key: ann.to_string(), ..from_start() };
    let mut stream = subscribe(&world, service(), only_ann).await.unwrap();
    assert_eq!(next(&mut stream).await.1, ann);
    assert_eq!(next(&mut stream).await.1, ann);
    let types = vec!["agon.event.v1.UserUpdated".into()];
    let updates = SubscribeRequest { types, ..from_start() };
    let mut stream = subscribe(&world, service(), updates).await.unwrap();
    let (_, id, _, cursor) = next(&mut stream).await;
    assert_eq!(id, bob);

    let refused = async |request: SubscribeRequest, field: &str| {
        let status = subscribe(&world, service(), request).await.expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument);
        let fields = rpc::status::fields(&status);
        assert!(fields.iter().any(|(name, _)| name == field), "{fields:?}");
    };
    let plain = SubscribeRequest::default;
    refused(SubscribeRequest { topics: vec!["nonsense".into()], ..plain() }, "topics[0]").await;
    refused(SubscribeRequest { types: vec!["nonsense".into()], ..plain() }, "types[0]").await;
    refused(SubscribeRequest { topics: vec!["x".into(); 101], ..plain() }, "topics").await;
    refused(SubscribeRequest { key: "ANN".into(), ..plain() }, "key").await;
    refused(SubscribeRequest { cursor: "nonsense".into(), ..plain() }, "cursor").await;
    let mut forged = cursor.clone();
    forged.replace_range(0..1, if cursor.starts_with('A') { "B" } else { "A" });
    refused(SubscribeRequest { cursor: forged, ..plain() }, "cursor").await;
    let topics = vec![SECRETS.name.into()];
    refused(SubscribeRequest { cursor, topics, ..plain() }, "cursor").await;
}

#[tokio::test]
async fn closing_the_bus_ends_streams_with_unavailable() {
    let world = World::new(&testing::Kind::Sqlite).await;
    let mut stream = subscribe(&world, service(), SubscribeRequest::default()).await.unwrap();
    world.bus.close();
    let status = loop {
        match stream.message().await {
            Ok(response) => assert!(response.expect("a status ends the stream").event.is_none()),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    assert!(stream.message().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_listed_and_replayed_in_order() {
    World::on_each_database(async |world| {
        let (one, two) = (world.user().await, world.user().await);
        world.faults.inject(one, Inject::Permanent);
        world.faults.inject(two, Inject::Permanent);
        let running = world.start();
        world.update_times(one, 3).await;
        world.has_dead_letters(5).await;

        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListDeadLettersRequest { page_size: 2, page_token, ..Default::default() };
            let page = call!(world, service(), list_dead_letters(request)).unwrap();
            assert!(page.dead_letters.len() <= 2);
            found.extend(page.dead_letters);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(found.len(), 5);
        assert_eq!(found.iter().filter(|letter| letter.held).count(), 3);
        assert!(found.iter().all(|letter| letter.consumer == CONSUMER));
        let none = ListDeadLettersRequest { consumer: "other".into(), ..Default::default() };
        assert!(call!(world, service(), list_dead_letters(none)).unwrap().dead_letters.is_empty());

        let replay = async |consumer: &str, key: String| {
            let request = ReplayDeadLettersRequest { consumer: consumer.into(), key };
            call!(world, service(), replay_dead_letters(request))
        };
        // A replay that fails keeps all dead letters.
        world.faults.clear();
        world.faults.inject(one, Inject::Panic);
        assert_eq!(replay(CONSUMER, one.to_string()).await.unwrap().event_count, 4);
        eventually("the replay has failed", || async {
            let marked = world.reader.query("SELECT count(*) FROM dead_letters WHERE replay = $1");
            world.faults.calls(one) > 0
                && marked.bind(true).fetch_scalar::<i64>().await.unwrap() == 0
        })
        .await;
        assert_eq!(world.dead_letters().await, 5);

        world.faults.clear();
        replay(CONSUMER, one.to_string()).await.unwrap();
        world.all_applied(&[two]).await;
        world.has_dead_letters(1).await;
        world.update(one).await;
        world.all_applied(&[two]).await;
        replay(CONSUMER, two.to_string()).await.unwrap();
        world.all_applied(&[]).await;
        world.stop_and_check([running]).await;

        let missing = replay(CONSUMER, one.to_string()).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
        assert_eq!(rpc::status::reason(&missing).as_deref(), Some("DEAD_LETTER_NOT_FOUND"));
        assert_eq!(replay("", "x".into()).await.unwrap_err().code(), Code::InvalidArgument);
    })
    .await;
}
