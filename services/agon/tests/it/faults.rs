//! Failures of processes and engines during a steady flow of submissions: no acknowledged submission is lost, none is
//! judged twice, no verdict changes.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use db::testing::Kind;
use serde_json::{Value, json};

use crate::cluster::{self, Member};
use crate::engines::Engine;
use crate::world::{PROBLEM, PYTHON, Setup, TIMEOUT, World, eventually};

/// Interval between submissions and between retries.
const INTERVAL: Duration = Duration::from_millis(400);
/// Maximum number of submissions without a verdict.
const MAX_WAITING: usize = 20;
/// Longer than relay leases and consumer sessions.
const LEASE_EXPIRY: Duration = Duration::from_secs(20);
const KAFKA_OUTAGE: Duration = Duration::from_secs(60);

/// The program and the expected verdict of a submission. Some run for half a second, so that workers are killed while
/// judging.
fn program(number: usize) -> (String, &'static str) {
    match number % 4 {
        0 => (format!("# {number}\n{PYTHON}"), "VERDICT_ACCEPTED"),
        1 => (format!("print('wrong', {number})\n"), "VERDICT_WRONG_ANSWER"),
        2 => {
            let busy = "import time\nwhile time.process_time() < 0.5: pass\n";
            (format!("# {number}\n{busy}{PYTHON}"), "VERDICT_ACCEPTED")
        }
        _ => (format!("{number} = (\n"), "VERDICT_COMPILE_ERROR"),
    }
}

/// A background task that submits until it is stopped.
struct Flow {
    acknowledged: Arc<Mutex<BTreeMap<usize, String>>>,
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Flow {
    fn start(edges: Vec<String>) -> Self {
        let acknowledged = Arc::new(Mutex::new(BTreeMap::<usize, String>::new()));
        let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (known, counted, stopped) = (acknowledged.clone(), count.clone(), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "joined in `end`")]
        let task = tokio::spawn(async move {
            let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
            let mut token = String::new();
            let mut number = 0_usize;
            let mut tries = 0;
            let mut unknown = false;
            // Retry a submission until its outcome is known.
            while unknown || !stopped.load(Ordering::Relaxed) {
                tries += 1;
                let edge = &edges[tries % edges.len()];
                let waits =
                    number.checked_sub(MAX_WAITING).map(|old| known.lock().unwrap()[&old].clone());
                if let Some(old) = waits
                    && !is_judged(&http, edge, &token, &old).await
                {
                    if tries % 10 == 0 {
                        token = log_in(&http, edge).await.unwrap_or(token);
                    }
                    tokio::time::sleep(INTERVAL).await;
                    continue;
                }
                let submitted = submit(&http, edge, &token, number).await;
                unknown = !matches!(submitted, Submitted::Yes(_));
                match submitted {
                    Submitted::Yes(id) => {
                        known.lock().unwrap().insert(number, id);
                        counted.fetch_add(1, Ordering::Relaxed);
                        number += 1;
                        tokio::time::sleep(INTERVAL).await;
                    }
                    Submitted::LoginNeeded => {
                        token = log_in(&http, edge).await.unwrap_or_default();
                        tokio::time::sleep(INTERVAL).await;
                    }
                    Submitted::No => tokio::time::sleep(INTERVAL).await,
                }
            }
        });
        Self { acknowledged, count, stop, task }
    }

    /// Waits until new submissions are acknowledged and judged.
    async fn recovers(&self, world: &World) {
        let before = self.count.load(Ordering::Relaxed);
        let deadline = Instant::now() + TIMEOUT;
        while self.count.load(Ordering::Relaxed) < before + 4 {
            let alive = Instant::now() < deadline && !self.task.is_finished();
            assert!(alive, "submissions are not accepted any more");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let id = self.acknowledged.lock().unwrap()[&(before + 1)].clone();
        verdict(world, &id).await;
    }

    async fn end(self) -> BTreeMap<usize, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        Arc::try_unwrap(self.acknowledged).unwrap().into_inner().unwrap()
    }
}

enum Submitted {
    Yes(String),
    No,
    LoginNeeded,
}

/// Retries use the same request id, because an earlier attempt may have succeeded.
async fn submit(http: &reqwest::Client, edge: &str, token: &str, number: usize) -> Submitted {
    let (source, _) = program(number);
    let body = json!({
        "problemId": PROBLEM, "language": "python3", "source": source,
        "requestId": format!("submission-{number}"),
    });
    let request = http.post(format!("{edge}/v1/submissions")).bearer_auth(token).json(&body);
    let Ok(response) = request.send().await else { return Submitted::No };
    let status = response.status();
    let Ok(answer) = response.json::<Value>().await else { return Submitted::No };
    match status.as_u16() {
        200..=299 => Submitted::Yes(answer["submissionId"].as_str().unwrap().to_owned()),
        401 => Submitted::LoginNeeded,
        429 | 502..=504 => Submitted::No,
        _ => panic!("{status}: {answer}"),
    }
}

async fn is_judged(http: &reqwest::Client, edge: &str, token: &str, id: &str) -> bool {
    let request = http.get(format!("{edge}/v1/submissions/{id}")).bearer_auth(token);
    let Ok(response) = request.send().await else { return false };
    let answer: Value = response.json().await.unwrap_or_default();
    answer["state"] == "SUBMISSION_STATE_DONE"
}

