//! The RPCs of a descriptor set.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorSet, MethodDescriptorProto, MethodOptions};

use crate::observe::Meters;

/// One RPC, with its metrics.
#[derive(Debug)]
pub struct Method {
    /// `agon.auth.v1.UserService/GetUser`; `unknown` for every other path, so that clients cannot
    /// create metric labels.
    pub name: &'static str,
    /// The client or the server streams; such a call has no default deadline.
    pub streaming: bool,
    /// The client streams.
    pub(crate) client_streaming: bool,
    /// Health checks and reflection: never shed, not traced, logged at debug level.
    pub plumbing: bool,
    /// `idempotency_level` in the proto says that the call may be repeated.
    pub safe: bool,
    /// See [`crate::Stack::internal`].
    internal: AtomicBool,
    pub(crate) meters: Meters,
    pub(crate) client_meters: Meters,
}

#[derive(Clone, Copy)]
enum Kind {
    Unary,
    ServerStreaming,
    /// Also of methods in which both sides stream.
    ClientStreaming,
}

impl From<&MethodDescriptorProto> for Kind {
    fn from(method: &MethodDescriptorProto) -> Self {
        match (method.client_streaming(), method.server_streaming()) {
            (true, _) => Self::ClientStreaming,
            (false, true) => Self::ServerStreaming,
            (false, false) => Self::Unary,
        }
    }
}

static UNKNOWN: Method = Method::new("unknown", Kind::Unary, false, false);

impl Method {
    const fn new(name: &'static str, kind: Kind, plumbing: bool, safe: bool) -> Self {
        let meters = Meters::server();
        let client_meters = Meters::client();
        let streaming = !matches!(kind, Kind::Unary);
        let client_streaming = matches!(kind, Kind::ClientStreaming);
        let internal = AtomicBool::new(false);
        Self { name, streaming, client_streaming, plumbing, safe, internal, meters, client_meters }
    }

    /// Services call it as a part of other calls.
    pub(crate) fn internal(&self) -> bool {
        self.internal.load(Ordering::Relaxed)
    }

    /// Whether the RPC is known to be unary.
    pub(crate) fn unary(&'static self) -> bool {
        !self.streaming && self.known()
    }

    pub(crate) fn known(&'static self) -> bool {
        !std::ptr::eq(self, &raw const UNKNOWN)
    }

    /// `agon.auth.v1.UserService`
    pub(crate) fn service(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(service, _)| service)
    }

    /// `GetUser`
    pub(crate) fn rpc(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(_, rpc)| rpc)
    }
}

/// The RPCs by request path.
#[derive(Clone, Debug, Default)]
pub struct Methods(Arc<HashMap<String, &'static Method>>);

impl Methods {
    /// Panics if a descriptor set does not decode: the build generated it.
    pub fn new(descriptor_sets: &[&[u8]]) -> Self {
        let mut methods = HashMap::new();
        for encoded in descriptor_sets {
            let set = FileDescriptorSet::decode(*encoded)
                .expect("the build generated a valid descriptor set");
            for file in &set.file {
                for service in &file.service {
                    for method in &service.method {
                        let path =
                            format!("/{}.{}/{}", file.package(), service.name(), method.name());
                        let plumbing = file.package().starts_with("grpc.");
                        // Leaked once per process: spans and metrics need a static name.
                        let name: &'static str = path[1..].to_owned().leak();
                        let safe = safe(method);
                        let method = Method::new(name, method.into(), plumbing, safe);
                        methods.insert(path, &*Box::leak(Box::new(method)));
                    }
                }
            }
        }
        Self(Arc::new(methods))
    }

    pub(crate) fn mark_internal(&self, is_internal: impl Fn(&str) -> bool) {
        for (path, method) in &*self.0 {
            method.internal.store(is_internal(path), Ordering::Relaxed);
        }
    }

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
    fn unknown_paths_share_one_method() {
        let methods = Methods::new(&[tonic_health::pb::FILE_DESCRIPTOR_SET]);
        let watch = methods.find("/grpc.health.v1.Health/Watch");
        assert_eq!(watch.name, "grpc.health.v1.Health/Watch");
        assert_eq!((watch.service(), watch.rpc()), ("grpc.health.v1.Health", "Watch"));
        assert!(watch.streaming && watch.plumbing);
        assert!(!methods.find("/grpc.health.v1.Health/Check").streaming);
        assert_eq!(methods.find("/made/Up").name, "unknown");
        assert!(!methods.find("/made/Up").unary());
    }

    #[test]
    fn internal_methods_are_marked_by_path() {
        let methods = Methods::new(&[tonic_health::pb::FILE_DESCRIPTOR_SET]);
        methods.mark_internal(|path| path.ends_with("/Check"));
        assert!(methods.find("/grpc.health.v1.Health/Check").internal());
        assert!(!methods.find("/grpc.health.v1.Health/Watch").internal());
    }

    #[test]
    fn idempotency_level_marks_safe_methods() {
        let methods = Methods::new(&[proto::DESCRIPTOR_SET]);
        assert!(methods.find("/agon.problem.v1.ImportService/GetProblemImport").safe);
        assert!(methods.find("/agon.auth.v1.TokenService/ValidateToken").safe);
        assert!(!methods.find("/agon.challenge.v1.SubmissionService/CreateSubmission").safe);
    }
}
