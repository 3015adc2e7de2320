//! `agon promote`: copies an installation from its data directory to other engines.

use std::process::ExitCode;

use db::promotion::{self, BeginOutcome};
use ids::Clock;

use crate::cli::arguments::Promote;
use crate::config;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::migrate::plan::Plan;
use crate::migrate::{events, objects, source_id, tables};
use crate::server::databases::{self, Databases, database_failure};

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
    let result = promote(&plan, &data, &source, &target).await;
    source.close().await;
    target.close().await;
    result?;
    crate::cli::output::print(instructions(&plan, &data));
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
    let states = tables::begin(target, source_id::of(data)?).await?;
    if states.iter().all(|state| matches!(state, BeginOutcome::Finished(_))) {
        print_line!("the promotion is complete already; nothing to do");
        return Ok(());
    }
    if states.iter().any(|state| *state != BeginOutcome::New) {
        print_line!("resuming the interrupted promotion");
    }
    let excluded: &[&str] = if events.is_some() { &bus::promotion::MOVED_TABLES } else { &[] };
    tables::copy(source, target, excluded).await?;
    if let Some(bucket) = &bucket {
        objects::copy(&plan.source, bucket, data.path(), &source.of("problem")).await?;
    }
    if let Some(events) = &events {
        events::publish(events).await?;
    }
    for (db, _) in target.each() {
        let finished = promotion::finish(db).await;
        finished.map_err(|error| database_failure(db.service(), &error))?;
    }
    Ok(())
}

/// How to start on the new engines.
fn instructions(plan: &Plan, data: &DataDir) -> String {
    let dir = data.path().display();
    let flags: Vec<String> =
        plan.flags().into_iter().map(|flag| format!(" \\\n    {flag}")).collect();
    let objects = match plan.objects {
        true => "",
        false => "Test data was not moved.\n",
    };
    format!(
        "\nEverything is copied and verified. Start with:\n  agon serve --data {dir}{}\n{objects}\
         The secrets are still in {dir}: root-secret (or set root_secret to its content) and keys/. Keep them and \
         copy them to any other machine; without them all sessions are lost.\nThe SQLite files are unchanged. Do \
         not serve from them again: later changes to them are not copied.\n",
        flags.concat()
    )
}
