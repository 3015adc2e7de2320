//! What a person reads when the platform is up.

use std::io::Write;
use std::time::Duration;

use crate::data::DataDir;
use crate::listeners::Addresses;

/// Where the first start writes the administrator's password.
pub const PASSWORD_FILE: &str = "admin-password";

/// Says where everything is, and a first thing to try.
pub fn print(data: &DataDir, addresses: Addresses, took: Duration) {
    let Addresses { grpc, rest, admin } = addresses;
    let password = data.join(PASSWORD_FILE);
    let mut lines = vec![
        format!("agon {} is ready ({} ms)", crate::VERSION.version, took.as_millis()),
        format!("  REST   http://{rest}   OpenAPI at /openapi.json"),
        format!("  gRPC   {grpc}   with reflection: grpcurl -plaintext {grpc} list"),
        format!("  admin  http://{admin}   /livez /readyz /metrics /version"),
        format!("  data   {}", data.path().display()),
    ];
    if password.exists() {
        lines.push(format!("  login  admin, password in {}", password.display()));
    }
    lines.push(format!("Try:  curl http://{rest}/v1/problems\n"));
    // A closed standard output is no reason not to serve.
    let _ = std::io::stdout().write_all(lines.join("\n").as_bytes());
}
