//! `agon promote`: the installation is unchanged on the new engines, also after interruptions.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use db::testing::{Kind, kinds};
use reqwest::Method;
use serde_json::json;

use crate::contests;
use crate::responses::{Caller, Recorder, assert_same};
use crate::world::{AGON, PROBLEM, PYTHON, Server, World, eventually, failed, succeeded, text};

#[derive(Clone, Copy)]
struct Scale {
    users: usize,
    submissions: usize,
}

impl Scale {
    /// From `AGON_TEST_PROMOTE=USERS,SUBMISSIONS`, if set.
    fn from_env() -> Self {
        let given = std::env::var("AGON_TEST_PROMOTE").unwrap_or_default();
        let parsed = given.split_once(',').and_then(|(users, submissions)| {
            Some(Self { users: users.parse().ok()?, submissions: submissions.parse().ok()? })
        });
        parsed.unwrap_or(Self { users: 20, submissions: 100 })
    }
}

fn postgres() -> Option<(Kind, String)> {
    kinds().into_iter().find_map(|kind| match &kind {
        Kind::Postgres(url) => Some((kind.clone(), url.clone())),
        Kind::Sqlite => None,
    })
}

/// Language, source and expected verdict: mostly accepted, some wrong, some that do not compile.
fn program(number: usize) -> (&'static str, String, &'static str) {
    match number % 10 {
        3 | 7 => ("python3", format!("print('wrong', {number})\n"), "VERDICT_WRONG_ANSWER"),
        5 => ("c17", format!("int main( {{ // \u{e9}\t\\{number}\n"), "VERDICT_COMPILE_ERROR"),
        _ => ("python3", format!("# {number} \u{1f40d} \\ \"\t\r\n{PYTHON}"), "VERDICT_ACCEPTED"),
    }
}

async fn submit(world: &World, token: &str, number: usize) -> String {
    let (language, source, _) = program(number);
    let body = json!({
        "problemId": PROBLEM, "language": language, "source": source,
        "requestId": format!("submission-{number}"),
    });
    let submission = world.post("/v1/submissions", Some(token), body).await;
    submission["submissionId"].as_str().unwrap().to_owned()
}

fn password(name: &str) -> String {
    format!("a long password of {name}")
}

const UNLIMITED: [&str; 14] = [
    "--set",
    "challenge.submissions_per_hour=0",
    "--set",
    "auth.registrations_per_hour=1000",
    "--set",
    "limits.read=1000000",
    "--set",
    "limits.submit=1000000",
    "--set",
    "limits.transfer=1000000",
    "--set",
    "limits.credential=1000000",
    "--log",
    "warn",
];

/// A world with judged submissions of several users.
async fn populated(scale: Scale) -> (World, Vec<String>) {
    let world = World::small(&Kind::Sqlite, &UNLIMITED);
    let users: Vec<String> = (0..scale.users).map(|n| format!("user-{n:02}")).collect();
    let mut created = Vec::new();
    for (n, user) in users.iter().enumerate() {
        let token = world.player(user).await;
        for number in (n..scale.submissions).step_by(scale.users) {
            created.push((user.clone(), number, submit(&world, &token, number).await));
        }
    }
    let admin = world.log_in("admin", &world.admin_password()).await;
    for (user, number, id) in &created {
        let judged = world.verdict(&admin, id).await;
        assert_eq!(judged["verdict"], program(*number).2, "{user}: {judged}");
    }
    let player = world.log_in(&users[1], &password(&users[1])).await;
    contests::canceled(&world, &admin, &player).await;
    let duel = world.post("/v1/duels", Some(&player), json!({"opponent": users[0]})).await;
    let opponent = world.log_in(&users[0], &password(&users[0])).await;
    let path = format!("/v1/duels/{}:decline", duel["duelId"].as_str().unwrap());
    world.post(&path, Some(&opponent), json!({})).await;
    (world, users)
}

