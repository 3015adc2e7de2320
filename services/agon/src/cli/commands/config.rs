//! `agon config`

use std::process::ExitCode;

use crate::cli::arguments::Settings;
use crate::failure::Failure;

/// Prints every key with its value and source. Secrets are redacted.
pub fn run(settings: &Settings) -> Result<ExitCode, Failure> {
    let loaded = crate::config::load(settings)?;
    loaded.value.check()?;
    let width = |texts: &dyn Fn(&runtime::config::Entry) -> usize| {
        loaded.entries.iter().map(texts).max().unwrap_or_default()
    };
    let keys = width(&|entry| entry.key.len());
    let values = width(&|entry| entry.value.len()).min(48);
    for entry in &loaded.entries {
        print_line!("{:keys$} = {:values$}  # {}", entry.key, entry.value, entry.source);
    }
    for name in &loaded.ignored_env {
        eprintln!("warning: unknown environment variable {name}");
    }
    Ok(ExitCode::SUCCESS)
}