async fn log_in(http: &reqwest::Client, edge: &str) -> Option<String> {
    let body = json!({"identifier": "ada", "password": "a long password of ada"});
    let answer = http.post(format!("{edge}/v1/sessions")).json(&body).send().await.ok()?;
    answer.json::<Value>().await.ok()?["accessToken"].as_str().map(str::to_owned)
}

/// Waits for the verdict. Ignores errors of the edge.
async fn verdict(world: &World, id: &str) -> Value {
    let token = Mutex::new(String::new());
    eventually("the submission is judged", async || {
        let path = format!("/v1/submissions/{id}");
        let bearer = token.lock().unwrap().clone();
        let response = world.http.get(world.url(&path)).bearer_auth(bearer).send().await.ok()?;
        if response.status() == 401 {
            let fresh = log_in(&world.http, &world.server.rest).await?;
            *token.lock().unwrap() = fresh;
            return None;
        }
        let answer: Value = response.json().await.ok()?;
        (answer["state"] == "SUBMISSION_STATE_DONE").then_some(answer)
    })
    .await
}

fn signal(member: &Member, signal: &str) {
    let id = member.server.child.id().to_string();
    Command::new("kill").args([signal, &id]).status().unwrap();
}

impl World {
    fn member(&mut self, role: &str) -> &mut Member {
        self.others.iter_mut().find(|member| member.role == role).unwrap()
    }

    /// Writes until the disk is full.
    async fn fill_database(&self) {
        let number = AtomicUsize::new(0);
        eventually("a write is refused because the disk is full", async || {
            let name = format!("filler{}", number.fetch_add(1, Ordering::Relaxed));
            let user = json!({"username": name, "password": format!("a long password of {name}")});
            let response = self.http.post(self.url("/v1/users")).json(&user).send().await.ok()?;
            let (status, answer) = (response.status().as_u16(), response.text().await.ok()?);
            // PostgreSQL stops when it cannot write its log.
            (status == 503 || answer.contains("DISK_FULL")).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_lose_and_duplicate_no_submission() {
    let Some(s3) = World::object_store() else { return };
    let [mut redis, mut kafka] = ["redis", "kafka"].map(Engine::new);
    let mut postgres = Engine::on_small_disk("postgres");
    let mut engines = vec!["--events".to_owned(), kafka.url(), "--cache".into(), redis.url()];
    engines.extend(s3);
    let setup = Setup { kind: Kind::Postgres(postgres.url()), engines, distributed: true };
    let extra = ["--set", "challenge.submissions_per_hour=0", "--log", "warn"];
    let mut world = World::small(setup, &extra);
    world.player("ada").await;
    let edges = world.others.iter().filter(|member| member.role == "gateway");
    let edges = edges.map(|member| member.server.rest.clone()).chain([world.server.rest.clone()]);
    let flow = Flow::start(edges.collect());
    flow.recovers(&world).await;
    world.has_few_connections(&postgres.url()).await;

    for role in cluster::roles() {
        eprintln!("killing a process of {role}");
        tokio::task::block_in_place(|| world.member(role).crash_and_restart());
        flow.recovers(&world).await;
    }
    for role in ["challenge", "judge", "worker"] {
        eprintln!("pausing a process of {role} until its leases expire");
        signal(world.member(role), "-STOP");
        tokio::time::sleep(LEASE_EXPIRY).await;
        signal(world.member(role), "-CONT");
        flow.recovers(&world).await;
    }
    eprintln!("adding and removing a process of each consumer");
    for role in ["judge", "challenge"] {
        let more = tokio::task::block_in_place(|| world.one_more(role));
        flow.recovers(&world).await;
        let mut more = more;
        tokio::task::block_in_place(|| more.server.terminate());
        flow.recovers(&world).await;
    }
    eprintln!("flushing and stopping Redis");
    let flushed =
        Command::new("redis-cli").args(["-u", &redis.url(), "flushall"]).output().unwrap();
    assert!(flushed.status.success(), "{flushed:?}");
    flow.recovers(&world).await;
    redis.kill();
    flow.recovers(&world).await;
    redis.start();
    flow.recovers(&world).await;
    for kill in [false, true] {
        eprintln!("{} PostgreSQL", if kill { "killing" } else { "restarting" });
        if kill {
            postgres.kill();
        } else {
            postgres.stop();
        }
        world.reports_database_outage().await;
        postgres.start();
        flow.recovers(&world).await;
    }
    if postgres.fill_disk() {
        eprintln!("filling the disk of PostgreSQL");
        world.fill_database().await;
        postgres.free_disk();
        flow.recovers(&world).await;
    } else {
        eprintln!("skipped: a full disk, because this machine permits no mounts");
    }
    eprintln!("killing auth");
    world.reads_survive_an_outage_of_auth().await;
    flow.recovers(&world).await;
    eprintln!("stopping Kafka");
    kafka.kill();
    tokio::time::sleep(KAFKA_OUTAGE).await;
    kafka.start();
    flow.recovers(&world).await;

    let acknowledged = flow.end().await;
    eprintln!("{} submissions", acknowledged.len());
    let token = world.log_in("ada", "a long password of ada").await;
    world.all_judged_once(&token, &acknowledged, &program).await;
}
