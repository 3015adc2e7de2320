//! `agon doctor`: tests the sandbox and the languages.

use std::process::ExitCode;

use access::Credentials;
use judge::Worker;
use judge::worker::{LanguageTest, Parts};
use rpc::{Channel, Local};
use sandbox::{Config, Level, Report, doctor};

use crate::cli::arguments::Doctor;
use crate::failure::Failure;

/// Exit code 0: all features of the sandbox work.
pub async fn run(arguments: &Doctor) -> Result<ExitCode, Failure> {
    if !arguments.json {
        eprintln!("testing the sandbox and the languages; this takes some seconds…");
    }
    let report = doctor::check(Config::default()).await.map_err(|error| {
        Failure::new(format!("the sandbox does not work on this machine: {error}"))
    })?;
    let languages = languages(&report).await?;
    if arguments.json {
        let mut json = serde_json::to_value(&report).expect("the report serializes");
        json["languages"] = serde_json::to_value(&languages).expect("the languages serialize");
        print_line!("{json:#}");
    } else {
        crate::cli::output::print(text(&report) + &languages_text(&languages));
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

async fn languages(report: &Report) -> Result<Vec<LanguageTest>, Failure> {
    let fail = |error: &dyn std::fmt::Display| {
        Failure::new(format!("the languages cannot be tested: {error}"))
    };
    let directory = tempfile::tempdir().map_err(|error| fail(&error))?;
    // The test calls no service.
    let nowhere = Credentials::fixed("none").channel(Channel::Local(Local::new()));
    let parts = Parts {
        name: "doctor".into(),
        directory: directory.path().to_owned(),
        problem: nowhere.clone(),
        challenge: nowhere.clone(),
        judge: nowhere,
        sandbox: Config::default(),
    };
    let config = judge::Config {
        allow_degraded: report.missing().into_iter().collect(),
        ..judge::Config::default()
    };
    let worker = Worker::open(config, parts).map_err(|error| fail(&error))?;
    worker.test_languages().await.map_err(|error| fail(&error))
}

fn languages_text(languages: &[LanguageTest]) -> String {
    let mut text = "languages:\n".to_owned();
    for LanguageTest { id, name, version, reason } in languages {
        text += &match version {
            Some(version) => format!("ok   {id:14} {name}: {version}\n"),
            None => format!("-    {id:14} {name}: {}\n", reason.as_deref().unwrap_or_default()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_show_their_version_or_why_they_are_missing() {
        let language = |id: &str, version: Option<&str>, reason: Option<&str>| LanguageTest {
            id: id.into(),
            name: id.to_uppercase(),
            version: version.map(Into::into),
            reason: reason.map(Into::into),
        };
        let languages = [
            language("c17", Some("gcc 12"), None),
            language("go", None, Some("go is not installed")),
        ];
        let text = languages_text(&languages);
        assert!(text.contains("ok   c17            C17: gcc 12\n"), "{text}");
        assert!(text.contains("-    go             GO: go is not installed\n"), "{text}");
    }
}
