//! Tests of the commands.

use db::testing::Kind;
use serde_json::json;

use crate::world::{C, PROBLEM, World, eventually, failed, succeeded};

pub async fn submit_waits_for_the_verdict(world: &World) {
    let good = world.dir.path().join("good.c");
    std::fs::write(&good, C).unwrap();
    let good = good.display().to_string();

    let other_server = world.agon(&["submit", "--server", "http://127.0.0.1:1", PROBLEM, &good]);
    failed(&other_server, 77, "agon login");

    world.log_in_admin();
    let output = succeeded(&world.agon(&["submit", PROBLEM, &good]));
    assert!(output.starts_with("ACCEPTED"), "{output}");

    let bad = world.dir.path().join("bad.py");
    std::fs::write(&bad, "print(0)").unwrap();
    let wrong = world.agon(&["submit", PROBLEM, &bad.display().to_string()]);
    failed(&wrong, 1, "WRONG_ANSWER");

    let unknown = world.agon(&["submit", "no-such-problem", &good]);
    assert!(!unknown.status.success());
}

pub async fn import_shows_the_report(world: &World) {
    world.log_in_admin();
    let package = world.package("again");
    let output = succeeded(&world.agon(&["problem", "import", &package, "--problem", PROBLEM]));
    assert!(output.contains("version 2 is verified"), "{output}");
    assert!(output.contains("ok   submissions/wrong_answer/zero.py"), "{output}");

    let broken = world.package("broken");
    let yaml = format!("{broken}/problem.yaml");
    let text_of_yaml = std::fs::read_to_string(&yaml).unwrap() + "moonphase: full\n";
    std::fs::write(&yaml, text_of_yaml).unwrap();
    let refused = world.agon(&["problem", "import", &broken]);
    failed(&refused, 1, "moonphase");
}

pub async fn admin_resets_a_password(world: &World) {
    world.player("edsger").await;
    let code = succeeded(&world.agon(&["admin", "reset-password", "edsger"])).trim().to_owned();
    let body = json!({"code": code, "newPassword": "a quite different password"});
    world.post("/v1/passwords:reset", None, body).await;
    world.log_in("edsger", "a quite different password").await;
    let unknown = world.agon(&["admin", "reset-password", "unknown-user"]);
    assert!(!unknown.status.success());
}

pub async fn token_is_issued_to_known_services_only(world: &World) {
    let token = succeeded(&world.agon(&["token", "--service", "judge"])).trim().to_owned();
    let service = eventually("the token works", async || {
        let (status, json) =
            world.call(reqwest::Method::GET, "/v1/judge/queue", Some(&token), None).await;
        status.is_success().then_some(json)
    });
    service.await;
    let unknown = world.agon(&["token", "--service", "mallory"]);
    failed(&unknown, 2, "judge");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_shows_sources_and_migrate_shows_status() {
    let mut world = World::idle(&Kind::Sqlite);
    let shown = succeeded(&world.agon(&["config"]));
    assert!(shown.contains("AGON_DATA"), "{shown}");
    tokio::task::block_in_place(|| world.server.terminate());
    let status = succeeded(&world.agon(&["migrate", "status"]));
    assert!(status.contains("auth") && !status.contains("pending"), "{status}");
    assert!(succeeded(&world.agon(&["migrate", "up"])).starts_with("0 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_down_requires_a_stopped_server_and_confirmation() {
    let mut world = World::idle(&Kind::Sqlite);
    let down = |world: &World, more: &[&str]| {
        world.agon(&[&["migrate", "down", "challenge"], more].concat())
    };
    let busy = down(&world, &["--yes"]);
    failed(&busy, 75, "");
    tokio::task::block_in_place(|| world.server.terminate());
    let unconfirmed = down(&world, &[]);
    failed(&unconfirmed, 2, "DROP TABLE submissions;");
    assert!(succeeded(&world.agon(&["migrate", "status"])).contains("challenge"));
    let done = succeeded(&down(&world, &["--to", "0", "--yes"]));
    assert!(done.contains("1 migrations undone"), "{done}");
    assert_eq!(world.agon(&["migrate", "status"]).status.code(), Some(1));
    assert!(succeeded(&down(&world, &["--yes"])).contains("nothing to undo"));
    assert!(succeeded(&world.agon(&["migrate", "up"])).starts_with("1 "));
    let unknown = world.agon(&["migrate", "down", "mallory"]);
    failed(&unknown, 2, "");
}
