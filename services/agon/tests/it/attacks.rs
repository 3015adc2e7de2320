//! One client must not stop the others: attacks beside a player.

use std::future::Future;
use std::time::{Duration, Instant};

use access::testing::bearer;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use proto::event::SubscribeRequest;
use proto::event::event_service_client::EventServiceClient;
use reqwest::{Body, Client, Response, StatusCode};
use rpc::{Channel, status};
use serde_json::json;

use crate::world::{PROBLEM, PYTHON, World, eventually};

/// Clients with one HTTP/2 connection each.
fn connections(count: usize) -> Vec<Client> {
    let client = |_| Client::builder().http2_prior_knowledge().build().unwrap();
    (0..count).map(client).collect()
}

/// 1,050 calls over five connections that never send their messages, by REST and by gRPC.
pub async fn withheld_messages_leave_others_alone(world: &World) {
    let player = world.player("withheld").await;
    let (rest, grpc) = (world.url("/v1/sessions"), &world.server.grpc);
    let grpc = format!("{grpc}/agon.auth.v1.SessionService/CreateSession");
    for (url, media, gauge) in [
        (rest, "application/json", "agon_http_requests_in_flight"),
        (grpc, "application/grpc", "agon_rpc_server_calls_in_flight"),
    ] {
        let attack = connections(5).into_iter().map(|client| {
            let calls = (0..210).map(|_| {
                let nothing = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
                let call = client.post(&url).header("content-type", media);
                call.header("grpc-timeout", "2H").body(Body::wrap_stream(nothing)).send()
            });
            join_all(calls.collect::<Vec<_>>())
        });
        let attack = async {
            join_all(attack).await;
            std::future::pending::<()>().await;
        };
        let player = async {
            eventually("the attack has begun", async || {
                (in_flight(world, gauge).await >= 1050.0).then_some(())
            })
            .await;
            play(world, &player).await;
        };
        tokio::select! {
            () = attack => unreachable!(),
            () = player => {}
        }
    }
}

/// 17 connections with 246 event streams each, by one player.
pub async fn streams_of_one_player_leave_others_room(world: &World) {
    let (greedy, player) = (world.player("greedy").await, world.player("modest").await);
    let url = world.url("/v1/events");
    let attack = connections(17).into_iter().map(|client| {
        let calls = (0..246).map(|_| client.get(&url).bearer_auth(&greedy).send());
        join_all(calls.collect::<Vec<_>>())
    });
    let responses = join_all(attack).await.into_iter().flatten().map(Result::unwrap);
    let (mut open, mut refused) = (Vec::new(), 0);
    for mut response in responses {
        match response.status() {
            StatusCode::OK if is_open(&mut response).await => open.push(response),
            StatusCode::TOO_MANY_REQUESTS => refused += 1,
            // On a busy machine, a subscription may not be able to read the log in time.
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => {}
            status => panic!("{status}: {}", response.text().await.unwrap()),
        }
    }
    assert!(open.len() <= 64, "{} streams are open", open.len());
    assert!(!open.is_empty() && refused > 0, "{} open, {refused} refused", open.len());
    let started = Instant::now();
    let stream = world.http.get(&url).bearer_auth(&player).send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    play(world, &player).await;
}

/// Streams end when their caller is suspended, by REST and by gRPC.
pub async fn suspension_ends_streams(world: &World) {
    let token = world.player("suspended").await;
    let admin = world.log_in("admin", &world.admin_password()).await;
    let stream = world.http.get(world.url("/v1/events")).bearer_auth(&token);
    let mut stream = stream.header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let mut events = EventServiceClient::new(Channel::connect(&world.server.grpc).unwrap());
    let subscribed = events.subscribe(bearer(&token, SubscribeRequest::default())).await;
    let mut events = subscribed.unwrap().into_inner();
    let body = json!({"reason": "test"});
    world.post("/v1/users/suspended:suspend", Some(&admin), body).await;
    let suspended = Instant::now();
    let mut text = String::new();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(text.contains("event: error") && text.contains("USER_SUSPENDED"), "{text}");
    let end = loop {
        match events.message().await {
            Ok(message) => assert!(message.is_some(), "the stream ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(status::reason(&end).as_deref(), Some("USER_SUSPENDED"), "{end:?}");
    assert!(suspended.elapsed() < Duration::from_secs(5), "{:?}", suspended.elapsed());
}

/// Reads what has arrived. False if the stream has ended.
async fn is_open(response: &mut Response) -> bool {
    loop {
        match response.chunk().now_or_never() {
            None => return true,
            Some(Ok(Some(_))) => {}
            Some(_) => return false,
        }
    }
}

/// A player's calls, each of which takes less than a second.
async fn play(world: &World, token: &str) {
    for _ in 0..5 {
        quick("list", world.get("/v1/problems", None)).await;
        quick("user", world.get("/v1/users/me", Some(token))).await;
        quick("problem", world.get(&format!("/v1/problems/{PROBLEM}"), Some(token))).await;
    }
    let body = json!({"problemId": PROBLEM, "language": "python3", "source": PYTHON});
    let created = quick("submit", world.post("/v1/submissions", Some(token), body)).await;
    world.verdict(token, created["submissionId"].as_str().unwrap()).await;
}

async fn quick<T>(what: &str, call: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let answer = call.await;
    assert!(started.elapsed() < Duration::from_secs(1), "{what}: {:?}", started.elapsed());
    answer
}

/// The sum of a gauge over its labels.
async fn in_flight(world: &World, gauge: &str) -> f64 {
    let metrics = world.http.get(format!("{}/metrics", world.server.admin));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let lines = metrics.lines().filter(|line| line.starts_with(gauge));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
