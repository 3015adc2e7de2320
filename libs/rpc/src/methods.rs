//! Every RPC that the descriptor set knows.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorSet, MethodDescriptorProto, MethodOptions};

use crate::observe::Meters;

/// One RPC, as the middleware needs to know it.
#[derive(Debug)]
pub struct Method {
    /// `agon.auth.v1.UserService/GetUser`; one fixed name for everything unknown, so that made-up
    /// paths cannot grow logs' and metrics' vocabularies.
    pub name: &'static str,
    /// Either side streams: such a call lasts until its caller ends it.
    pub streaming: bool,
    /// Health checks and reflection: never shed, and logged quietly.
    pub plumbing: bool,
    /// Doing it twice does what doing it once does: `idempotency_level` in the proto says so.
    pub safe: bool,
    pub(crate) meters: Meters,
    pub(crate) client_meters: Meters,
}

static UNKNOWN: Method = Method::new("unknown", false, false, false);

impl Method {
    const fn new(name: &'static str, streaming: bool, plumbing: bool, safe: bool) -> Self {
        let meters = Meters::server();
        let client_meters = Meters::client();
        Self { name, streaming, plumbing, safe, meters, client_meters }
    }

    /// One message each way, for certain.
    pub(crate) fn unary(&'static self) -> bool {
        !self.streaming && self.known()
    }

    /// The descriptor set has it.
    pub(crate) fn known(&'static self) -> bool {
        !std::ptr::eq(self, &raw const UNKNOWN)
    }
}

/// The RPCs by request path.
#[derive(Clone, Debug, Default)]
pub struct Methods(Arc<HashMap<String, &'static Method>>);

impl Methods {
    /// Reads encoded descriptor sets, which the build made and which therefore decode.
    pub fn new(descriptor_sets: &[&[u8]]) -> Self {
        let mut methods = HashMap::new();
        for encoded in descriptor_sets {
            let set = FileDescriptorSet::decode(*encoded).expect("a descriptor set of the build");
            for file in &set.file {
                for service in &file.service {
                    for method in &service.method {
                        let path =
                            format!("/{}.{}/{}", file.package(), service.name(), method.name());
                        let streaming = method.client_streaming() || method.server_streaming();
                        let plumbing = file.package().starts_with("grpc.");
                        // Made once per process, named in every span and metric from then on.
                        let name: &'static str = path[1..].to_owned().leak();
                        let safe = safe(method);
                        let method = Method::new(name, streaming, plumbing, safe);
                        methods.insert(path, &*Box::leak(Box::new(method)));
                    }
                }
            }
        }
        Self(Arc::new(methods))
    }

    /// The RPC at a request path.
    pub fn find(&self, path: &str) -> &'static Method {
        self.0.get(path).copied().unwrap_or(&UNKNOWN)
    }
}

fn safe(method: &MethodDescriptorProto) -> bool {
    use IdempotencyLevel::{Idempotent, NoSideEffects};
    let level = method.options.as_ref().map(MethodOptions::idempotency_level);
    matches!(level, Some(NoSideEffects | Idempotent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_known_methods_only() {
        let methods = Methods::new(&[tonic_health::pb::FILE_DESCRIPTOR_SET]);
        let watch = methods.find("/grpc.health.v1.Health/Watch");
        assert_eq!(watch.name, "grpc.health.v1.Health/Watch");
        assert!(watch.streaming && watch.plumbing);
        assert!(!methods.find("/grpc.health.v1.Health/Check").streaming);
        assert_eq!(methods.find("/made/Up").name, "unknown");
        assert!(!methods.find("/made/Up").unary());
    }

    #[test]
    fn the_protos_say_what_is_safe() {
        let methods = Methods::new(&[proto::DESCRIPTOR_SET]);
        assert!(methods.find("/agon.problem.v1.ImportService/GetProblemImport").safe);
        assert!(methods.find("/agon.auth.v1.TokenService/ValidateToken").safe);
        assert!(!methods.find("/agon.challenge.v1.SubmissionService/CreateSubmission").safe);
    }
}
