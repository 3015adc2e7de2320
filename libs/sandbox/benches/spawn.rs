//! What a sandboxed `/bin/true` (fresh PID and mount namespace, fresh control groups, filter, all limits)
//! costs, against a plain `posix_spawn` of it.
//!
//! The two alternate in one run, and the last line says the ratio of their medians.
#![expect(unsafe_code, reason = "posix_spawn, without what the standard library adds to it")]

use criterion::{Criterion, criterion_group};
use sandbox::{Output, RunSpec, Sandbox, Slot, testing};
use std::{
    ptr,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

/// The baseline: a process, and nothing else.
fn plain() {
    let program = c"/bin/true";
    let arguments = [program.as_ptr().cast_mut(), ptr::null_mut()];
    let environment = [ptr::null_mut()];
    let (mut process, mut status) = (0, 0);
    // SAFETY: all pointers are to terminated arrays and strings that outlive the calls.
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

struct Setting {
    runtime: Runtime,
    slot: Slot,
}

fn setting() -> Setting {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let config = sandbox::Config { slots: 1, ..testing::config() };
    let slot = runtime.block_on(async {
        let sandbox = Sandbox::start(config).await.unwrap();
        sandbox.lease().await.unwrap()
    });
    Setting { runtime, slot }
}

fn spawn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spawn");
    group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    group.bench_function("plain", |bencher| bencher.iter(plain));
    let mut setting = setting();
    group.bench_function("sandboxed", |bencher| {
        bencher.iter(|| setting.runtime.block_on(sandboxed(&mut setting.slot)));
    });
    group.finish();
}

/// Pairs, one after the other, so that whatever else the machine does meets both.
fn ratio() {
    const PAIRS: usize = 1000;
    let mut setting = setting();
    let (mut plains, mut sandboxeds) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let began = Instant::now();
        plain();
        plains.push(began.elapsed());
        let began = Instant::now();
        setting.runtime.block_on(sandboxed(&mut setting.slot));
        sandboxeds.push(began.elapsed());
    }
    // Twenty in a row, so that nothing can be prepared in a pause.
    let (mut plain_rows, mut sandboxed_rows) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS / 20 {
        let began = Instant::now();
        (0..20).for_each(|_| plain());
        plain_rows.push(began.elapsed() / 20);
        let began = Instant::now();
        (0..20).for_each(|_| setting.runtime.block_on(sandboxed(&mut setting.slot)));
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
