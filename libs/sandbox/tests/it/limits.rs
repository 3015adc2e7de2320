//! Programs that use too much.

use crate::arena::{Arena, Burners, emulated, slow};
use sandbox::{Exit, Limit};
use std::time::Duration;

#[tokio::test]
async fn fork_bomb() {
    let Some(mut arena) = Arena::open().await else { return };
    let outcome = arena
        .rogue(&["fork-bomb"], |limits| {
            limits.cpu = slow(Duration::from_secs(1));
            // The kernel counts dead processes' memory until it gets to freeing it.
            limits.memory = 256 << 20;
        })
        .await;
    assert!(matches!(outcome.limit, Some(Limit::Cpu | Limit::Wall)), "{outcome:?}");
    assert!(outcome.processes_refused);
    arena.finish().await;
}

#[tokio::test]
async fn memory_bomb() {
    let Some(mut arena) = Arena::open().await else { return };
    let outcome = arena.rogue(&["memory", "300"], |_| {}).await;
    assert_eq!(outcome.limit, Some(Limit::Memory));
    assert!(outcome.memory_peak <= 64 << 20);
    let outcome = arena.rogue(&["memory", "40"], |_| {}).await;
    assert!(outcome.is_success());
    assert!(outcome.memory_peak >= 40 << 20 && outcome.memory_peak < 48 << 20);
    arena.finish().await;
}

#[tokio::test]
async fn memory_split_over_children() {
    let Some(mut arena) = Arena::open().await else { return };
    let outcome = arena.rogue(&["memory-children", "20"], |_| {}).await;
    assert_eq!(outcome.limit, Some(Limit::Memory));
    arena.finish().await;
}

#[tokio::test]
async fn files_count_as_memory_and_against_the_disk() {
    let Some(mut arena) = Arena::with(|config| config.disk_bytes = 8 << 20).await else { return };
    let outcome = arena.rogue(&["file", "16"], |_| {}).await;
    assert_eq!(outcome.exit, Exit::Code(1));
    assert_eq!(outcome.stdout.into_text().unwrap(), "write: ENOSPC\n");
    assert!(outcome.memory_peak > 8 << 20);
    let outcome = arena.rogue(&["file", "7"], |limits| limits.file_size = 2 << 20).await;
    assert_eq!(outcome.limit, Some(Limit::Output));
    let outcome = arena.rogue(&["file", "7"], |limits| limits.memory = 4 << 20).await;
    assert_eq!(outcome.limit, Some(Limit::Memory));
    arena.finish().await;
}

#[tokio::test]
async fn output_flood() {
    let Some(mut arena) = Arena::open().await else { return };
    let outcome = arena.rogue(&["flood"], |_| {}).await;
    assert_eq!(outcome.limit, Some(Limit::Output));
    assert!(outcome.output_bytes > 1 << 20);
    let outcome = arena.rogue(&["write", "1048576"], |_| {}).await;
    assert!(outcome.is_success(), "exactly the limit");
    assert_eq!(outcome.stdout.into_bytes().unwrap(), vec![b'x'; 1 << 20]);
    let outcome = arena.rogue(&["write", "1048577"], |_| {}).await;
    assert_eq!(outcome.limit, Some(Limit::Output));
    let outcome = arena.rogue(&["lines", "20000"], |_| {}).await;
    assert_eq!(outcome.stdout.total(), 100_000);
    arena.finish().await;
}

#[tokio::test]
async fn sleep_and_stop() {
    let Some(mut arena) = Arena::open().await else { return };
    for arguments in [&["sleep", "60"][..], &["stop"]] {
        let outcome =
            arena.rogue(arguments, |limits| limits.wall = slow(Duration::from_millis(300))).await;
        assert_eq!(outcome.limit, Some(Limit::Wall));
        assert!(outcome.cpu_time < slow(Duration::from_millis(200)));
        assert!(outcome.wall_time >= slow(Duration::from_millis(300)));
    }
    arena.finish().await;
}

