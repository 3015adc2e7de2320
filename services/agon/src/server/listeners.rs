//! The listeners. They are bound before other work, so that a port in use is reported at once.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::config::Config;
use crate::failure::Failure;
use crate::server::roles::Role;

pub struct Listeners {
    pub grpc: TcpListener,
    /// Only with the gateway role.
    pub rest: Option<TcpListener>,
    pub admin: TcpListener,
}

/// The addresses of the listeners. A configured port 0 is replaced by the assigned port.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub grpc: SocketAddr,
    /// Only with the gateway role.
    pub rest: Option<SocketAddr>,
    pub admin: SocketAddr,
}

impl Listeners {
    pub async fn bind(config: &Config) -> Result<Self, Failure> {
        let rest = async || bind("REST", "--rest", config.rest.listen).await;
        Ok(Self {
            grpc: bind("gRPC", "--grpc", config.grpc.listen).await?,
            rest: if config.roles.contains(Role::GATEWAY) { Some(rest().await?) } else { None },
            admin: bind("admin", "--admin", config.admin.listen).await?,
        })
    }

    pub fn addresses(&self) -> Result<Addresses, Failure> {
        let of = |listener: &TcpListener| {
            listener.local_addr().map_err(|error| Failure::new(format!("listener: {error}")))
        };
        let rest = self.rest.as_ref().map(of).transpose()?;
        Ok(Addresses { grpc: of(&self.grpc)?, rest, admin: of(&self.admin)? })
    }
}

async fn bind(what: &str, flag: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Failure::busy(format!(
            "the {what} address {address} is in use by another program; \
             stop it, or select another address with {flag}"
        )),
        ErrorKind::PermissionDenied => Failure::denied(format!(
            "not allowed to listen on the {what} address {address}; \
             select a port above 1023 with {flag}"
        )),
        ErrorKind::AddrNotAvailable => Failure::config(format!(
            "this machine has no address {}; select another {what} address with {flag}",
            address.ip()
        )),
        _ => Failure::busy(format!("cannot listen on the {what} address {address}: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn error_names_the_port_in_use_and_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind("REST", "--rest", address).await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("--rest"), "{error}");
    }
}
