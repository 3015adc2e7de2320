//! Cancelling, crashing, sweeping.

use crate::arena::{Arena, descendants, eventually, rogue_spec, slow};
use sandbox::{Config, Error, RunSpec, Sandbox, testing};
use std::{
    os::unix::process::ExitStatusExt,
    process::Command,
    time::{Duration, Instant},
};

#[tokio::test]
async fn a_dropped_run_is_killed() {
    let Some(mut arena) = Arena::open().await else { return };
    let process = arena.slot().process().unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        let run = arena.slot().run(rogue_spec(&["forever"]));
        assert!(tokio::time::timeout(Duration::from_millis(100), run).await.is_err());
        eventually("the program runs on", || descendants(process).len() <= 1).await;
        assert!(began.elapsed() < slow(Duration::from_secs(3)), "killed by its CPU limit only");
        assert!(arena.rogue(&["exit", "0"], |_| {}).await.is_success());
    }
    // A lease that ends in the middle of a run is as good.
    let run = arena.slot().run(rogue_spec(&["sleep", "600"]));
    assert!(tokio::time::timeout(Duration::from_millis(50), run).await.is_err());
    arena.slot = None;
    arena.slot = Some(arena.sandbox.lease().await.unwrap());
    arena.finish().await;
}

#[tokio::test]
async fn a_crash_of_the_box_is_one_failed_run() {
    let Some(mut arena) = Arena::open().await else { return };
    let process = arena.slot().process().unwrap();
    let init = descendants(process);
    let kill = async {
        eventually("the program does not start", || descendants(process).len() > init.len()).await;
        Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
    };
    let (run, ()) = tokio::join!(arena.slot().run(rogue_spec(&["forever"])), kill);
    assert!(matches!(run, Err(Error::Crashed(_))), "{run:?}");
    let gone = |pid: &u32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    eventually("inits are left", || init.iter().all(gone)).await;
    arena.arm().await;
    assert!(arena.rogue(&["exit", "0"], |_| {}).await.is_success());
    assert_ne!(arena.slot().process(), Some(process));
    arena.finish().await;
}

#[tokio::test]
async fn slots_run_at_the_same_time() {
    let Some(arena) = Arena::with(|config| config.slots = 3).await else { return };
    let run = async || {
        let mut slot = arena.sandbox.lease().await.unwrap();
        let mut spec = RunSpec::new(["/bin/sleep", "0.5"]);
        (spec.limits.cpu, spec.limits.wall) = (slow(spec.limits.cpu), slow(spec.limits.wall));
        slot.run(spec).await.unwrap()
    };
    let began = Instant::now();
    let (one, two) = tokio::join!(run(), run());
    assert!(one.is_success() && two.is_success());
    let both = one.wall_time + two.wall_time;
    assert!(began.elapsed() < both, "one after the other");
    // All three slots at last, each as new.
    let (one, two) = (arena.sandbox.lease().await.unwrap(), arena.sandbox.lease().await.unwrap());
    assert_ne!(one.index(), two.index());
    drop((one, two));
    arena.finish().await;
}

/// Not a test: what the next one kills. It says where its control groups are, and waits.
#[tokio::test]
#[ignore = "started by another test"]
async fn victim() {
    let sandbox = Sandbox::start(Config { slots: 2, ..testing::config() }).await.unwrap();
    let mut slot = sandbox.lease().await.unwrap();
    for group in sandbox.control_groups() {
        println!("group {}", group.display());
    }
    println!("ready");
    let mut spec = RunSpec::new(["/bin/sh", "-c", "while :; do :; done"]);
    (spec.limits.cpu, spec.limits.wall) = (Duration::from_secs(600), Duration::from_secs(600));
    slot.run(spec).await.unwrap();
}

#[tokio::test]
async fn remains_of_a_killed_process_are_swept() {
    use std::io::{BufRead, BufReader};
    let Some(arena) = Arena::open().await else { return };
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "lifecycle::victim"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let lines: Vec<_> = lines.take_while(|line| line != "ready").collect();
    let groups = lines.iter().filter_map(|line| line.split_once("group ").map(|found| found.1));
    let groups: Vec<_> = groups.map(std::path::PathBuf::from).collect();
    assert!(!groups.is_empty() && groups.iter().all(|group| group.exists()));
    victim.kill().unwrap();
    assert_eq!(victim.wait().unwrap().signal(), Some(9));
    let next = Sandbox::start(Config { slots: 1, ..testing::config() }).await.unwrap();
    eventually("groups of a dead process are left", || !groups.iter().any(|g| g.exists())).await;
    next.shutdown().await;
    arena.finish().await;
}

#[tokio::test]
async fn a_sandbox_that_has_shut_down_leaves_others_alone() {
    let Some(mut before) = Arena::open().await else { return };
    before.slot = None;
    before.sandbox.shutdown().await;
    let mut after = Arena::open().await.unwrap();
    drop(before);
    assert!(after.rogue(&["exit", "0"], |_| {}).await.is_success());
    after.finish().await;
}
