//! What a person reads when the platform is up.

use std::time::Duration;

use crate::data::DataDir;
use crate::listeners::Addresses;

/// Says where everything is, and a first thing to try.
pub fn print(data: &DataDir, addresses: Addresses, took: Duration) {
    let Addresses { grpc, rest, admin } = addresses;
    let data = data.path().display();
    println!("agon {} is ready ({} ms)", crate::VERSION.version, took.as_millis());
    println!("  REST   http://{rest}        (OpenAPI: /openapi.json)");
    println!("  gRPC   {grpc}  (with reflection: grpcurl -plaintext {grpc} list)");
    println!("  admin  http://{admin}        (/readyz, /metrics)");
    println!("  data   {data}");
    println!("Try:  curl http://{rest}/v1/problems");
}
