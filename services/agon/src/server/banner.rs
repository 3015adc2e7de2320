//! The start-up message on standard output.

use std::io::Write;
use std::time::Duration;

use crate::server::base::Base;
use crate::server::listeners::Addresses;
use crate::server::roles::{Role, Roles};

/// The file in the data directory to which the first start writes the administrator's password.
pub const PASSWORD_FILE: &str = "admin-password";

/// Prints addresses, data directory, password file and a first command. Ignores a closed standard output.
pub fn print(base: &Base, addresses: Addresses, startup: Duration) {
    let Addresses { grpc, rest, admin } = addresses;
    let password = base.data.join(PASSWORD_FILE);
    let mut lines =
        vec![format!("agon {} is ready ({} ms)", crate::VERSION.version, startup.as_millis())];
    if base.config.roles != Roles::default() {
        lines.push(format!("  roles  {}", base.config.roles));
    }
    if let Some(rest) = rest {
        lines.push(format!("  REST   http://{rest}   API at /docs, OpenAPI at /openapi.json"));
    }
    lines.push(format!("  gRPC   {grpc}   with reflection: grpcurl -plaintext {grpc} list"));
    lines.push(format!("  admin  http://{admin}   /livez /readyz /metrics /version"));
    lines.push(format!("  data   {}", base.data.path().display()));
    if base.runs(Role::AUTH) && password.exists() {
        lines.push(format!("  login  admin, password in {}", password.display()));
    }
    lines.push(match rest {
        Some(rest) => format!("Try:  curl http://{rest}/v1/problems\n"),
        None => format!("Try:  curl http://{admin}/readyz\n"),
    });
    let _ = std::io::stdout().write_all(lines.join("\n").as_bytes());
}
