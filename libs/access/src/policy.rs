//! The access rules, read from the protos.
//!
//! prost-types drops custom options, so the encoded descriptor set is decoded again by messages
//! that know just the fields on the way to `(agon.options.v1.access)`.

use std::collections::HashMap;
use std::sync::Arc;

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
}

#[derive(Message)]
struct Options {
    #[prost(message, optional, tag = "50001")]
    access: Option<Access>,
}

/// Who may call an RPC, and which limit it counts against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who may call.
    pub level: Level,
    /// What [`Level::Permission`] asks for; empty otherwise.
    pub permission: String,
    /// The class of rate limit.
    pub rate_class: RateClass,
}

/// The rule of every RPC.
#[derive(Clone, Debug)]
pub struct Policy(Arc<HashMap<String, Rule>>);

/// Why a descriptor set gives no policy; a fault of the protos, found at start.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not an encoded `FileDescriptorSet`.
    #[error("the descriptor set cannot be read: {0}")]
    Encoding(#[from] prost::DecodeError),
    /// An RPC does not say who may call it.
    #[error("{0} has no access option")]
    Missing(String),
    /// A rule makes no sense.
    #[error("the access option of {rpc} is wrong: {what}")]
    Wrong {
        /// The RPC.
        rpc: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl Policy {
    /// Reads the rules of every RPC of an encoded descriptor set. Health and reflection, whose
    /// protos are not ours, need none.
    pub fn from_descriptor_set(encoded: &[u8]) -> Result<Self, PolicyError> {
        let mut rules = HashMap::new();
        for file in Set::decode(encoded)?.file {
            if file.package.starts_with("grpc.") {
                continue;
            }
            for service in file.service {
                for method in service.method {
                    let path = format!("/{}.{}/{}", file.package, service.name, method.name);
                    let access = method.options.and_then(|options| options.access);
                    let rule = rule(&path, access)?;
                    rules.insert(path, rule);
                }
            }
        }
        Ok(Self(Arc::new(rules)))
    }

    /// The policy of Agon's own protos.
    ///
    /// # Panics
    /// When an RPC lacks its rule, which a test of this crate excludes.
    #[must_use]
    pub fn of_agon() -> Self {
        Self::from_descriptor_set(proto::DESCRIPTOR_SET).expect("every RPC carries its rule")
    }

    /// The rule of the RPC at a request path (`/agon.auth.v1.UserService/GetUser`).
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Rule> {
        self.0.get(path)
    }

    /// Every path with its rule, in no order.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.0.iter().map(|(path, rule)| (path.as_str(), rule))
    }
}

fn rule(path: &str, access: Option<Access>) -> Result<Rule, PolicyError> {
    let rpc = path[1..].to_owned();
    let Some(access) = access else { return Err(PolicyError::Missing(rpc)) };
    let (level, rate_class) = (access.level(), access.rate_class());
    let wrong = |what| Err(PolicyError::Wrong { rpc, what });
    match level {
        Level::Unspecified => return wrong("the level is not said"),
        Level::Permission if access.permission.split('.').count() != 3 => {
            return wrong("a permission is area.resource.verb");
        }
        Level::Permission => {}
        _ if !access.permission.is_empty() => {
            return wrong("a permission belongs to LEVEL_PERMISSION");
        }
        _ => {}
    }
    Ok(Rule { level, permission: access.permission, rate_class })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles;

    #[test]
    fn agons_protos_are_whole() {
        let policy = Policy::of_agon();
        let validate = policy.find("/agon.auth.v1.TokenService/ValidateToken").unwrap();
        assert_eq!(validate.level, Level::Service);
        assert_eq!(validate.rate_class, RateClass::Internal);
        let bind = policy.find("/agon.auth.v1.AccessService/CreateRoleBinding").unwrap();
        assert_eq!(bind.permission, "auth.binding.create");
        for (path, rule) in policy.rules() {
            let known = rule.permission.is_empty() || roles::exists(&rule.permission);
            assert!(known, "{path}: no role holds {}", rule.permission);
        }
    }

    fn set_with(access: Option<Access>) -> Vec<u8> {
        let method = Method { name: "Do".into(), options: Some(Options { access }) };
        let service = Service { name: "S".into(), method: vec![method] };
        let file = File { package: "p".into(), service: vec![service] };
        Set { file: vec![file] }.encode_to_vec()
    }

    #[test]
    fn a_missing_or_senseless_rule_is_refused() {
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
