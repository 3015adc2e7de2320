//! The authenticated caller of the current request; set by [`crate::Layer`].

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use http::HeaderValue;
use rpc::{metadata, status};
use tonic::{Request, Status};

use crate::principal::{Kind, Principal};

static ANONYMOUS: LazyLock<Caller> = LazyLock::new(Caller::anonymous);

/// The principal of a call, and the user on whose behalf it is made.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The owner of the credential in `authorization`.
    pub principal: Arc<Principal>,
    /// The user in `agon-on-behalf-of`; set only when the principal is a service.
    pub on_behalf_of: Option<Arc<Principal>>,
    /// The client address: the peer of the connection, or the address forwarded by the edge.
    pub address: Option<IpAddr>,
    /// The acting user's token, for forwarding. Secret.
    pub(crate) token: Option<HeaderValue>,
}

impl Caller {
    pub fn anonymous() -> Self {
        Self {
            principal: Arc::new(Principal::anonymous()),
            on_behalf_of: None,
            address: None,
            token: None,
        }
    }

    /// A caller with this principal and no address; for tests.
    pub fn of_principal(principal: Principal) -> Self {
        Self { principal: Arc::new(principal), ..Self::anonymous() }
    }

    /// The caller of a request; anonymous when the server has no access layer.
    pub fn of<T>(request: &Request<T>) -> &Self {
        request.extensions().get::<Self>().unwrap_or(&ANONYMOUS)
    }

    /// The user on whose behalf a service calls, otherwise the principal.
    pub fn acting(&self) -> &Principal {
        self.on_behalf_of.as_ref().unwrap_or(&self.principal)
    }

    /// The acting user; UNAUTHENTICATED for anonymous callers, PERMISSION_DENIED for services.
    pub fn user(&self) -> Result<&Principal, Status> {
        let acting = self.acting();
        match acting.kind {
            Kind::User => Ok(acting),
            Kind::Anonymous => {
                Err(status::unauthenticated("TOKEN_MISSING", "this call requires a signed-in user"))
            }
            Kind::Service => Err(status::permission_denied(
                "USER_ONLY",
                "only users may call this; a service must send agon-on-behalf-of",
            )),
        }
    }

    /// Whether the principal is a service, on behalf of a user or not.
    pub fn is_service(&self) -> bool {
        self.principal.kind == Kind::Service
    }

    /// Whether a service calls without a user.
    pub fn is_service_itself(&self) -> bool {
        self.is_service() && self.on_behalf_of.is_none()
    }

    /// Whether the acting principal holds a permission globally.
    pub fn has(&self, permission: &str) -> bool {
        self.acting().has(permission)
    }

    /// PERMISSION_DENIED unless the acting principal holds the permission globally.
    pub fn require(&self, permission: &str) -> Result<(), Status> {
        if self.has(permission) { Ok(()) } else { Err(missing(permission)) }
    }

    /// Adds `agon-on-behalf-of` for this caller's user to a call made through
    /// [`crate::Credentials`].
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
    let message = format!("this call requires the permission {permission}");
    status::permission_denied("PERMISSION_MISSING", message)
}
