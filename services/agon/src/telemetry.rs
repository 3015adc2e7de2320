//! What this process tells of itself: its traces.

use std::time::Duration;

use runtime::telemetry::{Config, Identity, Telemetry};

use crate::failure::Failure;

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
