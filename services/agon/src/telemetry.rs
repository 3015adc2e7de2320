//! Logs and traces of this process, and metrics that are sampled at intervals.

use std::path::Path;
use std::time::Duration;

use db::Db;
use runtime::Tasks;
use runtime::logs;
use runtime::telemetry::{Identity, Telemetry};
use tokio::time::MissedTickBehavior;

use crate::config::Config;
use crate::databases::Databases;
use crate::failure::Failure;
use crate::roles::Role;

const MEASURE_INTERVAL: Duration = Duration::from_secs(15);

/// The longest wait for the export of the last spans.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The export of this process's spans, if it is configured.
pub struct Traces(Option<Telemetry>);

impl Traces {
    /// Starts logging and, where a collector is configured, the export of spans.
    pub fn start(config: &Config) -> Result<Self, Failure> {
        let roles: Vec<_> = config.roles.iter().map(Role::name).collect();
        let all = roles.len() == Role::ALL.len();
        let identity = Identity {
            service: service(if all { &[] } else { &roles }),
            version: crate::VERSION.version.to_owned(),
            instance: instance(),
        };
        let telemetry = Telemetry::open(&config.telemetry, &identity)
            .map_err(|error| Failure::config(format!("telemetry.{error}")))?;
        logs::install(config.log.format, &config.log.filter, telemetry.as_ref())
            .map_err(|error| Failure::config(format!("log.filter: {error}")))?;
        Ok(Self(telemetry))
    }

    /// Exports the last spans, for at most `grace`.
    pub async fn close(self, grace: Duration) {
        if let Some(telemetry) = self.0 {
            telemetry.close(grace.min(EXPORT_TIMEOUT)).await;
        }
    }
}

/// Starts measuring components, databases and disk space at intervals.
pub fn measure(databases: &Databases, data: &Path, tasks: &Tasks) {
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("component metrics", tasks.readiness().clone().measure(shutdown.clone()));
    let data = data.to_owned();
    let databases: Vec<Db> = databases.each().map(|(db, _)| db.clone()).collect();
    let work = async move {
        let mut tick = tokio::time::interval(MEASURE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.unless_begun(tick.tick()).await.is_some() {
            for db in &databases {
                // A database that is unavailable may take long to fail.
                shutdown.unless_begun(db.measure()).await;
            }
            disk(&data);
        }
    };
    tasks.spawn("database metrics", work);
}

/// Records the size and the free space of the data directory's file system.
#[expect(clippy::cast_precision_loss, reason = "gauges")]
fn disk(data: &Path) {
    if let Ok(found) = rustix::fs::statvfs(data) {
        metrics::gauge!("agon_disk_free_bytes").set((found.f_bavail * found.f_frsize) as f64);
        metrics::gauge!("agon_disk_size_bytes").set((found.f_blocks * found.f_frsize) as f64);
    }
}

/// `service.name`: one per combination of roles. No roles means all of them.
fn service(roles: &[&str]) -> String {
    match roles {
        [] => "agon".to_owned(),
        roles => format!("agon-{}", roles.join("-")),
    }
}

/// `service.instance.id`
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_name_contains_the_roles() {
        assert_eq!(service(&[]), "agon");
        assert_eq!(service(&["gateway"]), "agon-gateway");
        assert_eq!(service(&["auth", "problem"]), "agon-auth-problem");
    }
}
