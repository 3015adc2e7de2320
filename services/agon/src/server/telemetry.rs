//! What this process tells of itself: its traces, and what has to be looked at to be measured.

use std::path::Path;
use std::time::Duration;

use db::Db;
use runtime::Tasks;
use runtime::telemetry::{Config, Identity, Telemetry};
use tokio::time::MissedTickBehavior;

use crate::failure::Failure;
use crate::server::databases::Databases;

/// How often the databases are measured.
const DATABASES: Duration = Duration::from_secs(15);

/// The longest that the last spans are waited for.
const FAREWELL: Duration = Duration::from_secs(5);

/// The way of this process's spans, if there is one.
pub struct Traces(Option<Telemetry>);

impl Traces {
    /// Records spans from now on, where the configuration names a collector. `roles` are those of
    /// this process; none means all of them.
    pub fn start(config: &Config, roles: &[&str]) -> Result<Self, Failure> {
        let identity = Identity {
            service: service(roles),
            version: crate::VERSION.version.to_owned(),
            instance: instance(),
        };
        let telemetry = Telemetry::open(config, &identity)
            .map_err(|error| Failure::config(format!("telemetry.{error}")))?;
        if let Some(telemetry) = &telemetry {
            rpc::span::record_with(telemetry.tracer());
        }
        Ok(Self(telemetry))
    }

    /// Sends the last ones.
    pub async fn close(self, grace: Duration) {
        if let Some(telemetry) = self.0 {
            telemetry.close(grace.min(FAREWELL)).await;
        }
    }
}

/// Starts measuring what has no moment of its own.
pub fn measure(databases: &Databases, data: &Path, tasks: &Tasks) {
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("component metrics", tasks.readiness().clone().measure(shutdown.clone()));
    let data = data.to_owned();
    let databases: Vec<Db> = databases.each().map(|(db, _)| db.clone()).collect();
    let work = async move {
        let mut tick = tokio::time::interval(DATABASES);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.unless_begun(tick.tick()).await.is_some() {
            for db in &databases {
                // A database may be away, and takes its time to say so.
                shutdown.unless_begun(db.measure()).await;
            }
            disk(&data);
        }
    };
    tasks.spawn("database metrics", work);
}

/// How much room the data directory's file system has.
#[expect(clippy::cast_precision_loss, reason = "gauges")]
fn disk(data: &Path) {
    if let Ok(found) = rustix::fs::statvfs(data) {
        metrics::gauge!("agon_disk_free_bytes").set((found.f_bavail * found.f_frsize) as f64);
        metrics::gauge!("agon_disk_size_bytes").set((found.f_blocks * found.f_frsize) as f64);
    }
}

/// One service per kind of process: those are what people look for.
fn service(roles: &[&str]) -> String {
    match roles {
        [] => "agon".to_owned(),
        roles => format!("agon-{}", roles.join("-")),
    }
}

/// This process among those of its kind.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_after_its_roles() {
        assert_eq!(service(&[]), "agon");
        assert_eq!(service(&["gateway"]), "agon-gateway");
        assert_eq!(service(&["auth", "problem"]), "agon-auth-problem");
    }
}
