//! Start, shutdown and their error messages.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use db::testing::{Kind, kinds};
use serde_json::Value;

use crate::world::{AGON, PROBLEM, Server, World, ended_by_signal, eventually, failed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_start_creates_secrets_and_samples_once() {
    let mut world = World::new(&Kind::Sqlite);
    let data = world.data();
    for secret in ["root-secret", "admin-password", "keys/judge.pem"] {
        let mode = std::fs::metadata(data.join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let banner = &world.server.banner;
    assert!(banner.contains("admin-password"), "{banner}");
    assert!(!banner.contains(&world.admin_password()), "{banner}");
    world.log_in("admin", &world.admin_password()).await;
    assert_eq!(world.samples().await.len(), 3);

    let password = world.admin_password();
    world.crash_and_restart();
    assert_eq!(world.admin_password(), password);
    assert_eq!(world.samples().await.len(), 3);
    let took = world.server.ready_after;
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_listener_serves_health_metrics_and_version() {
    let world = World::idle(&Kind::Sqlite);
    let get = async |path: &str| {
        let response = world.http.get(format!("{}{path}", world.server.admin)).send().await;
        let response = response.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/livez").await.0, 200);
    let (status, report) = get("/readyz").await;
    assert_eq!(status, 200, "{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    for component in ["databases", "cache", "events"] {
        assert_eq!(report["components"][component]["state"], "ready", "{report}");
    }
    world.get("/v1/problems", None).await;
    let (_, metrics) = get("/metrics").await;
    let names = [
        "process_resident_memory_bytes",
        "agon_rpc_server_calls_total",
        "agon_rpc_server_duration_seconds",
    ];
    for name in names {
        assert!(metrics.contains(name), "{name} is missing");
    }
    let version: Value = serde_json::from_str(&get("/version").await.1).unwrap();
    assert_eq!(version["name"], "agon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_stops_the_server_within_the_grace_period() {
    for kind in kinds() {
        let mut world = World::idle(&kind);
        let token = world.player("ada").await;
        // An open subscription must not delay the shutdown.
        let feed = world.http.get(world.url("/v1/events")).bearer_auth(&token);
        let feed = feed.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(feed.status(), 200);
        let start = Instant::now();
        let status = tokio::task::block_in_place(|| world.server.terminate());
        assert!(status.success(), "{status:?}");
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        drop(feed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_directory_in_use_is_refused() {
    let world = World::idle(&Kind::Sqlite);
    let second = Command::new(AGON).arg("serve").args(world.flags()).output().unwrap();
    failed(&second, 75, "using the data directory");
    failed(&second, 75, &world.server.child.id().to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(AGON)
        .args(["serve", "--grpc", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--rest", &address, "--data"])
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    failed(&output, 75, &address);
    failed(&output, 75, "--rest");
}

#[test]
fn unknown_setting_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agon.toml");
    std::fs::write(&file, "[grpc]\nlisen = '127.0.0.1:1'\n").unwrap();
    let output = Command::new(AGON).arg("serve").arg("--config").arg(&file).output().unwrap();
    for expected in ["agon.toml", "grpc.lisen", "did you mean \"grpc.listen\""] {
        failed(&output, 78, expected);
    }
}

#[test]
fn missing_setting_of_roles_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let secret = format!("root_secret={}", "5e".repeat(32));
    let refused = |arguments: &[&str], named: &str| {
        let mut command = Command::new(AGON);
        command.args(["serve", "--data", &data, "--grpc", "127.0.0.1:0"]).args(arguments);
        let output = command.args(["--admin", "127.0.0.1:0", "--rest", "127.0.0.1:0"]).output();
        failed(&output.unwrap(), 78, named);
    };
    refused(&["--roles", "auth,unknown"], "roles");
    refused(&["--roles", ""], "roles: must contain at least one of auth");
    refused(&["--roles", "auth"], "database.url");
    refused(&["--roles", "worker"], "worker.pem is missing");
    refused(&["--roles", "worker", "--set", &secret], "peers.auth");
    let nowhere = ["--set", "peers.auth=nowhere"];
    refused(&[&["--roles", "gateway", "--set", &secret][..], &nowhere].concat(), "peers.auth");
}

#[test]
fn unusable_data_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    std::fs::write(&file, "").unwrap();
    let output = Command::new(AGON).args(["serve", "--data"]).arg(&file).output().unwrap();
    failed(&output, 73, &file.display().to_string());
}

/// Without privileges the sandbox is unavailable; everything else runs, and readiness is degraded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_wait_while_the_sandbox_is_unavailable() {
    if !is_root() {
        return;
    }
    let mut world = World::small(&Kind::Sqlite, &[]);
    let token = world.player("ada").await;
    tokio::task::block_in_place(|| world.server.terminate());
    Command::new("chown").args(["-R", "65534:65534"]).arg(world.dir.path()).status().unwrap();
    world.server = Server::start_as(&world.flags(), |command| {
        use std::os::unix::process::CommandExt;
        command.uid(65534).gid(65534);
    });
    let report: Value = eventually("it is ready", async || {
        let response =
            world.http.get(format!("{}/readyz", world.server.admin)).send().await.unwrap();
        (response.status() == 200).then_some(response)
    })
    .await
    .json()
    .await
    .unwrap();
    assert_eq!(report["components"]["judge"]["state"], "degraded", "{report}");
    let body =
        serde_json::json!({"problemId": PROBLEM, "language": "c17", "source": "int main(){}"});
    let submission = world.post("/v1/submissions", Some(&token), body).await;
    assert_eq!(submission["state"], "SUBMISSION_STATE_QUEUED");
    let id = submission["submissionId"].as_str().unwrap().to_owned();
    // With privileges again, the judge judges the queued submission.
    tokio::task::block_in_place(|| world.server.terminate());
    world.server = Server::start(&world.flags());
    let token = world.log_in("ada", "a long password of ada").await;
    let judged = eventually("it is judged", async || {
        let now = world.get(&format!("/v1/submissions/{id}"), Some(&token)).await;
        (now["state"] == "SUBMISSION_STATE_DONE").then_some(now)
    });
    assert_ne!(judged.await["verdict"], "VERDICT_ACCEPTED");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn second_signal_ends_the_process_at_once() {
    let mut world = World::idle(&Kind::Sqlite);
    let id = world.server.child.id().to_string();
    let kill = || Command::new("kill").args(["-INT", &id]).stderr(Stdio::null()).status().unwrap();
    kill();
    kill();
    let status = world.server.terminate();
    assert!(!ended_by_signal(status), "{status:?}");
}
