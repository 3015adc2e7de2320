//! The list of services. Roles, databases, keys, topics, peers, migrations and configuration sections derive from it.

use rpc::Services;
use serde::{Deserialize, Serialize};
use service::{Descriptor, OpenError, Service};

use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;

/// Makes the types that hold one value per service.
macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $service:ty,)*) => {
        /// Every service. Auth is the first, because the others need its accounts.
        pub static ALL: &[Descriptor] = &[$(<$service as Service>::DESCRIPTOR),*];

        /// The configuration of the services, one section each.
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        pub struct Sections {
            $($(#[$doc])* pub $name: <$service as Service>::Config,)*
        }

        /// The services that this process runs.
        #[derive(Default)]
        pub struct Running {
            $(pub $name: Option<$service>,)*
        }

        impl Running {
            pub async fn open(base: &Base) -> Result<Self, Failure> {
                let mut running = Self::default();
                $(running.$name = open(base, &base.config.services.$name).await?;)*
                Ok(running)
            }

            pub fn routes(&self) -> Services {
                let mut routes = Services::new();
                $(if let Some(service) = &self.$name {
                    routes = routes.merge(service.routes());
                })*
                routes
            }

            /// Starts their consumers and periodic work.
            pub fn start(&self, base: &Base, bus: &bus::Bus) -> Result<(), Failure> {
                $(if let Some(service) = &self.$name {
                    start(service, base, bus)?;
                })*
                Ok(())
            }
        }

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

services! {
    /// Accounts and sessions.
    auth: auth::Auth,
    /// Problems and their packages.
    problem: problem::Problems,
    /// Submissions.
    challenge: challenge::Challenge,
    /// Judging.
    judge: judge::Judge,
}

/// Opens a service if this process runs it.
async fn open<S: Service>(base: &Base, config: &S::Config) -> Result<Option<S>, Failure> {
    if !base.runs(Role::of(&S::DESCRIPTOR)) {
        return Ok(None);
    }
    let opened = S::open(config.clone(), base.context(&S::DESCRIPTOR)?).await;
    opened.map(Some).map_err(|error| failure(S::DESCRIPTOR.name, error))
}

fn start<S: Service>(service: &S, base: &Base, bus: &bus::Bus) -> Result<(), Failure> {
    let name = S::DESCRIPTOR.name;
    service::purge_requests(&base.tasks, &base.databases.of(name));
    service.start(&base.tasks, bus).map_err(|error| failure(name, error))
}

pub(crate) fn failure(name: &str, error: OpenError) -> Failure {
    match error {
        OpenError::Config(text) => Failure::config(text),
        OpenError::Unavailable(text) => Failure::unavailable(text),
        OpenError::Storage(text) => Failure::storage(format!("{name}: {text}")),
        OpenError::Internal(text) => Failure::new(format!("{name}: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn descriptors_fit_together() {
        let names: Vec<_> = ALL.iter().map(|service| service.name).collect();
        assert_eq!(names, NAMES, "a section has the name of its service");
        assert_eq!(names[0], "auth");
        let mut topics = BTreeSet::new();
        for service in ALL {
            assert_eq!(service.migrations.service, service.name);
            for topic in service.publishes {
                assert_eq!(topic.producer, service.name, "{}", topic.name);
                assert!(topics.insert(topic.name), "{} has two producers", topic.name);
            }
        }
        for service in ALL {
            let calls = service.calls.iter().filter(|call| !names.contains(call));
            assert_eq!(calls.count(), 0, "{} calls an unknown service", service.name);
            let consumed = service.consumes.iter().flat_map(|consumes| consumes.topics);
            for topic in consumed {
                assert!(topics.contains(topic), "{} consumes unknown {topic}", service.name);
            }
        }
    }
}
