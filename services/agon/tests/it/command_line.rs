//! The commands, as a person types them.

use db::testing::Kind;
use serde_json::json;

use crate::players::{C, PROBLEM};
use crate::world::{World, eventually, succeeded, text};

async fn logged_in_admin(world: &World) {
    let file = world.data().join("admin-password").display().to_string();
    succeeded(&world.agon(&["login", "admin", "--password-file", &file]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submit_follows_to_the_verdict() {
    let world = World::new(&Kind::Sqlite);
    world.samples().await;
    let good = world.dir.path().join("good.c");
    std::fs::write(&good, C).unwrap();
    let good = good.display().to_string();

    let refused = world.agon(&["submit", PROBLEM, &good]);
    assert_eq!(refused.status.code(), Some(77));
    assert!(text(&refused).contains("agon login"), "{}", text(&refused));

    logged_in_admin(&world).await;
    let said = succeeded(&world.agon(&["submit", PROBLEM, &good]));
    assert!(said.starts_with("ACCEPTED"), "{said}");

    let bad = world.dir.path().join("bad.py");
    std::fs::write(&bad, "print(0)").unwrap();
    let wrong = world.agon(&["submit", PROBLEM, &bad.display().to_string()]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong).contains("WRONG_ANSWER"), "{}", text(&wrong));

    let unknown = world.agon(&["submit", "no-such-problem", &good]);
    assert!(!unknown.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_shows_the_report() {
    let world = World::new(&Kind::Sqlite);
    logged_in_admin(&world).await;
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../problem/samples");
    let package = std::fs::read_dir(samples).unwrap().next().unwrap().unwrap().path();
    let package = package.display().to_string();
    let world = &world;
    // The slug belongs to the sample itself, whose owner is the administrator, too.
    world.samples().await;
    let name = package.rsplit('/').next().unwrap().to_owned();
    let said = succeeded(&world.agon(&["problem", "import", &package, "--problem", &name]));
    assert!(said.contains("verified"), "{said}");

    let broken = world.dir.path().join("broken");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("problem.yaml"), "moonphase: full\n").unwrap();
    let refused = world.agon(&["problem", "import", &broken.display().to_string()]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("moonphase"), "{}", text(&refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_resets_a_password() {
    let world = World::new(&Kind::Sqlite);
    world.player("ada").await;
    let code = succeeded(&world.agon(&["admin", "reset-password", "ada"])).trim().to_owned();
    let body = json!({"code": code, "newPassword": "a quite different password"});
    world.post("/v1/passwords:reset", None, body).await;
    world.log_in("ada", "a quite different password").await;
    let nobody = world.agon(&["admin", "reset-password", "nobody-here"]);
    assert!(!nobody.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_for_services_only() {
    let world = World::new(&Kind::Sqlite);
    let token = succeeded(&world.agon(&["token", "--service", "judge"])).trim().to_owned();
    let service = eventually("the token works", async || {
        let (status, json) =
            world.call(reqwest::Method::GET, "/v1/judge/queue", Some(&token), None).await;
        status.is_success().then_some(json)
    });
    service.await;
    let unknown = world.agon(&["token", "--service", "mallory"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown).contains("judge"), "{}", text(&unknown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_and_migrations_are_shown() {
    let mut world = World::new(&Kind::Sqlite);
    let shown = succeeded(&world.agon(&["config"]));
    assert!(shown.contains("AGON_DATA"), "{shown}");
    tokio::task::block_in_place(|| world.server.terminate());
    let status = succeeded(&world.agon(&["migrate", "status"]));
    assert!(status.contains("auth") && !status.contains("pending"), "{status}");
    assert!(succeeded(&world.agon(&["migrate", "up"])).starts_with("0 "));
}
