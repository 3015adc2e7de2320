//! `agon migrate`: the databases' schemas.

use std::process::ExitCode;

use ids::Clock;

use crate::cli::{Migrate, MigrateCommand};
use crate::config;
use crate::data::DataDir;
use crate::databases::{Databases, failure};
use crate::failure::Failure;

/// Runs the command.
pub async fn run(arguments: Migrate) -> Result<ExitCode, Failure> {
    let (MigrateCommand::Status(settings) | MigrateCommand::Up(settings)) = &arguments.command;
    let config = config::load(settings)?.value;
    config.check()?;
    // A server applies its migrations itself, before it serves; two at once help nobody.
    let data = DataDir::open(&config.data)?;
    let databases = Databases::open(&config, data.path(), &Clock::system()).await?;
    let code = match arguments.command {
        MigrateCommand::Status(_) => status(&databases).await,
        MigrateCommand::Up(_) => databases.migrate().await.map(|count| {
            say!("{count} migrations applied");
            ExitCode::SUCCESS
        }),
    };
    databases.close().await;
    code
}

/// Exit code 0: nothing is pending.
async fn status(databases: &Databases) -> Result<ExitCode, Failure> {
    let mut pending = false;
    for (db, migrations) in databases.each() {
        let known = db.migration_status(migrations).await;
        for step in known.map_err(|error| failure(db.service(), &error))? {
            let state = match step.applied_at {
                Some(at) => at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
                None => "pending".to_owned(),
            };
            pending |= step.applied_at.is_none();
            say!("{:10} {:10} {:32} {state}", db.service(), step.scope, step.name);
        }
    }
    Ok(if pending { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
