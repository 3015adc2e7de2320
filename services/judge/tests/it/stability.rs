//! The same program always gets the same verdict, on an idle and on a busy machine.
//!
//! `AGON_SOAK` sets the number of repetitions; the default is 20.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use judge::Config;
use proto::judge::Verdict;

use crate::world::{Problem, World};

/// Takes about a quarter of the time limit.
const QUICK: &str = "#include <cstdio>\nint main(){volatile unsigned x=0;for(unsigned i=0;i<40000000u;i++)x=x+1;std::printf(\"3\");}";
/// Takes more than twice the time limit.
const SLOW: &str = "#include <cstdio>\nint main(){volatile unsigned x=0;for(unsigned i=0;i<2000000000u;i++)x=x+1;std::printf(\"3\");}";

fn repetitions() -> usize {
    std::env::var("AGON_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

async fn runs(world: &World, problem: &str) {
    for _ in 0..repetitions() {
        for (source, verdict) in [(QUICK, Verdict::Accepted), (SLOW, Verdict::TimeLimitExceeded)] {
            let judgement = world.judge(problem, "cpp20", source).await;
            assert_eq!(judgement.verdict(), verdict, "{judgement:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_are_stable_under_load() {
    let world = World::judging(Config::default()).await;
    let tests = vec![("", "3", false), ("", "3", false)];
    let time = Duration::from_millis(400);
    let problem = world.problem(&Problem { time, tests, ..Problem::default() });
    runs(&world, &problem).await;
    let _burners = Burners::start();
    runs(&world, &problem).await;
}

/// Threads that keep all cores busy until this is dropped.
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
