//! The health and reflection services of every server.

use tonic_health::ServingStatus;
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH_SET;
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::Builder;

use crate::services::Services;

/// Sets the status of the health service, for the whole server (`""`) and each service.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    names: Vec<&'static str>,
}

impl Health {
    /// Adds the health service to `services`. Its status is NOT_SERVING until [`Health::serving`].
    pub fn register(services: Services) -> (Self, Services) {
        let (reporter, server) = health_reporter();
        let names = services.names().to_vec();
        (Self { reporter, names }, services.add(server))
    }

    /// Sets SERVING: the server is ready for calls.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Sets NOT_SERVING: the server is shutting down or unavailable.
    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        for name in self.names.iter().copied().chain([""]) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Descriptor sets of the services that this crate adds, and of error details, which `grpcurl` needs
/// to print errors.
pub(crate) const OWN_SETS: [&[u8]; 4] = [
    HEALTH_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    tonic_types::pb::FILE_DESCRIPTOR_SET,
];

/// Adds reflection v1 and v1alpha. It describes the whole descriptor set, including event messages
/// and error details, and lists the services of this set.
pub(crate) fn add_reflection(services: Services, descriptor_set: &[u8]) -> Services {
    let builder = || {
        let mut builder = Builder::configure().register_encoded_file_descriptor_set(descriptor_set);
        for set in OWN_SETS {
            builder = builder.register_encoded_file_descriptor_set(set);
        }
        let own =
            ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
        for name in services.names().iter().copied().chain(own) {
            builder = builder.with_service_name(name);
        }
        builder
    };
    let v1 = builder().build_v1().expect("the build generated valid descriptor sets");
    let v1alpha = builder().build_v1alpha().expect("the build generated valid descriptor sets");
    services.add(v1).add(v1alpha)
}
