//! Tests of the commands.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use db::testing::Kind;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::cluster;
use crate::world::{C, PROBLEM, TIMEOUT, World, eventually, failed, succeeded};

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

    // Exit code 1 is a verdict.
    failed(&world.agon(&["submit", "no-such-problem", &good]), 65, "problem");
    let language = world.agon(&["submit", PROBLEM, &good, "--language", "cobol"]);
    failed(&language, 65, "must be one of c17, cpp20, python3");
}

pub async fn import_shows_the_report(world: &World) {
    world.log_in_admin();
    let archive = world.dir.path().join("again.tgz");
    std::fs::write(&archive, tar_gz(&world.package("again"))).unwrap();
    let archive = archive.display().to_string();
    let output = succeeded(&world.agon(&["problem", "import", &archive, "--problem", PROBLEM]));
    assert!(output.contains("version 2 is verified"), "{output}");
    assert!(output.contains("ok   submissions/wrong_answer/zero.py"), "{output}");

    let broken = world.package("broken");
    let yaml = format!("{broken}/problem.yaml");
    let text_of_yaml = std::fs::read_to_string(&yaml).unwrap() + "moonphase: full\n";
    std::fs::write(&yaml, text_of_yaml).unwrap();
    let refused = world.agon(&["problem", "import", &broken]);
    failed(&refused, 1, "moonphase");
}

pub async fn archives_are_imported_over_rest(world: &World) {
    let token = world.log_in("admin", &world.admin_password()).await;
    let url = world.url(&format!("/v1/problem-imports?problemId={PROBLEM}"));
    let post = world.http.post(url).bearer_auth(&token).header("content-type", "application/gzip");
    let response = post.body(tar_gz(&world.package("packed"))).send().await.unwrap();
    let import: Value = response.json().await.unwrap();
    let id = import["problemImportId"].as_str().unwrap_or_else(|| panic!("{import}"));
    eventually("the import ends", async || {
        let import = world.get(&format!("/v1/problem-imports/{id}"), Some(&token)).await;
        (import["state"] != "IMPORT_STATE_VERIFYING").then(|| {
            assert_eq!(import["state"], "IMPORT_STATE_SUCCEEDED", "{import}");
        })
    })
    .await;
}

/// The package in a directory as a tar.gz archive.
fn tar_gz(directory: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    tar.append_dir_all("package", directory).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

pub async fn import_is_canceled_on_interrupt(world: &World) {
    let package = world.package("endless");
    let yaml = format!("{package}/problem.yaml");
    let text = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, text.replace("time_limit: 2", "time_limit: 50")).unwrap();
    let endless = "while True:\n    pass\n";
    std::fs::write(format!("{package}/submissions/accepted/endless.py"), endless).unwrap();
    world.log_in_admin();
    let token = world.log_in("admin", &world.admin_password()).await;
    let running = async || {
        eventually("a check runs", async || {
            let list = world.get("/v1/problem-imports?pageSize=1", Some(&token)).await;
            let import = &list["problemImports"][0];
            let runs = import.to_string().contains("IMPORT_CHECK_STATE_RUNNING");
            (runs && import["doneCount"] == 3).then(|| import["problemImportId"].clone())
        })
        .await
    };
    let import = ["problem", "import", package.as_str(), "--problem", PROBLEM];
    let mut child = world.command(&import).stdout(Stdio::piped()).spawn().unwrap();
    let id = running().await;
    // A player does not wait for the endless program.
    let player = world.player("impatient").await;
    let judged = world.judged(&player, PROBLEM, "c17", C).await;
    assert_eq!(judged["verdict"], "VERDICT_ACCEPTED", "{judged}");
    let path = format!("/v1/problem-imports/{}", id.as_str().unwrap());
    assert_eq!(world.get(&path, Some(&token)).await["state"], "IMPORT_STATE_VERIFYING");

    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = tokio::task::block_in_place(|| {
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130));
        std::io::read_to_string(child.stdout.take().unwrap()).unwrap()
    });
    assert!(output.contains("--   submissions/accepted/endless.py  not finished"), "{output}");
    assert!(output.ends_with("the import was canceled\n"), "{output}");
    assert_eq!(world.get(&path, Some(&token)).await["state"], "IMPORT_STATE_CANCELED");

    let mut child = world.command(&import).stdout(Stdio::null()).spawn().unwrap();
    let id = running().await;
    let canceled = succeeded(&world.agon(&["problem", "cancel", id.as_str().unwrap()]));
    assert!(canceled.contains("the import was canceled"), "{canceled}");
    let status = tokio::task::block_in_place(|| child.wait().unwrap());
    assert_eq!(status.code(), Some(1));
    let queue = eventually("the judge is idle", async || {
        let queue = world.get("/v1/judge/queue", Some(&token)).await;
        let idle = queue["queuedCount"] == "0" && queue["runningCount"] == "0";
        idle.then_some(())
    });
    queue.await;
}

