//! What a person reads when the platform is up.

use std::io::Write;
use std::time::Duration;

use crate::server::base::Base;
use crate::server::listeners::Addresses;
use crate::server::roles::{Role, Roles};

/// Where the first start writes the administrator's password.
pub const PASSWORD_FILE: &str = "admin-password";

/// Says where everything is, and a first thing to try.
pub fn print(base: &Base, addresses: Addresses, took: Duration) {
    let Addresses { grpc, rest, admin } = addresses;
    let password = base.data.join(PASSWORD_FILE);
    let mut lines =
        vec![format!("agon {} is ready ({} ms)", crate::VERSION.version, took.as_millis())];
    if base.config.roles != Roles::default() {
        lines.push(format!("  roles  {}", base.config.roles));
    }
    if let Some(rest) = rest {
        lines.push(format!("  REST   http://{rest}   OpenAPI at /openapi.json"));
    }
    lines.push(format!("  gRPC   {grpc}   with reflection: grpcurl -plaintext {grpc} list"));
    lines.push(format!("  admin  http://{admin}   /livez /readyz /metrics /version"));
    lines.push(format!("  data   {}", base.data.path().display()));
    if base.plays(Role::Auth) && password.exists() {
        lines.push(format!("  login  admin, password in {}", password.display()));
    }
    lines.push(match rest {
        Some(rest) => format!("Try:  curl http://{rest}/v1/problems\n"),
        None => format!("Try:  curl http://{admin}/readyz\n"),
    });
    // A closed standard output is no reason not to serve.
    let _ = std::io::stdout().write_all(lines.join("\n").as_bytes());
}
