//! Calls to several processes of one role, some of which fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use proto::auth::GetUserRequest;
use proto::auth::user_service_client::UserServiceClient;
use rpc::{Channel, Methods, Peer, Resilience, status};
use tokio::net::TcpListener;
use tonic::{Code, Request};
use tower::Service as _;

use crate::node::{Node, client, create, list, quick, until};

#[tokio::test]
async fn calls_are_balanced() {
    let nodes = [Node::start().await, Node::start().await];
    let mut client = client(nodes.iter().map(Node::url).collect(), quick());
    let end = Instant::now() + Duration::from_secs(20);
    while nodes.iter().any(|node| node.calls() == 0) {
        assert!(Instant::now() < end, "one node gets no calls");
        client.list_invitations(list("")).await.unwrap();
    }
    let before = nodes.each_ref().map(Node::calls);
    for _ in 0..400 {
        client.list_invitations(list("")).await.unwrap();
    }
    for (node, before) in nodes.iter().zip(before) {
        let share = node.calls() - before;
        assert!((100..=300).contains(&share), "{share} of 400");
    }
}

#[tokio::test]
async fn safe_calls_survive_a_killed_process_which_is_used_again() {
    let mut nodes = [Node::start().await, Node::start().await];
    let client = client(nodes.iter().map(Node::url).collect(), quick());
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, stop, done) = (client.clone(), stop.clone(), done.clone());
            let calls = async move {
                while !stop.load(Ordering::SeqCst) {
                    client.list_invitations(list("soon")).await.unwrap();
                    done.fetch_add(1, Ordering::SeqCst);
                }
            };
            #[expect(clippy::disallowed_methods, reason = "joined below")]
            tokio::task::spawn(calls)
        })
        .collect();
    for _ in 0..3 {
        let before = nodes.each_ref().map(Node::calls);
        until(|| nodes[0].calls() > before[0] + 50 && nodes[1].calls() > before[1] + 50).await;
        nodes[1].kill().await;
        let so_far = done.load(Ordering::SeqCst);
        until(|| done.load(Ordering::SeqCst) > so_far + 200).await;
        nodes[1].revive().await;
    }
    let before = nodes[1].calls();
    until(|| nodes[1].calls() > before + 50).await;
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.expect("no call failed");
    }
}

#[tokio::test]
async fn calls_avoid_unreachable_addresses() {
    let node = Node::start().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut client = client(vec![format!("http://{dead}"), node.url()], quick());
    for _ in 0..50 {
        // Also a call that must not be repeated.
        client.create_invitation(create("")).await.unwrap();
    }
    assert_eq!(node.calls(), 50);
}

#[tokio::test]
async fn unsafe_calls_are_not_retried() {
    let mut node = Node::start().await;
    let other = Node::start().await;
    let mut client = client(vec![node.url()], quick());
    let failed = client.create_invitation(create("busy")).await.unwrap_err();
    assert_eq!((failed.code(), node.calls()), (Code::Unavailable, 1));
    let (failed, ()) = tokio::join!(client.create_invitation(create("slow")), async {
        until(|| node.calls() == 2).await;
        node.kill().await;
    });
    let failed = failed.unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable);
    assert_eq!(status::reason(&failed).as_deref(), Some("UPSTREAM_UNAVAILABLE"));
    assert_eq!(status::retry_after(&failed), None, "the server may have processed it");
    assert!(failed.message().contains("judge"), "{failed:?}");
    assert_eq!((node.calls(), other.calls()), (2, 0));
}

#[tokio::test]
async fn safe_calls_have_three_attempts_unless_the_server_sets_a_delay() {
    let node = Node::start().await;
    let mut client = client(vec![node.url()], quick());
    let failed = client.list_invitations(list("busy")).await.unwrap_err();
    assert_eq!(status::reason(&failed).as_deref(), Some("BUSY"));
    assert_eq!(node.calls(), 3);
    client.list_invitations(list("later")).await.unwrap_err();
    assert_eq!(node.calls(), 4);
}

#[tokio::test]
async fn retry_budget_limits_retries() {
    let node = Node::start().await;
    let limits = Resilience { retry_min_per_second: 1, ..quick() };
    let client = client(vec![node.url()], limits);
    let calls = (0..200).map(|_| {
        let mut client = client.clone();
        async move { client.list_invitations(list("busy")).await.unwrap_err() }
    });
    futures_util::future::join_all(calls).await;
    // 10 retries in 10 s, and 10 % of 200 calls.
    assert!((210..=230).contains(&node.calls()), "{}", node.calls());
}