pub async fn refused_packages_list_every_error(world: &World) {
    world.log_in_admin();
    let package = world.package("many-errors");
    for i in 0..60 {
        std::fs::write(format!("{package}/data/secret/x{i}.in"), "").unwrap();
    }
    let refused = world.agon(&["problem", "import", &package]);
    failed(&refused, 1, "error: data/secret/x59.ans: is missing");
    let output = String::from_utf8_lossy(&refused.stdout);
    assert_eq!(output.lines().filter(|line| line.starts_with("error: data/secret/x")).count(), 60);
}

pub async fn problems_are_listed_shown_published_and_downloaded(world: &World) {
    world.log_in_admin();
    let package = world.package("crates");
    std::fs::create_dir(format!("{package}/attachments")).unwrap();
    std::fs::write(format!("{package}/attachments/tool.txt"), "hello\n").unwrap();
    let yaml = format!("{package}/problem.yaml");
    let text = std::fs::read_to_string(&yaml).unwrap().replace("d2b01", "d2b02");
    std::fs::write(&yaml, text).unwrap();
    let imported = succeeded(&world.agon(&["problem", "import", &package]));
    assert!(imported.contains("crates version 1 is verified"), "{imported}");
    let listed = succeeded(&world.agon(&["problem", "list", "--query", "CRATES"]));
    assert_eq!(listed.trim_end(), "crates  Sum         -  draft, not published");
    let published = succeeded(&world.agon(&["problem", "publish", "crates", "--public"]));
    assert_eq!(published, "crates: public, version 1\n");
    let shown = succeeded(&world.agon(&["problem", "show", "crates"]));
    for part in
        ["crates  Sum\n", "2 s, 256 MiB", "version     1: verified, published", "Print their"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    failed(&world.agon(&["problem", "show", "crates", "--language", "fr"]), 2, "one of: en");
    let directory = world.dir.path().join("downloaded");
    let to = directory.display().to_string();
    let downloaded = succeeded(&world.agon(&["problem", "download", "crates", "--to", &to]));
    assert!(downloaded.ends_with("4 files\n"), "{downloaded}");
    let read = |path: &str| std::fs::read_to_string(directory.join(path)).unwrap();
    assert_eq!(read("attachments/tool.txt"), "hello\n");
    assert_eq!(read("sample/1.in"), "1 2\n");
    assert_eq!(read("statement/problem.en.md"), "Two numbers are given. Print their sum.\n");
    failed(&world.agon(&["problem", "download", "crates", "--to", &to]), 73, "it exists");
    assert!(!world.agon(&["problem", "show", "no-such-problem"]).status.success());
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
    assert!(succeeded(&world.agon(&["migrate", "status"])).contains("auth"), "beside a server");
    let missing = world.dir.path().join("missing");
    let status = world.agon(&["migrate", "status", "--data", &missing.display().to_string()]);
    failed(&status, 2, &missing.display().to_string());
    assert!(!missing.exists());
    tokio::task::block_in_place(|| world.server.terminate());
    let status = succeeded(&world.agon(&["migrate", "status"]));
    let pending = status.lines().any(|line| line.ends_with("pending"));
    assert!(status.contains("auth") && !pending, "{status}");
    assert!(succeeded(&world.agon(&["migrate", "up"])).starts_with("0 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_roles_are_managed_by_commands() {
    let world = World::idle(&Kind::Sqlite);
    let password = world.dir.path().join("password");
    std::fs::write(&password, "a rather long passphrase\n").unwrap();
    let password = password.display().to_string();
    let register = |name: &str| world.agon(&["register", name, "--password-file", &password]);
    assert!(succeeded(&register("ada")).contains("Registered ada"));
    failed(&register("ada"), 1, "the username is taken");
    failed(&world.agon(&["role", "grant", "ada", "setter"]), 77, "auth.binding.create");
    let own = succeeded(&world.agon(&["user", "show", "me"]));
    assert!(own.contains("username      ada\n") && own.contains("state         active"), "{own}");

    world.log_in_admin();
    succeeded(&world.agon(&["role", "grant", "ada", "setter"]));
    let list = || succeeded(&world.agon(&["user", "list", "--prefix", "ad"]));
    assert!(list().contains("setter"), "{}", list());
    succeeded(&world.agon(&["role", "revoke", "ada", "setter"]));
    failed(&world.agon(&["role", "revoke", "ada", "setter"]), 1, "does not have the role");
    assert!(!list().contains("setter"), "{}", list());
    succeeded(&world.agon(&["user", "suspend", "ada", "--reason", "test"]));
    assert!(list().contains("suspended"), "{}", list());
    failed(&world.agon(&["login", "ada", "--password-file", &password]), 77, "");
    succeeded(&world.agon(&["user", "reinstate", "ada"]));
    succeeded(&world.agon(&["login", "ada", "--password-file", &password]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submit_says_that_no_worker_is_connected() {
    let roles = cluster::services().chain(["gateway"]).collect::<Vec<_>>().join(",");
    let roles = format!("roles={roles}");
    let heartbeat = "judge.heartbeat_seconds=1";
    let world = World::with(&Kind::Sqlite, &["--set", &roles, "--set", heartbeat]);
    world.samples().await;
    world.log_in_admin();
    let file = world.dir.path().join("a.c");
    std::fs::write(&file, C).unwrap();
    let file = file.display().to_string();
    let mut child = world
        .command(&["submit", "paper-lanterns", &file])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || stderr.lines().try_for_each(|line| sender.send(line.unwrap())));
    let said = tokio::task::block_in_place(|| {
        let mut lines = std::iter::from_fn(|| lines.recv_timeout(TIMEOUT).ok());
        lines.any(|line| line == "queued: no connected worker offers the language c17…")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_servers_are_explained() {
    let world = World::idle(&Kind::Sqlite);
    let list = |server: &str| world.agon(&["problem", "list", "--server", server]);
    failed(&list("http://127.0.0.1:1"), 69, "nothing listens at http://127.0.0.1:1");
    failed(&list(&world.url("")), 69, "is an HTTP server, the REST port of Agon");
    failed(&list(&world.server.admin), 69, "is an HTTP server, the admin port of Agon");
    failed(&list("127.0.0.1:1"), 2, "http://host:port");
    failed(&list("https://127.0.0.1:1"), 69, "nothing listens at https://127.0.0.1:1");
    let tls = world.server.grpc.replace("http:", "https:");
    let plain = format!("{tls} does not use TLS; try --server {}", world.server.grpc);
    failed(&list(&tls), 69, &plain);

    let other = world.dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let other = other.display().to_string();
    let secret = format!("root_secret={}", "ab".repeat(32));
    let dlq = world.agon(&["events", "dlq", "list", "--data", &other, "--set", &secret]);
    failed(&dlq, 77, "refuses the key of operator derived from root_secret");
    failed(&world.agon(&["events", "dlq", "list", "--data", &other]), 78, &other);
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
    let unconfirmed = down(&world, &["--to", "0"]);
    failed(&unconfirmed, 2, "DROP TABLE submissions;");
    assert!(succeeded(&world.agon(&["migrate", "status"])).contains("challenge"));
    let done = succeeded(&down(&world, &["--to", "0", "--yes"]));
    assert!(done.contains("8 migrations undone"), "{done}");
    assert_eq!(world.agon(&["migrate", "status"]).status.code(), Some(1));
    assert!(succeeded(&down(&world, &["--yes"])).contains("nothing to undo"));
    assert!(succeeded(&world.agon(&["migrate", "up"])).starts_with("8 "));
    let unknown = world.agon(&["migrate", "down", "mallory"]);
    failed(&unknown, 2, "");
}
