//! One verdict of a contest to 10,000 watchers of its standings, in process.
//!
//! Prints the memory per watcher, and the time from the judge's event until the last watcher has the new row.

#[path = "../tests/it/contest_world.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod contest_world;
#[path = "../tests/it/fakes.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod fakes;
#[path = "../tests/it/world.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the tests")]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto::challenge::{Verdict, WatchStandingsRequest};
use proto::event::JudgementCompleted;

const WATCHERS: usize = 10_000;
const ROUNDS: usize = 5;

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "the process exits at the end")]
async fn main() {
    let world = world::one(&db::testing::Kind::Sqlite, challenge::Config::default()).await;
    let (_, contest) = world.finals().await;
    let id = contest.contest_id;
    let users: Vec<_> = (0..ROUNDS).map(|n| world.user(&format!("user{n}"))).collect();
    for user in &users {
        world.join(user, &id).await.expect("a participant");
    }
    world.set_minute(20);

    let (before, received) = (resident(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..WATCHERS {
        let request = WatchStandingsRequest { contest_id: id.clone(), ..Default::default() };
        let stream = world.contests().watch_standings(request).await.expect("a watcher");
        let received = received.clone();
        tokio::spawn(async move {
            let mut stream = stream.into_inner();
            while let Ok(Some(update)) = stream.message().await {
                let solved = update.rows.iter().filter(|row| row.solved_count == 1).count();
                received.fetch_add(solved, Ordering::SeqCst);
            }
        });
    }
    let bytes = resident().saturating_sub(before);
    println!("{} bytes of memory per watcher, with its client", bytes / WATCHERS);

    for (round, user) in users.iter().enumerate() {
        let entry = world.enter(user, &id, "A").await.expect("a submission");
        // Lets the watchers finish with the pending submission.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let judged = JudgementCompleted {
            judgement_id: world.clock().new_id().to_string(),
            submission_id: entry.submission_id,
            verdict: Verdict::Accepted.into(),
            ..JudgementCompleted::default()
        };
        let start = Instant::now();
        world.publish(&judged).await;
        while received.load(Ordering::SeqCst) < (round + 1) * WATCHERS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("{WATCHERS} watchers have verdict {} after {:?}", round + 1, start.elapsed());
    }
    std::process::exit(0);
}

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4096
}
