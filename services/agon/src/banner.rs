//! What a person reads when the platform is up.

use std::time::Duration;

use crate::data::DataDir;
use crate::listeners::Addresses;

/// Where the first start writes the administrator's password.
pub const PASSWORD_FILE: &str = "admin-password";

/// Says where everything is, and a first thing to try.
pub fn print(data: &DataDir, addresses: Addresses, took: Duration) {
    let Addresses { grpc, rest, admin } = addresses;
    let password = data.join(PASSWORD_FILE);
    println!("agon {} is ready ({} ms)", crate::VERSION.version, took.as_millis());
    println!("  REST   http://{rest}   OpenAPI at /openapi.json");
    println!("  gRPC   {grpc}   with reflection: grpcurl -plaintext {grpc} list");
    println!("  admin  http://{admin}   /livez /readyz /metrics /version");
    println!("  data   {}", data.path().display());
    if password.exists() {
        println!("  login  admin, password in {}", password.display());
    }
    println!("Try:  curl http://{rest}/v1/problems");
}
