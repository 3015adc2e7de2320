//! The self-test: measures in real containers what this machine can isolate.

mod checks;

use crate::{Check, Config, Error, Feature, Level, Report, Sandbox};
use checks::Depth;
use futures_util::future::BoxFuture;
use std::sync::Arc;

impl Sandbox {
    /// Removes cgroups of crashed processes, starts one agon-box per slot, and runs the quick checks.
    ///
    /// Fails with [`Error::Unavailable`] where programs cannot be isolated at all, and with
    /// [`Error::Degraded`] where features are missing that `config.allow_degraded` does not name.
    pub fn start(config: Config) -> BoxFuture<'static, Result<Sandbox, Error>> {
        Box::pin(async move {
            let (mut sandbox, facts) = Sandbox::open(&config).await?;
            let report = checks::run_all(&sandbox, &config, &facts, Depth::Quick).await;
            match report.and_then(|report| accept(report, &config)) {
                Ok(report) => {
                    sandbox.report = Arc::new(report);
                    Ok(sandbox)
                }
                Err(error) => {
                    sandbox.shutdown().await;
                    Err(error)
                }
            }
        })
    }
}

/// Fails if the report lacks a feature that the configuration requires.
fn accept(report: Report, config: &Config) -> Result<Report, Error> {
    let mut missing = report.missing();
    missing.retain(|feature| !config.allow_degraded.contains(feature));
    if missing.is_empty() {
        return Ok(report);
    }
    let failed = report.checks.iter().filter(|check| !check.passed);
    let failed = failed.filter(|check| missing.contains(&check.feature));
    let advice: Vec<_> = failed.map(|check| format!("{}: {}", check.name, check.detail)).collect();
    Err(Error::Degraded { missing, advice: advice.join("; ") })
}

/// Runs all checks on this machine, for `agon doctor`. Takes about a second.
///
/// A machine that cannot isolate programs gets a report of level [`Level::None`], not an error.
pub fn check(config: Config) -> BoxFuture<'static, Result<Report, Error>> {
    Box::pin(async move {
        let config = Config { slots: 1, ..config };
        match Sandbox::open(&config).await {
            Ok((sandbox, facts)) => {
                let report = checks::run_all(&sandbox, &config, &facts, Depth::Full).await;
                sandbox.shutdown().await;
                report
            }
            Err(Error::Unavailable(reason)) => Ok(no_isolation(reason)),
            Err(error) => Err(error),
        }
    })
}

fn no_isolation(reason: String) -> Report {
    let check = Check {
        name: "container creation".into(),
        feature: Feature::Namespaces,
        passed: false,
        detail: reason,
        remedy: Some(
            "run as root, or as a user with a delegated cgroup v2 and user namespaces; \
             in a container engine, run with --privileged"
                .into(),
        ),
    };
    Report { level: Level::None, cgroup: 0, checks: vec![check] }
}
