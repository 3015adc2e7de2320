//! Programs that exceed their limits.

use crate::fixture::{Burners, Fixture, emulated, slow};
use sandbox::{Exit, Limit};
use std::time::Duration;

#[tokio::test]
async fn fork_bomb_is_stopped() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture
        .rogue(&["fork-bomb"], |limits| {
            limits.cpu = slow(Duration::from_secs(1));
            // The kernel frees the memory of ended processes with a delay.
            limits.memory = 256 << 20;
        })
        .await;
    assert!(matches!(outcome.limit, Some(Limit::Cpu | Limit::Wall)), "{outcome:?}");
    assert!(outcome.processes_refused);
    fixture.finish().await;
}

#[tokio::test]
async fn memory_limit_is_enforced() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["memory", "300"], |_| {}).await;
    assert_eq!(outcome.limit, Some(Limit::Memory));
    assert!(outcome.memory_peak <= 64 << 20);
    let outcome = fixture.rogue(&["memory", "40"], |_| {}).await;
    assert!(outcome.is_success());
    assert!(outcome.memory_peak >= 40 << 20 && outcome.memory_peak < 48 << 20);
    fixture.finish().await;
}

#[tokio::test]
async fn memory_of_children_counts() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["memory-children", "20"], |_| {}).await;
    assert_eq!(outcome.limit, Some(Limit::Memory));
    fixture.finish().await;
}

#[tokio::test]
async fn files_count_as_memory_and_against_the_disk() {
    let Some(mut fixture) = Fixture::with(|config| config.disk_bytes = 8 << 20).await else {
        return;
    };
    let outcome = fixture.rogue(&["file", "16"], |_| {}).await;
    assert_eq!(outcome.exit, Exit::Code(1));
    assert_eq!(outcome.stdout.into_text().unwrap(), "write: ENOSPC\n");
    assert!(outcome.memory_peak > 8 << 20);
    let outcome = fixture.rogue(&["file", "7"], |limits| limits.file_size = 2 << 20).await;
    assert_eq!(outcome.limit, Some(Limit::Output));
    let outcome = fixture.rogue(&["file", "7"], |limits| limits.memory = 4 << 20).await;
    assert_eq!(outcome.limit, Some(Limit::Memory));
    fixture.finish().await;
}

#[tokio::test]
async fn output_limit_is_exact() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["flood"], |_| {}).await;
    assert_eq!(outcome.limit, Some(Limit::Output));
    assert!(outcome.output_bytes > 1 << 20);
    let outcome = fixture.rogue(&["write", "1048576"], |_| {}).await;
    assert!(outcome.is_success(), "exactly the limit");
    assert_eq!(outcome.stdout.into_bytes().unwrap(), vec![b'x'; 1 << 20]);
    let outcome = fixture.rogue(&["write", "1048577"], |_| {}).await;
    assert_eq!(outcome.limit, Some(Limit::Output));
    let outcome = fixture.rogue(&["lines", "20000"], |_| {}).await;
    assert_eq!(outcome.stdout.total(), 100_000);
    fixture.finish().await;
}

#[tokio::test]
async fn idle_programs_reach_the_wall_limit() {
    let Some(mut fixture) = Fixture::open().await else { return };
    for arguments in [&["sleep", "60"][..], &["stop"]] {
        let outcome =
            fixture.rogue(arguments, |limits| limits.wall = slow(Duration::from_millis(300))).await;
        assert_eq!(outcome.limit, Some(Limit::Wall));
        assert!(outcome.cpu_time < slow(Duration::from_millis(200)));
        assert!(outcome.wall_time >= slow(Duration::from_millis(300)));
    }
    fixture.finish().await;
}

