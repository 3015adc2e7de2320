//! What can happen to processes and engines, with submissions flowing all the time: nothing that was acknowledged is
//! lost, nothing is judged twice, no verdict changes.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use db::testing::Kind;
use serde_json::{Value, json};

use crate::cluster::Member;
use crate::engines::Engine;
use crate::world::{PATIENCE, PROBLEM, PYTHON, Place, World, eventually};

/// Between two submissions.
const PACE: Duration = Duration::from_millis(400);
/// How many submissions may wait for their verdicts: judges are slower than clients.
const WAITING: usize = 20;
/// Longer than the relays' leases and the consumers' sessions.
const PAST_LEASES: Duration = Duration::from_secs(20);
const KAFKA_AWAY: Duration = Duration::from_secs(60);

/// What one submission should come to, by its number. Some take a second, so that a worker dies at work.
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

/// Submissions that keep coming until told to stop.
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
        #[expect(clippy::disallowed_methods, reason = "waited for in `end`")]
        let task = tokio::spawn(async move {
            let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
            let mut token = String::new();
            let mut number = 0_usize;
            let mut tries = 0;
            let mut unknown = false;
            // One that may have arrived is asked for until that is known.
            while unknown || !stopped.load(Ordering::Relaxed) {
                tries += 1;
                let edge = &edges[tries % edges.len()];
                let waits =
                    number.checked_sub(WAITING).map(|old| known.lock().unwrap()[&old].clone());
                if let Some(old) = waits
                    && !is_judged(&http, edge, &token, &old).await
                {
                    if tries % 10 == 0 {
                        token = log_in(&http, edge).await.unwrap_or(token);
                    }
                    tokio::time::sleep(PACE).await;
                    continue;
                }
                let submitted = submit(&http, edge, &token, number).await;
                unknown = !matches!(submitted, Submitted::Yes(_));
                match submitted {
                    Submitted::Yes(id) => {
                        known.lock().unwrap().insert(number, id);
                        counted.fetch_add(1, Ordering::Relaxed);
                        number += 1;
                        tokio::time::sleep(PACE).await;
                    }
                    Submitted::LoginNeeded => {
                        token = log_in(&http, edge).await.unwrap_or_default();
                        tokio::time::sleep(PACE).await;
                    }
                    Submitted::No => tokio::time::sleep(PACE).await,
                }
            }
        });
        Self { acknowledged, count, stop, task }
    }

    /// Waits until some more were acknowledged: the platform works again.
    async fn goes_on(&self, world: &World) {
        let before = self.count.load(Ordering::Relaxed);
        let deadline = Instant::now() + PATIENCE;
        while self.count.load(Ordering::Relaxed) < before + 4 {
            let alive = Instant::now() < deadline && !self.task.is_finished();
            assert!(alive, "submissions are not taken any more");
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

/// With the same request id each time: whether an earlier try arrived, nobody knows.
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
        // Asked to come back.
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

/// The verdict, whatever the edge answers meanwhile.
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

    /// Writes until there is no room.
    async fn writes_are_refused(&self) {
        let number = AtomicUsize::new(0);
        eventually("something is refused for want of room", async || {
            let name = format!("filler{}", number.fetch_add(1, Ordering::Relaxed));
            let user = json!({"username": name, "password": format!("a long password of {name}")});
            let response = self.http.post(self.url("/v1/users")).json(&user).send().await.ok()?;
            let (status, answer) = (response.status().as_u16(), response.text().await.ok()?);
            // What the database could not even log brings it down.
            (status == 503 || answer.contains("DISK_FULL")).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled() {
    let Some(s3) = World::object_store() else { return };
    let [mut redis, mut kafka] = ["redis", "kafka"].map(Engine::new);
    let mut postgres = Engine::on_small_disk("postgres");
    let mut engines = vec!["--events".to_owned(), kafka.url(), "--cache".into(), redis.url()];
    engines.extend(s3);
    let place = Place { kind: Kind::Postgres(postgres.url()), engines, apart: true };
    let extra = ["--set", "challenge.submissions_per_hour=0", "--log", "warn"];
    let mut world = World::small(place, &extra);
    world.player("ada").await;
    let edges = world.others.iter().filter(|member| member.role == "gateway");
    let edges = edges.map(|member| member.server.rest.clone()).chain([world.server.rest.clone()]);
    let flow = Flow::start(edges.collect());
    flow.goes_on(&world).await;

    for role in ["auth", "problem", "challenge", "judge", "gateway", "worker"] {
        eprintln!("kill -9 of a process of {role}");
        tokio::task::block_in_place(|| world.member(role).crash_and_restart());
        flow.goes_on(&world).await;
    }
    for role in ["challenge", "judge", "worker"] {
        eprintln!("a process of {role} is paused past its leases");
        signal(world.member(role), "-STOP");
        tokio::time::sleep(PAST_LEASES).await;
        signal(world.member(role), "-CONT");
        flow.goes_on(&world).await;
    }
    eprintln!("one more process of each consumer, and away again");
    for role in ["judge", "challenge"] {
        let more = tokio::task::block_in_place(|| world.one_more(role));
        flow.goes_on(&world).await;
        let mut more = more;
        tokio::task::block_in_place(|| more.server.terminate());
        flow.goes_on(&world).await;
    }
    eprintln!("Redis is flushed, then away");
    let flushed =
        Command::new("redis-cli").args(["-u", &redis.url(), "flushall"]).output().unwrap();
    assert!(flushed.status.success(), "{flushed:?}");
    flow.goes_on(&world).await;
    redis.kill();
    flow.goes_on(&world).await;
    redis.start();
    flow.goes_on(&world).await;
    for kill in [false, true] {
        eprintln!("PostgreSQL is {}", if kill { "killed" } else { "restarted" });
        if kill {
            postgres.kill();
        } else {
            postgres.stop();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        postgres.start();
        flow.goes_on(&world).await;
    }
    if postgres.fill_disk() {
        eprintln!("PostgreSQL's disk is full");
        world.writes_are_refused().await;
        postgres.make_room();
        flow.goes_on(&world).await;
    } else {
        eprintln!("not tried: a full disk, as this machine mounts nothing for us");
    }
    eprintln!("Kafka is away");
    kafka.kill();
    tokio::time::sleep(KAFKA_AWAY).await;
    kafka.start();
    flow.goes_on(&world).await;

    let acknowledged = flow.end().await;
    eprintln!("{} submissions", acknowledged.len());
    let token = world.log_in("ada", "a long password of ada").await;
    world.all_judged_once(&token, &acknowledged, &program).await;
}
