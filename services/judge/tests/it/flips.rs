//! The same program gets the same verdict every time, on an idle machine and on a busy one.
//!
//! `AGON_SOAK` = how often; 20 by default.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use judge::Config;
use proto::judge::Verdict;

use crate::world::{Problem, World};

/// Needs about a quarter of the limit.
const QUICK: &str = "#include <cstdio>\nint main(){volatile unsigned x=0;for(unsigned i=0;i<40000000u;i++)x=x+1;std::printf(\"3\");}";
/// Needs twice the limit and more.
const SLOW: &str = "#include <cstdio>\nint main(){volatile unsigned x=0;for(unsigned i=0;i<2000000000u;i++)x=x+1;std::printf(\"3\");}";

fn times() -> usize {
    std::env::var("AGON_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

async fn runs(world: &World, problem: &str) {
    for _ in 0..times() {
        for (source, verdict) in [(QUICK, Verdict::Accepted), (SLOW, Verdict::TimeLimitExceeded)] {
            let judgement = world.judge(problem, "cpp20", source).await;
            assert_eq!(judgement.verdict(), verdict, "{judgement:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_verdict_flips() {
    let world = World::judging(Config::default()).await;
    let tests = vec![("", "3", false), ("", "3", false)];
    let time = Duration::from_millis(400);
    let problem = world.problem(&Problem { time, tests, ..Problem::default() });
    runs(&world, &problem).await;
    let _burners = Burners::start();
    runs(&world, &problem).await;
}

/// Keeps every core busy until it is dropped, also by a failing test.
struct Burners(Arc<AtomicBool>);

impl Burners {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..cores {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
