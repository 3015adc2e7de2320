//! Compares a sandboxed `/bin/true` (fresh PID and mount namespaces, fresh cgroups, filter, all limits) with a
//! plain `posix_spawn` of it.
//!
//! Both alternate in one process, and the last lines print the ratio of their medians.
#![expect(unsafe_code, reason = "posix_spawn without the overhead of the standard library")]

use criterion::{Criterion, criterion_group};
use sandbox::{Output, RunSpec, Sandbox, Slot, testing};
use std::{
    ptr,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

fn plain() {
    let program = c"/bin/true";
    let arguments = [program.as_ptr().cast_mut(), ptr::null_mut()];
    let environment = [ptr::null_mut()];
    let (mut process, mut status) = (0, 0);
    // SAFETY: all pointers refer to terminated arrays and strings that outlive the calls.
    unsafe {
        let spawned = libc::posix_spawn(
            &raw mut process,
            program.as_ptr(),
            ptr::null(),
            ptr::null(),
            arguments.as_ptr(),
            environment.as_ptr(),
        );
        assert_eq!(spawned, 0);
        libc::waitpid(process, &raw mut status, 0);
    }
    assert_eq!(status, 0);
}

async fn sandboxed(slot: &mut Slot) {
    let mut spec = RunSpec::new(["/bin/true"]);
    spec.env.clear();
    spec.stdout = Output::Capture { limit: 1 << 20 };
    let outcome = slot.run(spec).await.unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
}

struct Setup {
    runtime: Runtime,
    slot: Slot,
}

fn setup() -> Setup {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let config = sandbox::Config { slots: 1, ..testing::config() };
    let slot = runtime.block_on(async {
        let sandbox = Sandbox::start(config).await.unwrap();
        sandbox.lease().await.unwrap()
    });
    Setup { runtime, slot }
}

fn spawn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spawn");
    group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    group.bench_function("plain", |bencher| bencher.iter(plain));
    let mut setup = setup();
    group.bench_function("sandboxed", |bencher| {
        bencher.iter(|| setup.runtime.block_on(sandboxed(&mut setup.slot)));
    });
    group.finish();
}

/// Alternates, so that other load on the machine affects both.
fn ratio() {
    const PAIRS: usize = 1000;
    let mut setup = setup();
    let (mut plains, mut sandboxeds) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let began = Instant::now();
        plain();
        plains.push(began.elapsed());
        let began = Instant::now();
        setup.runtime.block_on(sandboxed(&mut setup.slot));
        sandboxeds.push(began.elapsed());
    }
    // Twenty runs without a pause, so that no run is prepared ahead of time.
    let (mut plain_rows, mut sandboxed_rows) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS / 20 {
        let began = Instant::now();
        (0..20).for_each(|_| plain());
        plain_rows.push(began.elapsed() / 20);
        let began = Instant::now();
        (0..20).for_each(|_| setup.runtime.block_on(sandboxed(&mut setup.slot)));
        sandboxed_rows.push(began.elapsed() / 20);
    }
    report("alternating", plains, sandboxeds);
    report("in rows of 20", plain_rows, sandboxed_rows);
}

fn report(name: &str, mut plain: Vec<Duration>, mut sandboxed: Vec<Duration>) {
    plain.sort();
    sandboxed.sort();
    let (plain, sandboxed) = (plain[plain.len() / 2], sandboxed[sandboxed.len() / 2]);
    let ratio = sandboxed.as_secs_f64() / plain.as_secs_f64();
    println!("{name}: plain {plain:?}, sandboxed {sandboxed:?}, ratio {ratio:.2}");
}

criterion_group!(benches, spawn);

fn main() {
    let only_ratio = std::env::args().any(|argument| argument == "ratio");
    if !only_ratio {
        benches();
    }
    ratio();
}
