//! The self-test, and what comes of a machine that fails it.

use crate::arena::Arena;
use sandbox::{Config, Feature, Level, doctor, testing};

#[tokio::test]
async fn a_machine_that_can_run_these_tests_is_found_capable() {
    let Some(arena) = Arena::open().await else { return };
    let report = doctor::check(testing::config()).await.unwrap();
    println!("{report}");
    let named = |name: &str| report.checks.iter().find(|check| check.name == name).unwrap();
    for name in ["memory limit", "fork bomb", "network", "/proc", "CPU time", "forbidden calls"] {
        assert!(named(name).passed, "{report}");
    }
    assert_eq!(report.level == Level::Full, report.missing().is_empty());
    assert_eq!(arena.sandbox.report().cgroup, report.cgroup);
    arena.finish().await;
}

#[tokio::test]
async fn a_missing_feature_must_be_allowed_by_name() {
    let Some(arena) = Arena::open().await else { return };
    arena.finish().await;
    // What cannot be started as a box is no sandbox.
    let config = Config { program: "/bin/false".into(), ..testing::config() };
    let report = doctor::check(config).await;
    assert!(matches!(report, Err(sandbox::Error::Crashed(_))), "{report:?}");
    assert_eq!("no-swap".parse(), Ok(Feature::NoSwap));
    assert!("nothing".parse::<Feature>().is_err());
}
