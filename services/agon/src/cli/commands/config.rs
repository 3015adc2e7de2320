//! `agon config`: the configuration and its sources.

use std::process::ExitCode;

use crate::cli::arguments::Settings;
use crate::failure::Failure;

/// Prints every key, its value and where that came from; secrets stay hidden.
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
        eprintln!("note: nothing reads {name}");
    }
    Ok(ExitCode::SUCCESS)
}
