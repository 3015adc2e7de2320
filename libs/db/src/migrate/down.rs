//! Reverts migrations, the newest first, in one transaction.

use futures_util::future::BoxFuture;

use super::{APPLIED, Applied, EVERY, EXISTS, Migration, Migrations, lock, pending};
use crate::{Db, Engine, Error, Result, Tx};

/// The migrations to revert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of the service.
    Service,
    /// Those of the tables that all services have.
    Every,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `NNNN` of the file name.
    pub number: i64,
    /// The file name without `.sql`.
    pub name: &'static str,
    /// The lines of the down script, without comments.
    pub lines: Vec<&'static str>,
}

impl Db {
    /// The migrations that [`Db::migrate_down`] would revert, the newest first; without `to`, only the newest.
    pub fn migrations_to_undo<'a>(
        &'a self,
        migrations: &'a Migrations,
        scope: Scope,
        to: Option<i64>,
    ) -> BoxFuture<'a, Result<Vec<Step>>> {
        Box::pin(async move {
            let files = to_undo(self.engine(), migrations, &self.applied().await?, scope, to)?;
            files.into_iter().map(|file| step(file, self.engine())).collect()
        })
    }

    /// Reverts the migrations above number `to` (0: all), under the lock of [`Db::migrate`], and returns their number.
    /// The data in their tables is lost. Fails when the database has an unknown migration, and with [`Error::Busy`]
    /// when a table stays locked for 5 seconds (PostgreSQL).
    pub fn migrate_down<'a>(
        &'a self,
        migrations: &'a Migrations,
        scope: Scope,
        to: i64,
    ) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let count = undo(&mut tx, migrations, scope, to).await;
            tx.finish(count).await
        })
    }
}

async fn undo(tx: &mut Tx, migrations: &Migrations, scope: Scope, to: i64) -> Result<usize> {
    let (engine, set) = (tx.engine(), set(migrations, scope));
    lock(tx).await?;
    if engine == Engine::Postgres {
        tx.script("SET LOCAL lock_timeout = '5s'".into()).await?;
    }
    let applied: Vec<Applied> = match tx.query(EXISTS).fetch_scalar().await? {
        true => tx.query(APPLIED).fetch_all().await?,
        false => Vec::new(),
    };
    let files = to_undo(engine, migrations, &applied, scope, Some(to))?;
    let count = files.len();
    for file in files {
        tracing::info!(scope = set.service, migration = file.name, "reverting migration");
        let failed = |error: Error| match error {
            Error::Busy(text) => Error::Busy(text),
            error => Error::Migration(format!(
                "reverting migration {}/{} failed: {error}",
                set.service, file.name
            )),
        };
        tx.script(down(file, engine)?.into()).await.map_err(failed)?;
        tx.query("DELETE FROM schema_migrations WHERE scope = $1 AND number = $2")
            .bind_all((set.service, file.number))
            .execute()
            .await?;
    }
    Ok(count)
}

fn set(migrations: &Migrations, scope: Scope) -> &Migrations {
    match scope {
        Scope::Service => migrations,
        Scope::Every => &EVERY,
    }
}

fn to_undo<'m>(
    engine: Engine,
    migrations: &'m Migrations,
    applied: &[Applied],
    scope: Scope,
    to: Option<i64>,
) -> Result<Vec<&'m Migration>> {
    // Fails for unknown or changed migrations.
    pending(engine, migrations, applied)?;
    let set = set(migrations, scope);
    let count = applied.iter().filter(|row| row.scope == set.service).count();
    let last = set.files[..count].last().map_or(0, |file| file.number);
    let to = to.unwrap_or((last - 1).max(0));
    if to < 0 || to > last {
        return Err(Error::Migration(format!(
            "cannot revert {} to migration {to}: must be 0 to {last}",
            set.service
        )));
    }
    Ok(set.files[..count].iter().rev().take_while(|file| file.number > to).collect())
}

fn down(file: &Migration, engine: Engine) -> Result<&'static str> {
    let text = file.down.as_ref().map(|text| text.of(engine));
    text.ok_or_else(|| Error::Migration(format!("migration {} has no down script", file.name)))
}

fn step(file: &Migration, engine: Engine) -> Result<Step> {
    let lines = down(file, engine)?.lines().map(str::trim);
    let statements = lines.filter(|line| !line.is_empty() && !line.starts_with("--"));
    Ok(Step { number: file.number, name: file.name, lines: statements.collect() })
}
