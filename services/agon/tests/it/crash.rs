//! `kill -9` at any moment loses no acknowledged submission.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use db::testing::PrintOnPanic;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{PROBLEM, PYTHON, Setup, TIMEOUT, World, eventually};

#[derive(Clone, Copy)]
struct Scale {
    submissions: usize,
    kills: usize,
}

const EMBEDDED: Scale = Scale { submissions: 200, kills: 20 };
/// Fewer, because Kafka partitions and leases of a killed process expire only after some seconds.
const ON_KAFKA: Scale = Scale { submissions: 40, kills: 4 };

/// The program and the expected verdict of a submission.
fn program(number: usize) -> (String, &'static str) {
    match number % 2 {
        0 => (format!("# {number}\n{PYTHON}"), "VERDICT_ACCEPTED"),
        _ => (format!("print('wrong', {number})\n"), "VERDICT_WRONG_ANSWER"),
    }
}

/// Posts a submission. Retries use the same request id. `None` if it was not acknowledged.
async fn submit(world: &World, token: &str, number: usize) -> Option<String> {
    let (source, _) = program(number);
    let body = json!({
        "problemId": PROBLEM, "language": "python3", "source": source,
        "requestId": format!("submission-{number}"),
    });
    let request = world.http.post(world.url("/v1/submissions")).bearer_auth(token).json(&body);
    let response = request.timeout(Duration::from_secs(10)).send().await.ok()?;
    if response.status() == 401 {
        return None;
    }
    let status = response.status();
    let answer: Value = response.json().await.ok()?;
    if status.is_server_error() {
        return None;
    }
    assert!(status.is_success(), "{status}: {answer}");
    Some(answer["submissionId"].as_str().unwrap().to_owned())
}

/// A xorshift random number generator; the seed is printed.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

async fn check_crashes(setup: Setup) {
    let engines = !setup.engines.is_empty();
    let Scale { submissions, kills: wanted } = if engines { ON_KAFKA } else { EMBEDDED };
    let flags = ["--set", "challenge.submissions_per_hour=0", "--log", "warn"];
    let mut world = World::small(setup, &flags);
    world.player("ada").await;
    let seed = ids::Clock::system().new_id().as_u128() as u64 | 1;
    eprintln!("seed {seed}");
    let mut random = Random(seed);
    let mut acknowledged: BTreeMap<usize, String> = BTreeMap::new();
    let mut token = world.log_in("ada", "a long password of ada").await;
    let mut kills = 0;
    let mut next = 0;
    let mut kill_at = 5;
    while next < submissions {
        match submit(&world, &token, next).await {
            Some(id) => {
                if let Some(before) = acknowledged.insert(next, id.clone()) {
                    assert_eq!(before, id, "an acknowledged submission was created again");
                }
                next += 1;
            }
            None => token = world.log_in("ada", "a long password of ada").await,
        }
        if next >= kill_at && kills < wanted {
            // Kill during the next submission or the judging of earlier ones.
            let delay = Duration::from_micros(random.below(40_000));
            let (_, lost) = tokio::join!(
                async {
                    tokio::time::sleep(delay).await;
                    // Blocks on purpose: the process must be dead before the test continues.
                    let id = world.server.child.id().to_string();
                    std::process::Command::new("kill").args(["-9", &id]).status().unwrap();
                },
                submit(&world, &token, next.min(submissions - 1)),
            );
            if let Some(id) = lost {
                acknowledged.insert(next.min(submissions - 1), id);
            }
            tokio::task::block_in_place(|| world.crash_and_restart());
            kills += 1;
            kill_at = next + 5 + usize::try_from(random.below(5)).unwrap();
        }
    }
    assert_eq!((kills, acknowledged.len()), (wanted, submissions));
    let token = world.log_in("ada", "a long password of ada").await;
    world.all_judged_once(&token, &acknowledged, &program).await;
}

impl World {
    /// Every acknowledged submission has the expected verdict, and there are no other submissions.
    pub async fn all_judged_once(
        &self,
        token: &str,
        acknowledged: &BTreeMap<usize, String>,
        program: &dyn Fn(usize) -> (String, &'static str),
    ) {
        let world = self;
        let start = Instant::now();
        for (number, id) in acknowledged {
            let judged = world.verdict(token, id).await;
            let (_, expected) = program(*number);
            assert_eq!(judged["verdict"], expected, "submission {number}: {judged}");
        }
        assert!(start.elapsed() < TIMEOUT * 2);
        // No submission is lost or created twice.
        let mut seen = Vec::new();
        let mut page = String::new();
        loop {
            let path = format!("/v1/submissions?page_size=100&page_token={page}");
            let (status, list) = world.call(Method::GET, &path, Some(token), None).await;
            assert!(status.is_success(), "{list}");
            for submission in list["submissions"].as_array().unwrap() {
                seen.push(submission["submissionId"].as_str().unwrap().to_owned());
            }
            page = list["nextPageToken"].as_str().unwrap_or_default().to_owned();
            if page.is_empty() {
                break;
            }
        }
        let mut expected: Vec<_> = acknowledged.values().cloned().collect();
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
        let admin = world.log_in("admin", &world.admin_password()).await;
        eventually("the queue is empty", async || {
            let queue = world.get("/v1/judge/queue", Some(&admin)).await;
            (queue["queuedCount"] == "0" && queue["runningCount"] == "0").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_lose_no_acknowledged_submission() {
    for setup in World::setups().into_iter().filter(|setup| !setup.distributed) {
        let kind = setup.kind.clone();
        let _guard = PrintOnPanic(&kind);
        check_crashes(setup).await;
    }
}
