//! `agon doctor`: what this machine's sandbox can isolate, by trying it.

use std::process::ExitCode;

use sandbox::{Config, Level, Report, doctor};

use crate::cli::arguments::Doctor;
use crate::failure::Failure;

/// Runs the sandbox's self-test and prints what it found. Exit code 0: everything holds.
pub async fn run(arguments: &Doctor) -> Result<ExitCode, Failure> {
    if !arguments.json {
        eprintln!("trying the sandbox; this takes a few seconds…");
    }
    let config = Config::default();
    let report = doctor::check(config)
        .await
        .map_err(|error| Failure::new(format!("no sandbox on this machine: {error}")))?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
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
            "to judge without them all the same: --set judge.allow_degraded={}\n",
            names.join(",")
        );
    }
    text
}
