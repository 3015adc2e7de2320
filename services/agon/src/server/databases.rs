//! The services' databases: opened and brought up to date together.

use std::path::Path;

use db::{Db, Migrations, Options};
use futures_util::future::join_all;
use ids::Clock;

use crate::config::Config;
use crate::failure::Failure;

/// Every service that keeps data, with its migrations.
pub const ALL: [&Migrations; 4] =
    [&auth::MIGRATIONS, &problem::MIGRATIONS, &judge::MIGRATIONS, &challenge::MIGRATIONS];

/// One database per service of this process.
#[derive(Clone)]
pub struct Databases(Vec<(Db, &'static Migrations)>);

impl Databases {
    /// Opens those of the configured roles.
    pub async fn open(config: &Config, data: &Path, clock: &Clock) -> Result<Self, Failure> {
        let mut databases = Vec::new();
        for migrations in ALL {
            let service = migrations.service;
            if !config.roles.iter().any(|role| role.name() == service) {
                continue;
            }
            let url = config.database_url(data, service);
            let mut options = Options::new(url, service).clock(clock.clone());
            options.relayed = config.events.is_kafka();
            options.schema = Some(format!("{}{service}", config.database.schema_prefix));
            options.read_connections = config.database.read_connections;
            options.write_connections = config.database.write_connections;
            let db = Db::open(&options).await.map_err(|error| failure(service, &error))?;
            databases.push((db, migrations));
        }
        Ok(Self(databases))
    }

    /// Applies what is missing; the number of migrations that were applied.
    pub async fn migrate(&self) -> Result<usize, Failure> {
        let mut count = 0;
        for (db, migrations) in self.each() {
            let applied = db.migrate(migrations).await;
            count += applied.map_err(|error| failure(db.service(), &error))?;
        }
        Ok(count)
    }

    /// Refuses databases that are being filled by `agon promote`.
    pub async fn refuse_half(&self) -> Result<(), Failure> {
        for (db, _) in &self.0 {
            let half = db::promotion::is_unfinished(db).await;
            if half.map_err(|error| failure(db.service(), &error))? {
                return Err(Failure::config(
                    "database.url: half of an installation is there: `agon promote` did not come to its end; run it \
                     again with the same arguments, and it goes on",
                ));
            }
        }
        Ok(())
    }

    /// Each database with its migrations.
    pub fn each(&self) -> impl Iterator<Item = (&Db, &'static Migrations)> {
        self.0.iter().map(|(db, migrations)| (db, *migrations))
    }

    /// The database of one service, if it is in this process.
    pub fn find(&self, service: &str) -> Option<Db> {
        self.0.iter().map(|(db, _)| db).find(|db| db.service() == service).cloned()
    }

    /// The database of one service.
    ///
    /// # Panics
    /// When the service is not in this process.
    pub fn of(&self, service: &str) -> Db {
        self.find(service).expect("a service of this process")
    }

    /// Closes all of them: what was written is on disk.
    pub async fn close(&self) {
        join_all(self.0.iter().map(|(db, _)| db.close())).await;
    }
}

/// Refuses a data directory without the databases of an embedded installation.
pub fn require_files(data: &Path) -> Result<(), Failure> {
    let missing = ALL.map(|migrations| data.join(format!("{}.db", migrations.service)));
    match missing.iter().find(|path| !path.is_file()) {
        None => Ok(()),
        Some(path) => Err(Failure::usage(format!(
            "--data: there is no embedded installation in {}: {} is missing",
            data.display(),
            path.display()
        ))),
    }
}

/// Words a failure for the operator.
pub fn failure(service: &str, error: &db::Error) -> Failure {
    let text = format!("the database of {service}: {error}");
    match error {
        db::Error::Full(_) => Failure::storage(format!("{text}; free some space and start again")),
        db::Error::Unavailable(_) => Failure::unavailable(format!("database.url: {text}")),
        db::Error::Timeout(_) => Failure::unavailable(text),
        db::Error::Config(_) => Failure::config(format!("database: {error} (for {service})")),
        db::Error::Migration(_) => Failure::config(text),
        _ => Failure::storage(text),
    }
}
