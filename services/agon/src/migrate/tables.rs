//! Copies the services' tables.

use db::Db;
use db::promotion::{self, BeginOutcome, Progress, Table};
use ids::Uuid;

use super::step::Step;
use crate::failure::Failure;
use crate::server::databases::{Databases, database_failure};

/// The mark that all tables are copied and verified.
const VERIFIED: &str = "tables verified";
/// Tables that a later step, the publishing of events, changes in the target.
const CHANGED_BY_EVENTS: [&str; 3] = ["inbox", "leases", "outbox"];

/// Reserves the target for this source.
///
/// # Errors
/// If the target is not empty and not of this source.
pub async fn begin(target: &Databases, source: Uuid) -> Result<Vec<BeginOutcome>, Failure> {
    let mut states = Vec::new();
    for (db, _) in target.each() {
        let service = db.service();
        let found = promotion::begin(db, source).await;
        states.push(found.map_err(|error| match error {
            db::Error::Config(text) => Failure::config(format!(
                "--to: cannot use the schema of {service}: {text}; select an empty database or another \
                 database.schema_prefix"
            )),
            error => database_failure(service, &error),
        })?);
    }
    Ok(states)
}

/// Fails unless the database sorts text by code point, as SQLite does.
pub async fn check_order(target: &Databases) -> Result<(), Failure> {
    for (db, _) in target.each() {
        let sorted = db.query("SELECT 'Z' < 'a'").fetch_scalar::<bool>().await;
        if !sorted.map_err(|error| database_failure(db.service(), &error))? {
            return Err(Failure::config(
                "--to: the database must sort text by code point; create it with CREATE DATABASE … TEMPLATE \
                 template0 LOCALE 'C.UTF-8'",
            ));
        }
    }
    Ok(())
}

/// Copies the tables of all services except `excluded`, and verifies them.
pub async fn copy(
    source: &Databases,
    target: &Databases,
    excluded: &[&str],
) -> Result<(), Failure> {
    for ((from, _), (to, _)) in source.each().zip(target.each()) {
        copy_service(from, to, excluded).await.map_err(|error| match error {
            CopyError::Db(error) => database_failure(from.service(), &error),
            CopyError::Differs(text) => Failure::new(text),
        })?;
    }
    Ok(())
}

enum CopyError {
    Db(db::Error),
    Differs(String),
}

impl From<db::Error> for CopyError {
    fn from(error: db::Error) -> Self {
        Self::Db(error)
    }
}

async fn copy_service(from: &Db, to: &Db, excluded: &[&str]) -> Result<(), CopyError> {
    let tables = promotion::tables(from, to, excluded).await?;
    // After verification the source must not change: compare again, in case a server ran on it.
    let verified = promotion::progress(to, VERIFIED).await?.done;
    let mut differing = Vec::new();
    for table in tables
        .iter()
        .filter(|table| !(verified && CHANGED_BY_EVENTS.contains(&table.name.as_str())))
    {
        let name = format!("{}.{}", from.service(), table.name);
        let mut step = Step::start(&name);
        let mut copied = None;
        if !verified {
            let progress = |rows| step.update(&name, rows, 0);
            copied = match promotion::copy(from, to, table, progress).await {
                Ok(rows) => Some(rows),
                // The row refers to rows that were added after their table was copied.
                Err(db::Error::Constraint(why) | db::Error::Conflict(why)) => {
                    differing.push(format!("{name} cannot be copied: {why}"));
                    break;
                }
                Err(error) => return Err(error.into()),
            };
        }
        differing.extend(compare(from, to, table, &name, &mut step).await?);
        if let Some(rows) = copied {
            step.finish(&name, rows, "rows");
        }
    }
    if !differing.is_empty() {
        return Err(CopyError::Differs(format!(
            "the target differs from the data directory: {}. One of them changed since the promotion began: drop the \
             target's schemas and start again",
            differing.join("; ")
        )));
    }
    if verified {
        print_line!("{:32} copied before, verified again", from.service());
        return Ok(());
    }
    promotion::raise_sequences(from, to, &tables).await?;
    let done = Progress { done: true, ..Progress::default() };
    to.transact(|mut tx| async move { promotion::save_progress(&mut tx, VERIFIED, done).await })
        .await?;
    Ok(())
}

/// Describes how source and target of a table differ; `None` if they are equal.
async fn compare(
    from: &Db,
    to: &Db,
    table: &Table,
    name: &str,
    step: &mut Step,
) -> db::Result<Option<String>> {
    let verifying = format!("verifying {name}");
    let source = promotion::content(from, table, |rows| step.update(&verifying, rows, 0)).await?;
    let target =
        promotion::content(to, table, |rows| step.update(&verifying, rows, source.rows)).await?;
    Ok((source != target).then(|| match source.rows == target.rows {
        true => format!("{name} has different content"),
        false => format!("{name} has {} rows instead of {}", target.rows, source.rows),
    }))
}