#[tokio::test]
async fn waiting_for_a_core_is_not_wall_time() {
    let core = 0;
    let Some(mut fixture) = Fixture::with(|config| config.cores = vec![core]).await else { return };
    let _burners = Burners::start(core, 3);
    // The margin is for a wait that is not counted yet because it is not over, and for time that a hypervisor
    // takes from the running program.
    let wall = Duration::from_millis(450);
    let outcome = fixture
        .rogue(&["forever"], |limits| {
            limits.cpu = Duration::from_millis(300);
            limits.wall = wall;
        })
        .await;
    assert_eq!(outcome.limit, Some(Limit::Cpu), "{outcome:?}");
    assert!(outcome.wall_time > wall, "the core was not busy: {outcome:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn cpu_time_of_daemons_counts() {
    let Some(mut fixture) = Fixture::open().await else { return };
    // They die with the program.
    let limit = Duration::from_millis(500);
    let outcome = fixture.rogue(&["daemons", "10"], |limits| limits.cpu = limit).await;
    assert_eq!(outcome.limit, Some(Limit::Cpu));
    assert!(outcome.cpu_time > limit);
    let outcome = fixture.rogue(&["daemons", "0"], |_| {}).await;
    assert_eq!((&outcome.exit, outcome.limit), (&Exit::Code(0), None));
    fixture.finish().await;
}

#[tokio::test]
async fn cpu_time_is_exact() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let limit = Duration::from_millis(300);
    let outcome = fixture.rogue(&["forever"], |limits| limits.cpu = limit).await;
    assert_eq!((outcome.limit, &outcome.exit), (Some(Limit::Cpu), &Exit::Killed));
    assert!(outcome.cpu_time > limit);
    assert!(emulated() || outcome.cpu_time < limit + Duration::from_millis(50), "{outcome:?}");
    for arguments in [["spin", "0.4"], ["spin-children", "0.4"]] {
        let outcome = fixture.rogue(&arguments, |_| {}).await;
        assert!(outcome.is_success());
        assert!(outcome.cpu_time >= Duration::from_millis(390), "{outcome:?}");
        assert!(emulated() || outcome.cpu_time < Duration::from_millis(440), "{outcome:?}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn cpu_limit_applies_to_a_program_that_exits_before_a_check() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome =
        fixture.rogue(&["exit", "0"], |limits| limits.cpu = Duration::from_nanos(1)).await;
    assert_eq!(outcome.limit, Some(Limit::Cpu));
    fixture.finish().await;
}

#[tokio::test]
async fn thread_and_descriptor_limits_are_exact() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["threads", "10"], |limits| limits.processes = 11).await;
    assert_eq!(outcome.stdout.into_text().unwrap(), "10\n");
    let outcome = fixture.rogue(&["threads", "11"], |limits| limits.processes = 11).await;
    assert!(outcome.processes_refused);
    assert_eq!(outcome.stdout.into_text().unwrap(), "10\n");
    let outcome = fixture.rogue(&["descriptors"], |limits| limits.open_files = 100).await;
    assert_eq!(outcome.stdout.into_text().unwrap(), "100\n");
    fixture.finish().await;
}

#[tokio::test]
async fn stack_is_limited_by_memory_only() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["deep", "100"], |limits| limits.memory = 192 << 20).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert!(outcome.memory_peak > 95 << 20);
    let outcome = fixture.rogue(&["deep", "1000"], |limits| limits.memory = 64 << 20).await;
    let overflowed = outcome.exit == Exit::Signal(11);
    assert!(outcome.limit == Some(Limit::Memory) || overflowed, "{outcome:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn threads_have_an_ordinary_stack() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["stacks"], |_| {}).await;
    let text = outcome.stdout.into_text().unwrap();
    assert_eq!(text, "8 8 64\nraise: ok\n64 64 64\n");
    let outcome = fixture.rogue(&["deep-thread", "7"], |_| {}).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let outcome = fixture.rogue(&["deep-thread", "9"], |_| {}).await;
    assert_eq!(outcome.exit, Exit::Signal(11));
    // As with a new init, after one that was reused.
    let outcome = fixture.rogue(&["stacks"], |limits| limits.memory = 8 << 20).await;
    assert_eq!(outcome.stdout.into_text().unwrap(), "7 7 8\nraise: ok\n8 8 8\n");
    fixture.finish().await;
}
