//! Logs and traces of this process, and metrics that are sampled periodically.

use std::path::Path;
use std::time::Duration;

use db::Db;
use runtime::Tasks;
use runtime::logs;
use runtime::telemetry::{Identity, Telemetry};
use tokio::time::MissedTickBehavior;

use crate::config::Config;
use crate::failure::Failure;
use crate::server::databases::Databases;
use crate::server::roles::Role;

const SAMPLE_INTERVAL: Duration = Duration::from_secs(15);

/// Maximum time to flush the last spans.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The exporter of spans, if one is configured.
pub struct Traces(Option<Telemetry>);

impl Traces {
    /// Starts to log and, if a collector is configured, to export spans.
    pub fn start(config: &Config) -> Result<Self, Failure> {
        let roles: Vec<_> = config.roles.iter().map(Role::name).collect();
        let all = roles.len() == Role::all().count();
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

    pub async fn close(self, grace: Duration) {
        if let Some(telemetry) = self.0 {
            telemetry.close(grace.min(FLUSH_TIMEOUT)).await;
        }
    }
}

/// Starts to sample components, databases and disk space.
pub fn sample(databases: &Databases, data: &Path, tasks: &Tasks) {
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("component metrics", tasks.readiness().clone().measure(shutdown.clone()));
    let data = data.to_owned();
    let databases: Vec<Db> = databases.each().map(|(db, _)| db.clone()).collect();
    let work = async move {
        let mut tick = tokio::time::interval(SAMPLE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.unless_begun(tick.tick()).await.is_some() {
            for db in &databases {
                // An unavailable database can take long to time out.
                shutdown.unless_begun(db.measure()).await;
            }
            disk(&data);
        }
    };
    tasks.spawn("database metrics", work);
}

/// Records the free space of the data directory's file system.
#[expect(clippy::cast_precision_loss, reason = "gauges")]
fn disk(data: &Path) {
    if let Ok(found) = rustix::fs::statvfs(data) {
        metrics::gauge!("agon_disk_free_bytes").set((found.f_bavail * found.f_frsize) as f64);
        metrics::gauge!("agon_disk_size_bytes").set((found.f_blocks * found.f_frsize) as f64);
    }
}

/// The `service.name` of traces.
fn service(roles: &[&str]) -> String {
    match roles {
        [] => "agon".to_owned(),
        roles => format!("agon-{}", roles.join("-")),
    }
}

/// The `service.instance.id` of traces.
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
