//! Cancellation, crashes of agon-box, and removal of stale cgroups.

use crate::fixture::{Fixture, descendants, eventually, rogue_spec, slow};
use sandbox::{Config, Error, RunSpec, Sandbox, testing};
use std::{
    os::unix::process::ExitStatusExt,
    process::Command,
    time::{Duration, Instant},
};

#[tokio::test]
async fn dropping_a_run_kills_it() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let process = fixture.slot().process().unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        let run = fixture.slot().run(rogue_spec(&["forever"]));
        assert!(tokio::time::timeout(Duration::from_millis(100), run).await.is_err());
        eventually("the program is still running", || descendants(process).len() <= 1).await;
        assert!(began.elapsed() < slow(Duration::from_secs(3)), "killed by its CPU limit only");
        assert!(fixture.rogue(&["exit", "0"], |_| {}).await.is_success());
    }
    // Dropping the lease after canceling a run leaves the slot usable.
    let run = fixture.slot().run(rogue_spec(&["sleep", "600"]));
    assert!(tokio::time::timeout(Duration::from_millis(50), run).await.is_err());
    fixture.slot = None;
    fixture.slot = Some(fixture.sandbox.lease().await.unwrap());
    fixture.finish().await;
}

#[tokio::test]
async fn crash_of_agon_box_fails_only_the_current_run() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let process = fixture.slot().process().unwrap();
    let init = descendants(process);
    let kill = async {
        eventually("the program does not start", || descendants(process).len() > init.len()).await;
        Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
    };
    let (run, ()) = tokio::join!(fixture.slot().run(rogue_spec(&["forever"])), kill);
    assert!(matches!(run, Err(Error::Crashed(_))), "{run:?}");
    let gone = |pid: &u32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    eventually("inits are left", || init.iter().all(gone)).await;
    fixture.install_rogue().await;
    assert!(fixture.rogue(&["exit", "0"], |_| {}).await.is_success());
    assert_ne!(fixture.slot().process(), Some(process));
    fixture.finish().await;
}

#[tokio::test]
async fn slots_run_concurrently() {
    let Some(fixture) = Fixture::with(|config| config.slots = 3).await else { return };
    let run = async || {
        let mut slot = fixture.sandbox.lease().await.unwrap();
        let mut spec = RunSpec::new(["/bin/sleep", "0.5"]);
        (spec.limits.cpu, spec.limits.wall) = (slow(spec.limits.cpu), slow(spec.limits.wall));
        slot.run(spec).await.unwrap()
    };
    let began = Instant::now();
    let (one, two) = tokio::join!(run(), run());
    assert!(one.is_success() && two.is_success());
    let both = one.wall_time + two.wall_time;
    assert!(began.elapsed() < both, "the runs were sequential");
    // All three slots are leased.
    let (one, two) =
        (fixture.sandbox.lease().await.unwrap(), fixture.sandbox.lease().await.unwrap());
    assert_ne!(one.index(), two.index());
    drop((one, two));
    fixture.finish().await;
}

/// Not a test: the process that the next test kills. Prints its cgroups and runs a program.
#[tokio::test]
#[ignore = "started by another test"]
async fn sandbox_to_kill() {
    let sandbox = Sandbox::start(Config { slots: 2, ..testing::config() }).await.unwrap();
    let mut slot = sandbox.lease().await.unwrap();
    for group in sandbox.cgroups() {
        println!("group {}", group.display());
    }
    println!("ready");
    let mut spec = RunSpec::new(["/bin/sh", "-c", "while :; do :; done"]);
    (spec.limits.cpu, spec.limits.wall) = (Duration::from_secs(600), Duration::from_secs(600));
    slot.run(spec).await.unwrap();
}

#[tokio::test]
async fn cgroups_of_a_killed_process_are_removed() {
    use std::io::{BufRead, BufReader};
    let Some(fixture) = Fixture::open().await else { return };
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "lifecycle::sandbox_to_kill"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let lines: Vec<_> = lines.take_while(|line| line != "ready").collect();
    let groups = lines.iter().filter_map(|line| line.split_once("group ").map(|found| found.1));
    let groups: Vec<_> = groups.map(std::path::PathBuf::from).collect();
    assert!(!groups.is_empty() && groups.iter().all(|group| group.exists()));
    process.kill().unwrap();
    assert_eq!(process.wait().unwrap().signal(), Some(9));
    let next = Sandbox::start(Config { slots: 1, ..testing::config() }).await.unwrap();
    eventually("cgroups of a dead process are left", || !groups.iter().any(|g| g.exists())).await;
    next.shutdown().await;
    fixture.finish().await;
}

#[tokio::test]
async fn shutdown_does_not_affect_other_sandboxes() {
    let Some(mut before) = Fixture::open().await else { return };
    before.slot = None;
    before.sandbox.shutdown().await;
    let mut after = Fixture::open().await.unwrap();
    drop(before);
    assert!(after.rogue(&["exit", "0"], |_| {}).await.is_success());
    after.finish().await;
}