/// The value of a metric of the role `judge`.
fn metric(metrics: &PrometheusHandle, name: &str) -> f64 {
    let (text, series) = (metrics.render(), format!("{name}{{role=\"judge\"}} "));
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn circuit_opens_and_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut node = Node::start().await;
    node.kill().await;
    node.address = listener.local_addr().unwrap();
    let tried = AtomicUsize::new(0);
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let limits = Resilience { circuit_open_ms: 300, ..Resilience::default() };
    let mut client = metrics::with_local_recorder(&recorder, || client(vec![node.url()], limits));
    let hang_up = async {
        loop {
            drop(listener.accept().await);
            tried.fetch_add(1, Ordering::SeqCst);
        }
    };
    let calls = async {
        while metric(&metrics, "agon_rpc_client_circuit_open") == 0.0 {
            client.create_invitation(create("")).await.unwrap_err();
        }
        let (before, start) = (tried.load(Ordering::SeqCst), Instant::now());
        assert_eq!(before, 5);
        for _ in 0..100 {
            let failed = client.list_invitations(list("")).await.unwrap_err();
            assert_eq!(failed.code(), Code::Unavailable);
            assert_eq!(status::reason(&failed).as_deref(), Some("UPSTREAM_UNAVAILABLE"));
            assert_eq!(failed.message(), "the judge service cannot be reached");
            assert!(status::retry_after(&failed).is_some());
        }
        // The only process of the role is probed every 100 ms, the first time within 100 ms.
        let probes = 1 + start.elapsed().as_millis() as usize / 100;
        assert!(tried.load(Ordering::SeqCst) <= before + probes);
    };
    tokio::select! {
        () = calls => {}
        () = hang_up => {}
    }
    assert!(metric(&metrics, "agon_rpc_client_retries_total") >= 2.0);
    drop(listener);
    node.revive().await;
    let end = Instant::now() + Duration::from_secs(20);
    while client.create_invitation(create("")).await.is_err() {
        assert!(Instant::now() < end, "the circuit stays open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(metric(&metrics, "agon_rpc_client_circuit_open"), 0.0);
}

/// However long it was away, and however long its circuit would be open.
#[tokio::test]
async fn only_process_of_a_role_is_used_as_soon_as_it_is_back() {
    let mut node = Node::start().await;
    let hours = Resilience {
        circuit_open_ms: 3_600_000,
        circuit_open_max_ms: 3_600_000,
        ..Resilience::default()
    };
    let mut client = client(vec![node.url()], hours);
    client.list_invitations(list("")).await.unwrap();
    node.kill().await;
    for _ in 0..20 {
        client.list_invitations(list("")).await.unwrap_err();
    }
    node.revive().await;
    let back = Instant::now();
    while client.list_invitations(list("")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
}

#[tokio::test]
async fn deadline_limits_connecting_waiting_and_retrying() {
    let node = Node::start().await;
    // Accepts connections in the kernel's backlog and sends nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let many = Resilience { tries: 1000, retry_min_per_second: 1000, ..quick() };
    for (url, word, code) in [
        (silent, "", Code::DeadlineExceeded),
        (node.url(), "slow", Code::DeadlineExceeded),
        // The next attempt would be after the deadline, so the last error is returned.
        (node.url(), "busy", Code::Unavailable),
    ] {
        let mut client = client(vec![url], many.clone());
        let start = Instant::now();
        let mut request = Request::new(list(word));
        request.set_timeout(Duration::from_millis(200));
        let failed = client.list_invitations(request).await.unwrap_err();
        assert_eq!(failed.code(), code, "{failed:?}");
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn host_names_are_resolved() {
    let node = Node::start().await;
    let url = format!("http://localhost:{}", node.address.port());
    client(vec![url], quick()).list_invitations(list("")).await.unwrap();
    let nowhere = vec!["http://no-such-host.invalid:1".into()];
    let failed = client(nowhere, quick()).list_invitations(list("")).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable, "{failed:?}");
}

#[tokio::test]
async fn connection_that_breaks_during_a_response_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    let half = tokio::task::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(socket).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        let head = http::Response::builder().header("content-type", "application/grpc");
        let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
        // Two of the seven bytes of a message.
        let partial = bytes::Bytes::from_static(&[0, 0, 0, 0, 7, 8, 9]);
        body.send_data(partial, false).unwrap();
        let flushed = tokio::time::timeout(Duration::from_millis(100), connection.accept());
        flushed.await.ok();
    });
    let failed = client(vec![url], quick()).create_invitation(create("")).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable, "{failed:?}");
    assert_eq!(status::reason(&failed).as_deref(), Some("UPSTREAM_UNAVAILABLE"));
    assert!(failed.message().contains("broke before it answered"), "{failed:?}");
    half.await.unwrap();
}

#[tokio::test]
async fn process_of_another_role_is_reported() {
    let node = Node::start().await;
    let peer = Peer { urls: vec![node.url()], resilience: quick(), ..Peer::default() };
    let methods = Methods::new(&[proto::DESCRIPTOR_SET]);
    let mut channel = Channel::connect_all("judge", &peer, &methods).unwrap();
    let mut users = UserServiceClient::new(channel.clone());
    let failed = users.get_user(GetUserRequest::default()).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable, "{failed:?}");
    assert_eq!(status::reason(&failed).as_deref(), Some("UPSTREAM_STRANGER"));
    assert!(failed.message().contains("judge"), "{failed:?}");
    // A method that no role has is UNIMPLEMENTED.
    let request = http::Request::post("/agon.auth.v1.UserService/MadeUp");
    let request = request.header("content-type", "application/grpc");
    let response = channel.call(request.body(tonic::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "12");
}
