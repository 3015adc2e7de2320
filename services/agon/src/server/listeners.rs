//! The ports, taken before any work is done, so that a taken one is said at once.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::config::Config;
use crate::failure::Failure;
use crate::server::roles::Role;

/// The listeners of a process.
pub struct Listeners {
    /// gRPC.
    pub grpc: TcpListener,
    /// REST, where the process is a gateway.
    pub rest: Option<TcpListener>,
    /// The operators'.
    pub admin: TcpListener,
}

/// Where they listen; port 0 has become a real one.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// REST, where the process is a gateway.
    pub rest: Option<SocketAddr>,
    /// The operators'.
    pub admin: SocketAddr,
}

impl Listeners {
    /// Takes all of them.
    pub async fn bind(config: &Config) -> Result<Self, Failure> {
        let rest = async || bind("REST", "--rest", config.rest.listen).await;
        Ok(Self {
            grpc: bind("gRPC", "--grpc", config.grpc.listen).await?,
            rest: if config.roles.play(Role::Gateway) { Some(rest().await?) } else { None },
            admin: bind("admin", "--admin", config.admin.listen).await?,
        })
    }

    /// Where they are.
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
             stop it, or give another one with {flag}"
        )),
        ErrorKind::PermissionDenied => Failure::denied(format!(
            "not allowed to listen on the {what} address {address}; \
             give a port above 1023 with {flag}"
        )),
        ErrorKind::AddrNotAvailable => Failure::config(format!(
            "this machine has no address {}; give another {what} address with {flag}",
            address.ip()
        )),
        _ => Failure::busy(format!("cannot listen on the {what} address {address}: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind("REST", "--rest", address).await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("--rest"), "{error}");
    }
}