/// A machine that is busy with other things makes no idler of a program that works.
#[tokio::test]
async fn waiting_for_a_core_is_not_idling() {
    let core = 0;
    let Some(mut arena) = Arena::with(|config| config.cores = vec![core]).await else { return };
    let _burners = Burners::start(core, 3);
    // Room for a wait that is not over, and so not counted yet, and for the time which a hypervisor takes from
    // the program while it has the core: nobody counts that.
    let wall = Duration::from_millis(450);
    let outcome = arena
        .rogue(&["forever"], |limits| {
            limits.cpu = Duration::from_millis(300);
            limits.wall = wall;
        })
        .await;
    assert_eq!(outcome.limit, Some(Limit::Cpu), "{outcome:?}");
    assert!(outcome.wall_time > wall, "the core was not busy: {outcome:?}");
    arena.finish().await;
}

#[tokio::test]
async fn daemonised_spinning_children() {
    let Some(mut arena) = Arena::open().await else { return };
    // Their time counts while the program lives, and they die with it.
    let limit = Duration::from_millis(500);
    let outcome = arena.rogue(&["daemons", "10"], |limits| limits.cpu = limit).await;
    assert_eq!(outcome.limit, Some(Limit::Cpu));
    assert!(outcome.cpu_time > limit);
    let outcome = arena.rogue(&["daemons", "0"], |_| {}).await;
    assert_eq!((&outcome.exit, outcome.limit), (&Exit::Code(0), None));
    arena.finish().await;
}

#[tokio::test]
async fn cpu_time_is_exact() {
    let Some(mut arena) = Arena::open().await else { return };
    let limit = Duration::from_millis(300);
    let outcome = arena.rogue(&["forever"], |limits| limits.cpu = limit).await;
    assert_eq!((outcome.limit, &outcome.exit), (Some(Limit::Cpu), &Exit::Killed));
    assert!(outcome.cpu_time > limit);
    assert!(emulated() || outcome.cpu_time < limit + Duration::from_millis(50), "{outcome:?}");
    for arguments in [["spin", "0.4"], ["spin-children", "0.4"]] {
        let outcome = arena.rogue(&arguments, |_| {}).await;
        assert!(outcome.is_success());
        assert!(outcome.cpu_time >= Duration::from_millis(390), "{outcome:?}");
        assert!(emulated() || outcome.cpu_time < Duration::from_millis(440), "{outcome:?}");
    }
    arena.finish().await;
}

#[tokio::test]
async fn a_program_over_its_cpu_limit_is_at_it_even_if_it_ends_well() {
    let Some(mut arena) = Arena::open().await else { return };
    // So little that it is over before anybody can look.
    let outcome = arena.rogue(&["exit", "0"], |limits| limits.cpu = Duration::from_nanos(1)).await;
    assert_eq!(outcome.limit, Some(Limit::Cpu));
    arena.finish().await;
}

#[tokio::test]
async fn threads_and_descriptors() {
    let Some(mut arena) = Arena::open().await else { return };
    let outcome = arena.rogue(&["threads", "10"], |limits| limits.processes = 11).await;
    assert_eq!(outcome.stdout.into_text().unwrap(), "10\n");
    let outcome = arena.rogue(&["threads", "11"], |limits| limits.processes = 11).await;
    assert!(outcome.processes_refused);
    assert_eq!(outcome.stdout.into_text().unwrap(), "10\n");
    let outcome = arena.rogue(&["descriptors"], |limits| limits.open_files = 100).await;
    assert_eq!(outcome.stdout.into_text().unwrap(), "100\n");
    arena.finish().await;
}

#[tokio::test]
async fn deep_recursion() {
    let Some(mut arena) = Arena::open().await else { return };
    // A hundred megabytes of stack are fine where there is memory for them.
    let outcome = arena.rogue(&["deep", "100"], |limits| limits.memory = 192 << 20).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert!(outcome.memory_peak > 95 << 20);
    let outcome = arena.rogue(&["deep", "1000"], |limits| limits.memory = 64 << 20).await;
    let overflowed = outcome.exit == Exit::Signal(11);
    assert!(outcome.limit == Some(Limit::Memory) || overflowed, "{outcome:?}");
    arena.finish().await;
}