/// Runs the promotion again and again, and kills it a little later each time, until it finishes.
fn promote_with_kills(arguments: &[String], first: Duration) -> (usize, Output) {
    let mut timeout = first;
    for kills in 0.. {
        let mut child = Command::new(AGON)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let until = Instant::now() + timeout;
        timeout = timeout.mul_f64(1.35);
        while child.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if child.try_wait().unwrap().is_some() {
            return (kills, child.wait_with_output().unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    unreachable!()
}

fn agon(arguments: &[String]) -> Output {
    Command::new(AGON).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Waits until consumers are ready and the queue is empty.
async fn wait_until_idle(world: &World) {
    let admin = world.log_in("admin", &world.admin_password()).await;
    eventually("consumers are ready and the queue is empty", async || {
        let report = world.readiness().await?;
        let queue = world.get("/v1/judge/queue", Some(&admin)).await;
        let events = report["components"]["events"]["state"] == "ready";
        (events && queue["queuedCount"] == "0" && queue["runningCount"] == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promotion_changes_no_response() {
    let (Some((kind, url)), Some(engines)) = (postgres(), World::engines()) else { return };
    let (mut world, users) = populated(Scale::from_env()).await;
    let session = json!({"identifier": users[0], "password": password(&users[0])});
    let session = world.post("/v1/sessions", None, session).await;
    let refresh = session["refreshToken"].as_str().unwrap().to_owned();
    let admin = world.log_in("admin", &world.admin_password()).await;
    let owner = world.log_in(&users[1], &password(&users[1])).await;
    let callers: [Caller<'_>; 3] =
        [("anonymous", None), ("owner", Some(&owner)), ("admin", Some(&admin))];
    let before = Recorder::new(&world).everything(&callers, &users).await;
    let page = world.get("/v1/submissions?pageSize=5", Some(&admin)).await;

    let arguments = world.promotion(&url, &engines);
    let refused = agon(&arguments);
    failed(&refused, 75, "");
    tokio::task::block_in_place(|| world.server.terminate());
    let started = Instant::now();
    let output = succeeded(&tokio::task::block_in_place(|| agon(&arguments)));
    let took = started.elapsed();
    assert!(output.contains("challenge.submissions") && output.contains("agon serve"), "{output}");
    println!("{output}\npromoted in {took:?}");
    let again = succeeded(&agon(&arguments));
    assert!(again.contains("nothing to do"), "{again}");

    tokio::task::block_in_place(|| world.start_promoted(&kind, &engines));
    let after = Recorder::new(&world).everything(&callers, &users).await;
    assert_same(&before, &after);
    println!("{} responses are equal", before.len());

    // Page tokens, sessions and request ids stay valid, and new submissions are judged.
    let token = page["nextPageToken"].as_str().unwrap();
    let path = format!("/v1/submissions?pageSize=5&pageToken={token}");
    let next = world.get(&path, Some(&admin)).await;
    assert_eq!(next["submissions"].as_array().unwrap().len(), 5);
    let fresh = world.post("/v1/sessions:refresh", None, json!({"refreshToken": refresh})).await;
    let fresh = fresh["accessToken"].as_str().unwrap().to_owned();
    let known = submit(&world, &fresh, 0).await;
    let listed = world.get(&format!("/v1/submissions?userId={}", users[0]), Some(&fresh)).await;
    assert!(listed.to_string().contains(&known), "the request id is unknown");
    let judged = world.judged(&fresh, PROBLEM, "python3", PYTHON).await;
    assert_eq!(judged["verdict"], "VERDICT_ACCEPTED", "{judged}");
    wait_until_idle(&world).await;
}

/// Creates submissions and kills the server before all are judged.
async fn leave_unjudged(world: &mut World, count: usize) -> Vec<(usize, String)> {
    let token = world.player("late").await;
    let mut created = Vec::new();
    for number in 1000..1000 + count {
        created.push((number, submit(world, &token, number).await));
    }
    world.server.kill();
    created
}

async fn check_interrupted_promotion(kind: &Kind, url: &str, engines: &[String]) {
    let scale = Scale { users: 2, submissions: 4 };
    let (mut world, users) = populated(scale).await;
    let late = leave_unjudged(&mut world, 20).await;
    let arguments = world.promotion(url, engines);
    let first = Duration::from_millis(100);
    let (kills, output) = tokio::task::block_in_place(|| promote_with_kills(&arguments, first));
    println!("killed {kills} times\n{}", succeeded(&output));
    assert!(kills > 0);

    tokio::task::block_in_place(|| world.start_promoted(kind, engines));
    let token = world.log_in("late", &password("late")).await;
    for (number, id) in &late {
        let judged = world.verdict(&token, id).await;
        assert_eq!(judged["verdict"], program(*number).2, "{number}: {judged}");
    }
    wait_until_idle(&world).await;
    let list = world.get("/v1/submissions?userId=me&pageSize=100", Some(&token)).await;
    assert_eq!(list["submissions"].as_array().unwrap().len(), late.len());
    let (status, list) = world
        .call(Method::GET, &format!("/v1/submissions?userId={}", users[0]), Some(&token), None)
        .await;
    assert!(status.is_success() || status == 403, "{list}");
    assert_judged_once(&world, url, late.len() + scale.submissions).await;
}

/// Opens a service's database on the target.
async fn target(world: &World, url: &str, service: &str) -> db::Db {
    let mut options = db::Options::new(url, service);
    options.schema = Some(format!("{}{service}", world.prefix));
    db::Db::open(&options).await.unwrap()
}

/// Checks in the databases that each submission has one judgement and one verdict.
async fn assert_judged_once(world: &World, url: &str, submissions: usize) {
    let expected = i64::try_from(submissions).unwrap();
    let challenge = target(world, url, "challenge").await;
    let judged: i64 = challenge
        .query("SELECT count(*) FROM submissions WHERE verdict IS NOT NULL AND version = 2")
        .fetch_scalar()
        .await
        .unwrap();
    assert_eq!(judged, expected, "submissions whose verdict was written once");
    let judge = target(world, url, "judge").await;
    let judgements: i64 = judge
        .query("SELECT count(*) FROM judgements WHERE submission_id IS NOT NULL AND state = 'done'")
        .fetch_scalar()
        .await
        .unwrap();
    // With that of the ignored submission, which has a third version.
    assert_eq!(judgements, expected + 1, "judgements");
    challenge.close().await;
    judge.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unjudged_submissions_survive_an_interrupted_promotion() {
    let Some((kind, url)) = postgres() else { return };
    check_interrupted_promotion(&kind, &url, &[]).await;
    if let Some(engines) = World::engines() {
        check_interrupted_promotion(&kind, &url, &engines).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn used_target_is_refused_and_partial_target_is_not_served() {
    let Some((kind, url)) = postgres() else { return };
    let mut world = World::idle(&Kind::Sqlite);
    world.player("ada").await;
    world.server.kill();
    // The target belongs to another installation.
    let other = World::idle(&kind);
    let mut arguments = world.promotion(&url, &[]);
    let prefix = arguments.iter().position(|a| a.starts_with("database.schema_prefix=")).unwrap();
    let own = std::mem::replace(
        &mut arguments[prefix],
        format!("database.schema_prefix={}", other.prefix),
    );
    let refused = agon(&arguments);
    failed(&refused, 78, "not empty");
    failed(&refused, 78, "users");
    drop(other);

    // An interrupted promotion.
    arguments[prefix] = own;
    let mut child = Command::new(AGON).args(&arguments).stdout(Stdio::null()).spawn().unwrap();
    let unfinished = async || {
        let db = target(&world, &url, "auth").await;
        let unfinished = db::promotion::is_unfinished(&db).await.unwrap_or(false);
        db.close().await;
        unfinished.then_some(())
    };
    eventually("the promotion started", unfinished).await;
    child.kill().unwrap();
    child.wait().unwrap();
    if unfinished().await.is_some() {
        let mut flags = world.flags();
        let prefix = format!("database.schema_prefix={}", world.prefix);
        flags.extend(["--database".into(), url.clone(), "--set".into(), prefix]);
        let served = Command::new(AGON).arg("serve").args(&flags).output().unwrap();
        failed(&served, 78, "agon promote");
    }
    // Another data directory cannot resume it.
    let mut other = World::idle(&Kind::Sqlite);
    other.server.kill();
    let mut others = arguments.clone();
    let data = others.iter().position(|argument| *argument == world.data().display().to_string());
    others[data.unwrap()] = other.data().display().to_string();
    let refused = agon(&others);
    failed(&refused, 78, "another data directory");
    succeeded(&agon(&arguments));
    // Removes the schemas.
    world.setup.kind = kind;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_the_source_during_a_promotion_are_detected() {
    let (Some((kind, url)), Some(engines)) = (postgres(), World::engines()) else { return };
    let mut world = World::idle(&Kind::Sqlite);
    world.player("ada").await;
    world.server.kill();
    let mut arguments = world.promotion(&url, &engines);
    let bucket = arguments.iter().position(|argument| argument == "--objects").unwrap() + 1;
    let bucket_url = std::mem::replace(&mut arguments[bucket], "s3://no-such-bucket".into());
    let refused = agon(&arguments);
    failed(&refused, 78, "problem.objects.url");
    let users = async || {
        let auth = target(&world, &url, "auth").await;
        let count = auth.query("SELECT count(*) FROM users").fetch_scalar::<i64>().await;
        auth.close().await;
        count.unwrap_or(0)
    };
    assert_eq!(users().await, 0, "the promotion started without a bucket");

    arguments[bucket] = bucket_url;
    let mut child = Command::new(AGON).args(&arguments).stdout(Stdio::null()).spawn().unwrap();
    let copied = async || (users().await == 2).then_some(());
    eventually("the users are copied", copied).await;
    child.kill().unwrap();
    child.wait().unwrap();
    world.server = Server::start(&world.flags());
    world.player("late").await;
    world.server.kill();
    let refused = agon(&arguments);
    assert!(!refused.status.success(), "{}", text(&refused));
    assert!(text(&refused).contains("auth.users has 2 rows instead of 3"), "{}", text(&refused));
    // Removes the schemas.
    world.setup.kind = kind;
}
