//! The services' databases: open, migrate and close them together.

use std::path::Path;

use db::{Db, Migrations, Options};
use futures_util::future::join_all;
use ids::Clock;
use service::Descriptor;

use crate::config::Config;
use crate::failure::Failure;
use crate::server::roles::Role;
use crate::services;

/// The databases of this process's services.
#[derive(Clone)]
pub struct Databases(Vec<(Db, &'static Migrations)>);

impl Databases {
    /// Opens the databases of the configured roles.
    pub async fn open(config: &Config, data: &Path, clock: &Clock) -> Result<Self, Failure> {
        let mut databases = Vec::new();
        for descriptor in descriptors(config) {
            databases.push((open(config, data, clock, descriptor).await?, &descriptor.migrations));
        }
        Ok(Self(databases))
    }

    /// Applies pending migrations. Returns their number.
    pub async fn migrate(&self) -> Result<usize, Failure> {
        let mut count = 0;
        for (db, migrations) in self.each() {
            let applied = db.migrate(migrations).await;
            count += applied.map_err(|error| database_failure(db.service(), &error))?;
        }
        Ok(count)
    }

    /// Fails if an `agon promote` to these databases did not finish.
    pub async fn refuse_unfinished_promotion(&self) -> Result<(), Failure> {
        for (db, _) in &self.0 {
            let unfinished = db::promotion::is_unfinished(db).await;
            if unfinished.map_err(|error| database_failure(db.service(), &error))? {
                return Err(Failure::config(
                    "database.url: a previous `agon promote` did not finish; run it again with the same arguments to \
                     resume",
                ));
            }
        }
        Ok(())
    }

    pub fn each(&self) -> impl Iterator<Item = (&Db, &'static Migrations)> {
        self.0.iter().map(|(db, migrations)| (db, *migrations))
    }

    /// The database of a service; `None` if this process does not run it.
    pub fn find(&self, service: &str) -> Option<Db> {
        self.0.iter().map(|(db, _)| db).find(|db| db.service() == service).cloned()
    }

    /// The database of a service.
    ///
    /// # Panics
    /// If this process does not run the service.
    pub fn of(&self, service: &str) -> Db {
        self.find(service).expect("this process runs the service")
    }

    /// Closes all databases. Committed data is on disk.
    pub async fn close(&self) {
        join_all(self.0.iter().map(|(db, _)| db.close())).await;
    }
}

/// The services of the configured roles.
pub fn descriptors(config: &Config) -> impl Iterator<Item = &'static Descriptor> {
    services::ALL.iter().filter(|descriptor| config.roles.contains(Role::of(descriptor)))
}

/// Opens the database of a service. Creates a missing SQLite file.
pub async fn open(
    config: &Config,
    data: &Path,
    clock: &Clock,
    descriptor: &Descriptor,
) -> Result<Db, Failure> {
    let service = descriptor.name;
    let url = config.database_url(data, service);
    let mut options = Options::new(url, service).clock(clock.clone());
    options.relayed = config.events.is_kafka();
    options.schema = Some(format!("{}{service}", config.database.schema_prefix));
    if config.database.read_connections > 0 {
        options.read_connections = config.database.read_connections;
    }
    options.write_connections = config.database.write_connections;
    Db::open(&options).await.map_err(|error| database_failure(service, &error))
}

/// Whether the database of a service is in a file that does not exist.
pub fn is_missing(config: &Config, service: &str) -> bool {
    let url = config.database_url(&config.data, service);
    url.strip_prefix("sqlite:").is_some_and(|path| !Path::new(path).is_file())
}

/// Fails if the data directory lacks a database file.
pub fn require_files(data: &Path) -> Result<(), Failure> {
    let mut files = services::ALL.iter().map(|service| data.join(format!("{}.db", service.name)));
    match files.find(|path| !path.is_file()) {
        None => Ok(()),
        Some(path) => Err(Failure::usage(format!(
            "--data: {} is not the data directory of an installation: {} is missing",
            data.display(),
            path.display()
        ))),
    }
}

pub fn database_failure(service: &str, error: &db::Error) -> Failure {
    let text = format!("the database of {service}: {error}");
    match error {
        db::Error::Full(_) => Failure::storage(format!("{text}; free some space and try again")),
        db::Error::Unavailable(_) => Failure::unavailable(format!("database.url: {text}")),
        db::Error::Timeout(_) => Failure::unavailable(text),
        db::Error::Config(_) => Failure::config(format!("database: {error} (for {service})")),
        db::Error::Migration(_) => Failure::config(text),
        _ => Failure::storage(text),
    }
}
