//! Access rules of RPCs, read from the protos.
//!
//! prost-types drops custom options. The encoded descriptor set is therefore decoded with messages
//! that contain only the fields on the path to `(agon.options.v1.access)`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use prost::Message;
use proto::agon::options::v1::{Access, Level, RateClass};

#[derive(Message)]
struct Set {
    #[prost(message, repeated, tag = "1")]
    file: Vec<File>,
}

#[derive(Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "6")]
    service: Vec<Service>,
}

#[derive(Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    method: Vec<Method>,
}

#[derive(Message)]
struct Method {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "4")]
    options: Option<Options>,
    #[prost(bool, tag = "5")]
    client_streaming: bool,
    #[prost(bool, tag = "6")]
    server_streaming: bool,
}

#[derive(Message)]
struct Options {
    /// `google.protobuf.MethodOptions.IdempotencyLevel`.
    #[prost(int32, optional, tag = "34")]
    idempotency_level: Option<i32>,
    #[prost(message, optional, tag = "50001")]
    access: Option<Access>,
}

/// The idempotency level of reads.
const NO_SIDE_EFFECTS: i32 = 1;

/// The access rule of an RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub level: Level,
    /// The permission that [`Level::Permission`] requires; empty for other levels.
    pub permission: String,
    pub rate_class: RateClass,
    /// The client or the server streams.
    pub streaming: bool,
    /// It has no side effects.
    pub read: bool,
}

impl Rule {
    /// Whether the call needs a confirmation that the token is not revoked, also while the auth
    /// service does not answer.
    pub fn is_privileged(&self) -> bool {
        !self.read || self.level == Level::Permission
    }
}

/// The access rules of all RPCs, by request path.
#[derive(Clone, Debug)]
pub struct Policy(Arc<HashMap<String, Rule>>);

/// An error in the protos, detected at start.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("cannot decode the descriptor set: {0}")]
    Encoding(#[from] prost::DecodeError),
    #[error("{0}: missing option (agon.options.v1.access)")]
    Missing(String),
    #[error("{rpc}: invalid option (agon.options.v1.access): {what}")]
    Invalid { rpc: String, what: &'static str },
}

impl Policy {
    /// Reads the rules of every RPC in an encoded `FileDescriptorSet`, except those of gRPC health
    /// and reflection.
    pub fn from_descriptor_set(encoded: &[u8]) -> Result<Self, PolicyError> {
        let mut rules = HashMap::new();
        for file in Set::decode(encoded)?.file {
            if file.package.starts_with("grpc.") {
                continue;
            }
            for service in file.service {
                for method in service.method {
                    let path = format!("/{}.{}/{}", file.package, service.name, method.name);
                    let streaming = method.client_streaming || method.server_streaming;
                    let options = method.options.unwrap_or_default();
                    let read = options.idempotency_level == Some(NO_SIDE_EFFECTS);
                    let access = options.access;
                    let rule = Rule { read, ..rule(&path, access, streaming)? };
                    rules.insert(path, rule);
                }
            }
        }
        Ok(Self(Arc::new(rules)))
    }

    /// The policy of Agon's protos.
    ///
    /// # Panics
    /// When an RPC has no rule; a test of this crate excludes this.
    pub fn of_agon() -> Self {
        Self::from_descriptor_set(proto::DESCRIPTOR_SET).expect("every RPC has a rule")
    }

    /// The rule of the RPC at a request path (`/agon.auth.v1.UserService/GetUser`).
    pub fn find(&self, path: &str) -> Option<&Rule> {
        self.0.get(path)
    }

    /// Whether only services call the RPC at a request path, as a part of other calls.
    pub fn is_internal(path: &str) -> bool {
        static POLICY: LazyLock<Policy> = LazyLock::new(Policy::of_agon);
        POLICY.find(path).is_some_and(|rule| rule.rate_class == RateClass::Internal)
    }

    /// Every request path with its rule, in no particular order.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.0.iter().map(|(path, rule)| (path.as_str(), rule))
    }
}

fn rule(path: &str, access: Option<Access>, streaming: bool) -> Result<Rule, PolicyError> {
    let rpc = path[1..].to_owned();
    let Some(access) = access else { return Err(PolicyError::Missing(rpc)) };
    let (level, rate_class) = (access.level(), access.rate_class());
    let invalid = |what| Err(PolicyError::Invalid { rpc, what });
    match level {
        Level::Unspecified => return invalid("level is missing"),
        Level::Permission if access.permission.split('.').count() != 3 => {
            return invalid("permission must be area.resource.verb");
        }
        Level::Permission => {}
        _ if !access.permission.is_empty() => {
            return invalid("permission is allowed only with LEVEL_PERMISSION");
        }
        _ => {}
    }
    Ok(Rule { level, permission: access.permission, rate_class, streaming, read: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles;

    #[test]
    fn every_rpc_has_a_valid_rule() {
        let policy = Policy::of_agon();
        let validate = policy.find("/agon.auth.v1.TokenService/ValidateToken").unwrap();
        assert_eq!(validate.level, Level::Service);
        assert_eq!(validate.rate_class, RateClass::Internal);
        assert!(Policy::is_internal("/agon.auth.v1.TokenService/ValidateToken"));
        let bind = policy.find("/agon.auth.v1.AccessService/CreateRoleBinding").unwrap();
        assert_eq!(bind.permission, "auth.binding.create");
        assert!(!bind.streaming && bind.is_privileged());
        assert!(policy.find("/agon.event.v1.EventService/Subscribe").unwrap().streaming);
        for (path, rule) in policy.rules() {
            let known = rule.permission.is_empty() || roles::exists(&rule.permission);
            assert!(known, "{path}: no role grants {}", rule.permission);
        }
    }

    fn set_with(access: Option<Access>) -> Vec<u8> {
        let options = Some(Options { access, ..Options::default() });
        let method = Method { name: "Do".into(), options, ..Method::default() };
        let service = Service { name: "S".into(), method: vec![method] };
        let file = File { package: "p".into(), service: vec![service] };
        Set { file: vec![file] }.encode_to_vec()
    }

    #[test]
    fn missing_and_invalid_rules_are_refused() {
        let read = |access| Policy::from_descriptor_set(&set_with(access));
        assert!(matches!(read(None), Err(PolicyError::Missing(rpc)) if rpc == "p.S/Do"));
        let access = |level: Level, permission: &str| Access {
            level: level.into(),
            permission: permission.into(),
            rate_class: 0,
        };
        assert!(read(Some(access(Level::Unspecified, ""))).is_err());
        assert!(read(Some(access(Level::Permission, ""))).is_err());
        assert!(read(Some(access(Level::Permission, "a.b"))).is_err());
        assert!(read(Some(access(Level::User, "a.b.c"))).is_err());
        assert!(read(Some(access(Level::Permission, "a.b.c"))).is_ok());
        assert!(Policy::from_descriptor_set(b"\xff\xff").is_err());
    }
}
