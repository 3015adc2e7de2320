//! The caller of the current request, as the layer established it.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use http::HeaderValue;
use rpc::{metadata, status};
use tonic::{Request, Status};

use crate::principal::{Kind, Principal};

static NOBODY: LazyLock<Caller> = LazyLock::new(Caller::anonymous);

/// Who made a call, and for whom.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose credential the call carries.
    pub principal: Arc<Principal>,
    /// The user for whom a service acts.
    pub on_behalf_of: Option<Arc<Principal>>,
    /// The network address of the client: of the connection, or what the edge says of its own.
    pub address: Option<IpAddr>,
    /// The acting user's token, for passing on. Secret.
    pub(crate) token: Option<HeaderValue>,
}

impl Caller {
    /// Nobody, from nowhere.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            principal: Arc::new(Principal::anonymous()),
            on_behalf_of: None,
            address: None,
            token: None,
        }
    }

    /// A caller of this principal, from nowhere; for tests of what callers may do.
    #[must_use]
    pub fn of_principal(principal: Principal) -> Self {
        Self { principal: Arc::new(principal), ..Self::anonymous() }
    }

    /// The caller of a request. Where no layer stands, it is nobody.
    pub fn of<T>(request: &Request<T>) -> &Self {
        request.extensions().get::<Self>().unwrap_or(&NOBODY)
    }

    /// Who acts: the user that a service acts for, otherwise the principal itself.
    #[must_use]
    pub fn acting(&self) -> &Principal {
        self.on_behalf_of.as_ref().unwrap_or(&self.principal)
    }

    /// The acting user; an error for nobody and for a service that acts for itself.
    pub fn user(&self) -> Result<&Principal, Status> {
        let acting = self.acting();
        match acting.kind {
            Kind::User => Ok(acting),
            Kind::Anonymous => {
                Err(status::unauthenticated("TOKEN_MISSING", "this call needs a signed-in user"))
            }
            Kind::Service => Err(status::permission_denied(
                "USER_ONLY",
                "this call is for users; a service must act on behalf of one",
            )),
        }
    }

    /// Whether the credential is a service's (also when it acts for a user).
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.principal.kind == Kind::Service
    }

    /// Whether a service acts for itself: internal work that no user asked for.
    #[must_use]
    pub fn is_service_itself(&self) -> bool {
        self.is_service() && self.on_behalf_of.is_none()
    }

    /// Whether whoever acts holds a permission everywhere.
    #[must_use]
    pub fn has(&self, permission: &str) -> bool {
        self.acting().has(permission)
    }

    /// PERMISSION_DENIED unless whoever acts holds the permission everywhere.
    pub fn require(&self, permission: &str) -> Result<(), Status> {
        if self.has(permission) { Ok(()) } else { Err(missing(permission)) }
    }

    /// Lets a call that a service makes through [`crate::Credentials`] act for this caller's user.
    pub fn forward<T>(&self, mut request: Request<T>) -> Request<T> {
        if let Some(token) = self.token.as_ref().and_then(|token| token.to_str().ok())
            && let Ok(value) = token.parse()
        {
            request.metadata_mut().insert(metadata::ON_BEHALF_OF, value);
        }
        request
    }
}

pub(crate) fn missing(permission: &str) -> Status {
    let message = format!("this call needs the permission {permission}");
    status::permission_denied("PERMISSION_MISSING", message)
}
