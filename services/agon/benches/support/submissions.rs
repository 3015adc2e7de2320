//! Submissions of a compiled program with one test, by one and by two clients: rate, latency, and CPU time of the server
//! with its sandboxes.

use std::process::Child;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::server::Server;

const WARM_UP: Duration = Duration::from_secs(5);
const TIME: Duration = Duration::from_secs(15);

pub async fn run() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let http = reqwest::Client::new();
    let server = Server::start(data.path(), &http, &[]).await;
    let rest = server.rest(&http);
    let token = rest.register().await;
    let Some(problem) = rest.sample(1).await else { return server.stop() };
    // Also compiles the program, which is then in the cache.
    rest.judge(&problem, &token).await;
    idle(&server.child).await;
    // The program fails on the first test, so one test runs.
    for clients in [1, 2] {
        for time in [WARM_UP, TIME] {
            let (cpu, start) = (tree_cpu(&server.child), Instant::now());
            let client = async || {
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let posted = Instant::now();
                    rest.judge(&problem, &token).await;
                    times.push(posted.elapsed());
                }
                times
            };
            let mut times: Vec<Duration> =
                join_all((0..clients).map(|_| client())).await.into_iter().flatten().collect();
            times.sort();
            let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
            let rate = f64::from(count) / start.elapsed().as_secs_f64();
            let cpu = (tree_cpu(&server.child) - cpu) / count;
            if time == TIME {
                println!(
                    "submissions by {clients} clients: {rate:.0}/s, {:.1?} each (median), {cpu:.1?} of CPU each",
                    times[times.len() / 2]
                );
            }
        }
    }
    server.stop();
}

/// Waits until the server uses less than a tenth of a core: it precompiles headers after its first start.
async fn idle(child: &Child) {
    let second = Duration::from_secs(1);
    loop {
        let before = tree_cpu(child);
        tokio::time::sleep(second).await;
        if tree_cpu(child).saturating_sub(before) < second / 10 {
            return;
        }
    }
}

/// User and system time of a process, its descendants, and those of them that have ended.
fn tree_cpu(child: &Child) -> Duration {
    let mut ticks = 0;
    let mut known = vec![child.id()];
    while let Some(id) = known.pop() {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        ticks += fields.skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>();
        let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else { continue };
        for thread in threads.flatten() {
            let children = std::fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            known.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    Duration::from_millis(ticks * 10)
}
