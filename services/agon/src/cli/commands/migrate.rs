//! `agon migrate`: the databases' schemas.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use db::migrate::{Scope, Step};
use ids::Clock;

use crate::cli::arguments::{Migrate, MigrateCommand, MigrateDown};
use crate::cli::commands::events;
use crate::config::{self, Config};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::server::databases::{Databases, failure};

/// Runs the command.
pub async fn run(arguments: Migrate) -> Result<ExitCode, Failure> {
    let config = config::load(arguments.command.settings())?.value;
    config.check()?;
    // A server applies its migrations itself, before it serves; two at once help nobody. And what a server
    // uses is not taken from under it.
    let data = DataDir::open(&config.data)?;
    let databases = Databases::open(&config, data.path(), &Clock::system()).await?;
    let code = match arguments.command {
        MigrateCommand::Status(_) => status(&databases).await,
        MigrateCommand::Up(_) => up(&config, &databases).await,
        MigrateCommand::Down(arguments) => down(&databases, &arguments).await,
    };
    databases.close().await;
    code
}

/// Migrations, and the topics of the events where they go to Kafka.
async fn up(config: &Config, databases: &Databases) -> Result<ExitCode, Failure> {
    let count = databases.migrate().await?;
    print_line!("{count} migrations applied");
    if config.events.is_kafka() {
        let made = events::make_topics(config).await?.iter().filter(|topic| topic.new).count();
        print_line!("{made} topics made");
    }
    Ok(ExitCode::SUCCESS)
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
            print_line!("{:10} {:10} {:32} {state}", db.service(), step.scope, step.name);
        }
    }
    Ok(if pending { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Exit code 0: done, or nothing to do; 1: the answer was no.
async fn down(databases: &Databases, arguments: &MigrateDown) -> Result<ExitCode, Failure> {
    let service = arguments.service.as_str();
    let known = databases.each().find(|(db, _)| db.service() == service);
    let (db, migrations) = known.ok_or_else(|| {
        let names: Vec<_> = databases.each().map(|(db, _)| db.service()).collect();
        Failure::usage(format!("there is no service {service}; there are {}", names.join(", ")))
    })?;
    let scope = if arguments.every { Scope::Every } else { Scope::Service };
    let fail = |error: db::Error| failure(service, &error);
    let steps = db.migrations_to_undo(migrations, scope, arguments.to).await.map_err(fail)?;
    let Some(first) = steps.last() else {
        print_line!("nothing to undo");
        return Ok(ExitCode::SUCCESS);
    };
    crate::cli::output::print(told(service, &steps));
    if !arguments.yes && !agreed()? {
        print_line!("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    let count = db.migrate_down(migrations, scope, first.number - 1).await.map_err(fail)?;
    print_line!(
        "{count} migrations undone; `agon migrate up`, or the next start, applies them again"
    );
    Ok(ExitCode::SUCCESS)
}

/// What will be done, in full: nobody can take it back.
fn told(service: &str, steps: &[Step]) -> String {
    let mut text = format!("In the database of {service} this will be undone, for good:\n");
    for step in steps {
        text += &format!("  {}\n", step.name);
        text.extend(step.lines.iter().map(|line| format!("    {line}\n")));
    }
    text + "What is in these tables will be lost.\n"
}

fn agreed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is nobody to ask; give --yes"));
    }
    eprint!("Go on? [y/N] ");
    // An unshown question is a pity, not a failure.
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
