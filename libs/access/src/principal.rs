//! The identity that a verified credential proves.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::roles::Role;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call without a credential.
    Anonymous,
    User,
    Service,
}

/// The identity that a verified credential proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub kind: Kind,
    /// The id of the user or service account; nil for anonymous.
    pub id: Uuid,
    /// The username, or the service's name.
    pub name: String,
    /// Nil unless the principal is a user.
    pub session_id: Uuid,
    /// Global roles, in ascending order.
    pub roles: Vec<Role>,
    /// Permissions of the roles, sorted.
    pub permissions: Vec<&'static str>,
    /// Sorted.
    pub scopes: Vec<String>,
    /// When the user authenticated.
    pub auth_time: DateTime<Utc>,
    pub expire_time: DateTime<Utc>,
    /// Tokens with a lower epoch than the user's current one are refused.
    pub auth_epoch: i64,
    /// Authentication methods (RFC 8176).
    pub methods: Vec<String>,
}

impl Principal {
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

    /// Whether the principal holds a permission globally.
    pub fn has(&self, permission: &str) -> bool {
        self.permissions.binary_search(&permission).is_ok()
    }

    pub fn is_user(&self) -> bool {
        self.kind == Kind::User
    }
}
