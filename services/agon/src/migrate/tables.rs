//! The services' tables, one after another.

use db::Db;
use db::promotion::{self, Begun, Mark, Table};
use ids::Uuid;

use super::step::Step;
use crate::failure::Failure;
use crate::server::databases::{Databases, failure};

/// The name of the step behind the last table.
const VERIFIED: &str = "tables verified";
/// What the publishing of events, a later step, changes in the target.
const CHANGED: [&str; 3] = ["inbox", "leases", "outbox"];

/// Takes the target for this source.
///
/// # Errors
/// When anything else is in it.
pub async fn begin(target: &Databases, source: Uuid) -> Result<Vec<Begun>, Failure> {
    let mut begun = Vec::new();
    for (db, _) in target.each() {
        let service = db.service();
        let found = promotion::begin(db, source).await;
        begun.push(found.map_err(|error| match error {
            db::Error::Config(text) => Failure::config(format!(
                "--to: the schema of {service} cannot be used: {text}; give an empty database, or another \
                 database.schema_prefix"
            )),
            error => failure(service, &error),
        })?);
    }
    Ok(begun)
}

/// Lists are sorted by the database: in the order of the code points, as the SQLite files do it.
pub async fn check_order(target: &Databases) -> Result<(), Failure> {
    for (db, _) in target.each() {
        let sorted = db.query("SELECT 'Z' < 'a'").fetch_scalar::<bool>().await;
        if !sorted.map_err(|error| failure(db.service(), &error))? {
            return Err(Failure::config(
                "--to: the database sorts texts by the rules of a language; make it with CREATE DATABASE … TEMPLATE \
                 template0 LOCALE 'C.UTF-8'",
            ));
        }
    }
    Ok(())
}

/// Copies the tables of all services, but for those `apart`, and compares both sides.
pub async fn copy(source: &Databases, target: &Databases, apart: &[&str]) -> Result<(), Failure> {
    for ((from, _), (to, _)) in source.each().zip(target.each()) {
        service(from, to, apart).await.map_err(|error| match error {
            Stopped::Db(error) => failure(from.service(), &error),
            Stopped::Differs(text) => Failure::new(text),
        })?;
    }
    Ok(())
}

enum Stopped {
    Db(db::Error),
    Differs(String),
}

impl From<db::Error> for Stopped {
    fn from(error: db::Error) -> Self {
        Self::Db(error)
    }
}

async fn service(from: &Db, to: &Db, apart: &[&str]) -> Result<(), Stopped> {
    let tables = promotion::tables(from, to, apart).await?;
    // Once they were the same, the source must still be what it was then: nobody may have served from it meanwhile.
    let verified = promotion::marked(to, VERIFIED).await?.done;
    let mut differing = Vec::new();
    for table in tables.iter().filter(|table| !(verified && CHANGED.contains(&table.name.as_str())))
    {
        let name = format!("{}.{}", from.service(), table.name);
        let mut pace = Step::start(&name);
        let mut copied = None;
        if !verified {
            let seen = |rows| pace.seen(&name, rows, 0);
            copied = match promotion::copy(from, to, table, seen).await {
                Ok(rows) => Some(rows),
                // It leans on rows that a table lacks which was copied before.
                Err(db::Error::Constraint(why) | db::Error::Conflict(why)) => {
                    differing.push(format!("{name} cannot be copied: {why}"));
                    break;
                }
                Err(error) => return Err(error.into()),
            };
        }
        differing.extend(compare(from, to, table, &name, &mut pace).await?);
        if let Some(rows) = copied {
            pace.done(&name, rows, "rows");
        }
    }
    if !differing.is_empty() {
        return Err(Stopped::Differs(format!(
            "the target differs from the data directory: {}. Somebody changed one of them since the promotion began: \
             drop the target's schemas and begin again",
            differing.join("; ")
        )));
    }
    if verified {
        print_line!("{:32} there, and verified again", from.service());
        return Ok(());
    }
    promotion::raise_sequences(from, to, &tables).await?;
    let done = Mark { done: true, ..Mark::default() };
    to.transact(|mut tx| async move { promotion::mark(&mut tx, VERIFIED, done).await }).await?;
    Ok(())
}

/// How both sides of a table differ, should they do so.
async fn compare(
    from: &Db,
    to: &Db,
    table: &Table,
    name: &str,
    pace: &mut Step,
) -> db::Result<Option<String>> {
    let verifying = format!("verifying {name}");
    let ours = promotion::content(from, table, |seen| pace.seen(&verifying, seen, 0)).await?;
    let theirs =
        promotion::content(to, table, |seen| pace.seen(&verifying, seen, ours.rows)).await?;
    Ok((ours != theirs).then(|| match ours.rows == theirs.rows {
        true => format!("{name} has other content"),
        false => format!("{name} has {} rows instead of {}", theirs.rows, ours.rows),
    }))
}
