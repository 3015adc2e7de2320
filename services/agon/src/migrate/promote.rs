//! `agon promote`: an installation moves from its data directory to other engines.

use std::process::ExitCode;

use db::promotion::{self, Begun};
use ids::Clock;

use crate::cli::arguments::Promote;
use crate::config;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::migrate::plan::Plan;
use crate::migrate::{events, objects, source_id, tables};
use crate::server::databases::{self, Databases, failure};

/// Runs the command.
pub async fn run(arguments: &Promote) -> Result<ExitCode, Failure> {
    let config = config::load(&arguments.settings)?.value;
    let plan = Plan::new(&config, arguments)?;
    databases::require_files(&config.data)?;
    let data = DataDir::open(&config.data)?;
    let clock = Clock::system();
    let source = Databases::open(&plan.source, data.path(), &clock).await?;
    source.migrate().await?;
    let target = Databases::open(&plan.target, data.path(), &clock).await?;
    target.migrate().await?;
    let done = promote(&plan, &data, &source, &target).await;
    source.close().await;
    target.close().await;
    done?;
    crate::cli::output::print(told(&plan, &data));
    Ok(ExitCode::SUCCESS)
}

async fn promote(
    plan: &Plan,
    data: &DataDir,
    source: &Databases,
    target: &Databases,
) -> Result<(), Failure> {
    tables::check_order(target).await?;
    let events = match plan.target.events.is_kafka() {
        true => Some(events::open(&plan.target, source, target).await?),
        false => None,
    };
    let bucket = match plan.objects {
        true => Some(objects::open(&plan.target, data.path()).await?),
        false => None,
    };
    let begun = tables::begin(target, source_id::of(data)?).await?;
    if begun.iter().all(|begun| matches!(begun, Begun::Finished(_))) {
        print_line!("everything was promoted before; nothing to do");
        return Ok(());
    }
    if begun.iter().any(|begun| *begun != Begun::New) {
        print_line!("going on where it was interrupted");
    }
    let apart: &[&str] = if events.is_some() { &bus::promotion::APART } else { &[] };
    tables::copy(source, target, apart).await?;
    if let Some(bucket) = &bucket {
        objects::copy(&plan.source, bucket, data.path(), &source.of("problem")).await?;
    }
    if let Some(events) = &events {
        events::publish(events).await?;
    }
    for (db, _) in target.each() {
        let finished = promotion::finish(db).await;
        finished.map_err(|error| failure(db.service(), &error))?;
    }
    Ok(())
}

/// How to go on.
fn told(plan: &Plan, data: &DataDir) -> String {
    let dir = data.path().display();
    let flags: Vec<String> =
        plan.flags().into_iter().map(|flag| format!(" \\\n    {flag}")).collect();
    let objects = match plan.objects {
        true => "",
        false => "Test data stays where it was.\n",
    };
    format!(
        "\nEverything is there, and the same on both sides. Start with:\n  agon serve --data {dir}{}\n{objects}\
         The secrets are still files in {dir}: root-secret, from which page tokens and the keys of tokens come (or \
         give its text as the setting root_secret), and keys/. Keep them, and take them along to another machine; \
         without them nobody stays signed in.\nThe SQLite files are as they were. Do not serve from them again: what \
         happened there later would be missing here.\n",
        flags.concat()
    )
}
