//! `agon migrate`: database migrations.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use db::migrate::{Scope, Status, Step};
use ids::Clock;
use service::Descriptor;

use crate::cli::arguments::{MigrateCommand, MigrateDown};
use crate::cli::commands::events;
use crate::cli::output::{self, counted};
use crate::config::{self, Config};
use crate::data_dir::{self, DataDir};
use crate::failure::Failure;
use crate::server::databases::{self, Databases, database_failure};

pub async fn run(command: MigrateCommand) -> Result<ExitCode, Failure> {
    let config = config::load(command.settings())?.value;
    config.check()?;
    // The lock refuses to change the schema of a running server.
    let _lock = match command {
        MigrateCommand::Status(_) => return status(&config).await,
        _ if !config.uses_sqlite() => None,
        MigrateCommand::Up(_) => Some(DataDir::open(&config.data)?),
        MigrateCommand::Down(_) => Some(DataDir::open_existing(&config.data)?),
    };
    let databases = Databases::open(&config, &config.data, &Clock::system()).await?;
    let code = match command {
        MigrateCommand::Status(_) | MigrateCommand::Up(_) => up(&config, &databases).await,
        MigrateCommand::Down(arguments) => down(&databases, &arguments).await,
    };
    databases.close().await;
    code
}

/// Applies migrations, and creates topics if events go to Kafka.
async fn up(config: &Config, databases: &Databases) -> Result<ExitCode, Failure> {
    let count = databases.migrate().await?;
    print_line!("{} applied", counted(count, "migration"));
    if config.events.is_kafka() {
        let created = events::create_topics(config).await?.iter().filter(|topic| topic.new).count();
        print_line!("{} created", counted(created, "topic"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Exit code 0: no migration is pending. Creates nothing; the server may be running.
async fn status(config: &Config) -> Result<ExitCode, Failure> {
    if config.uses_sqlite() {
        data_dir::require(&config.data)?;
    }
    let mut pending = false;
    for descriptor in databases::descriptors(config) {
        for step in steps(config, descriptor).await? {
            let state = match step.applied_at {
                Some(at) => at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
                None => "pending".to_owned(),
            };
            pending |= step.applied_at.is_none();
            print_line!("{:10} {:10} {:32} {state}", descriptor.name, step.scope, step.name);
        }
    }
    Ok(if pending { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn steps(config: &Config, descriptor: &Descriptor) -> Result<Vec<Status>, Failure> {
    let (service, migrations) = (descriptor.name, &descriptor.migrations);
    if databases::is_missing(config, service) {
        return Ok(migrations.status_of_new());
    }
    let db = databases::open(config, &config.data, &Clock::system(), descriptor).await?;
    let steps = db.migration_status(migrations).await;
    db.close().await;
    steps.map_err(|error| database_failure(service, &error))
}

/// Exit code 0: done, or nothing to do; 1: not confirmed.
async fn down(databases: &Databases, arguments: &MigrateDown) -> Result<ExitCode, Failure> {
    let service = arguments.service.as_str();
    let known = databases.each().find(|(db, _)| db.service() == service);
    let (db, migrations) = known.ok_or_else(|| {
        let names: Vec<_> = databases.each().map(|(db, _)| db.service()).collect();
        Failure::usage(format!("unknown service {service}; known services: {}", names.join(", ")))
    })?;
    let scope = if arguments.every { Scope::Every } else { Scope::Service };
    let fail = |error: db::Error| database_failure(service, &error);
    let steps = db.migrations_to_undo(migrations, scope, arguments.to).await.map_err(fail)?;
    let Some(first) = steps.last() else {
        print_line!("nothing to undo");
        return Ok(ExitCode::SUCCESS);
    };
    output::print(warning(service, &steps));
    if !arguments.yes && !confirmed()? {
        print_line!("canceled, nothing changed");
        return Ok(ExitCode::FAILURE);
    }
    let count = db.migrate_down(migrations, scope, first.number - 1).await.map_err(fail)?;
    print_line!(
        "{} undone; `agon migrate up` and the next start apply undone migrations again",
        counted(count, "migration")
    );
    Ok(ExitCode::SUCCESS)
}

/// The statements that will run. They cannot be undone.
fn warning(service: &str, steps: &[Step]) -> String {
    let mut text = format!("These migrations of {service} will be undone permanently:\n");
    for step in steps {
        text += &format!("  {}\n", step.name);
        text.extend(step.lines.iter().map(|line| format!("    {line}\n")));
    }
    text + "All data in these tables will be lost.\n"
}

fn confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("standard input is not a terminal; confirm with --yes"));
    }
    eprint!("Continue? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
