//! `agon doctor`: the sandbox's self-test.

use std::process::ExitCode;

use sandbox::{Config, Level, Report, doctor};

use crate::cli::arguments::Doctor;
use crate::failure::Failure;

/// Exit code 0: all features work.
pub async fn run(arguments: &Doctor) -> Result<ExitCode, Failure> {
    if !arguments.json {
        eprintln!("testing the sandbox; this takes a few seconds…");
    }
    let config = Config::default();
    let report = doctor::check(config).await.map_err(|error| {
        Failure::new(format!("the sandbox does not work on this machine: {error}"))
    })?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&report).expect("the report serializes");
        print_line!("{text}");
    } else {
        crate::cli::output::print(text(&report));
    }
    Ok(if report.level == Level::Full { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let mark = if check.passed { "ok  " } else { "FAIL" };
        text += &format!("{mark} {:14} {}: {}\n", check.feature, check.name, check.detail);
        if let (false, Some(remedy)) = (check.passed, &check.remedy) {
            text += &format!("     {:14} {remedy}\n", "");
        }
    }
    text += &match report.cgroup {
        0 => format!("isolation: {}, without control groups\n", report.level),
        version => format!("isolation: {}, on cgroup v{version}\n", report.level),
    };
    let missing = report.missing();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|feature| feature.name()).collect();
        text += &format!(
            "to judge without the missing features: --set judge.allow_degraded={}\n",
            names.join(",")
        );
    }
    text
}
