//! The self-test.

use crate::fixture::Fixture;
use sandbox::{Config, Level, doctor, testing};

#[tokio::test]
async fn self_test_passes_where_these_tests_run() {
    let Some(fixture) = Fixture::open().await else { return };
    let report = doctor::check(testing::config()).await.unwrap();
    println!("{report}");
    let named = |name: &str| report.checks.iter().find(|check| check.name == name).unwrap();
    for name in ["memory limit", "fork bomb", "network", "/proc", "CPU time", "forbidden calls"] {
        assert!(named(name).passed, "{report}");
    }
    assert_eq!(report.level == Level::Full, report.missing().is_empty());
    assert_eq!(fixture.sandbox.report().cgroup, report.cgroup);
    fixture.finish().await;
}

#[tokio::test]
async fn program_that_is_not_agon_box_is_an_error() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.finish().await;
    let config = Config { program: "/bin/false".into(), ..testing::config() };
    let report = doctor::check(config).await;
    assert!(matches!(report, Err(sandbox::Error::Crashed(_))), "{report:?}");
}
