//! Who a credential speaks for.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::roles::{self, Role};

/// What a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody in particular: a call without a credential.
    Anonymous,
    /// A person with an account.
    User,
    /// A part of Agon.
    Service,
}

/// Who a verified credential speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Person, service or nobody.
    pub kind: Kind,
    /// The user's or the service account's id; nil for nobody.
    pub id: Uuid,
    /// The username, or the service's name.
    pub name: String,
    /// The session; nil for services and nobody.
    pub session_id: Uuid,
    /// Global roles, in order of growing power.
    pub roles: Vec<Role>,
    /// What the roles allow, sorted.
    pub permissions: Vec<&'static str>,
    /// Scopes of the token, sorted.
    pub scopes: Vec<String>,
    /// When the user proved who they are.
    pub auth_time: DateTime<Utc>,
    /// When the credential expires.
    pub expire_time: DateTime<Utc>,
    /// Tokens of a lower epoch than the user's are refused.
    pub auth_epoch: i64,
    /// How the user proved who they are (RFC 8176).
    pub methods: Vec<String>,
}

impl Principal {
    /// Nobody.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            kind: Kind::Anonymous,
            id: Uuid::nil(),
            name: String::new(),
            session_id: Uuid::nil(),
            roles: Vec::new(),
            permissions: Vec::new(),
            scopes: Vec::new(),
            auth_time: DateTime::UNIX_EPOCH,
            expire_time: DateTime::<Utc>::MAX_UTC,
            auth_epoch: 0,
            methods: Vec::new(),
        }
    }

    /// Whether the principal holds a permission everywhere.
    #[must_use]
    pub fn has(&self, permission: &str) -> bool {
        self.permissions.binary_search(&permission).is_ok()
    }

    /// Whether this is a person with an account.
    #[must_use]
    pub fn is_user(&self) -> bool {
        self.kind == Kind::User
    }

    pub(crate) fn permissions_of(kind: Kind, name: &str, roles: &[Role]) -> Vec<&'static str> {
        match kind {
            Kind::Anonymous => Vec::new(),
            Kind::User => roles::permissions(roles),
            Kind::Service => roles::of_service(name),
        }
    }
}
