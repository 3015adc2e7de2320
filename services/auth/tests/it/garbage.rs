//! Malformed requests never cause server errors.

use access::testing::bearer;
use bytes::Bytes;
use http::uri::PathAndQuery;
use rpc::RawCodec;
use tonic::{Code, Request, Status};

use crate::world::{World, each};

/// Sends a body to any RPC.
pub async fn send(
    world: &World,
    path: &str,
    token: Option<&str>,
    body: Bytes,
) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(world.channel.clone());
    client.ready().await.map_err(|_| Status::unavailable("not ready"))?;
    let request = match token {
        Some(token) => bearer(token, body),
        None => Request::new(body),
    };
    let path: PathAndQuery = path.parse().unwrap();
    client.unary(request, path, RawCodec).await.map(drop)
}

/// The encoding of string field `number` with these bytes.
fn text(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

#[test]
fn malformed_requests_are_client_errors() {
    each(|world| async move {
        let admin = world.admin().await;
        let policy = access::Policy::of_agon();
        let paths =
            policy.rules().map(|(path, _)| path).filter(|path| path.starts_with("/agon.auth.v1."));
        let long = "x".repeat(300_000);
        let every: Vec<u8> = (1..8).flat_map(|n| text(n, "\u{0}\u{fffd}".as_bytes())).collect();
        let huge: Vec<u8> = (1..3).flat_map(|n| text(n, long.as_bytes())).collect();
        let numbers: Vec<u8> =
            (1..8u8).flat_map(|n| [vec![n << 3], vec![0xff; 9], vec![1]].concat()).collect();
        let bodies = [
            Bytes::new(),
            Bytes::from_static(b"\xff\xff\xff\xff"),
            Bytes::from(text(1, b"\xff\xfe\x00")),
            Bytes::from(every),
            Bytes::from(huge),
            Bytes::from(numbers),
            Bytes::from(vec![0; 600_000]),
        ];
        for path in paths {
            // Ends the sessions that the other calls need.
            if path.ends_with("DeleteAllSessions") {
                continue;
            }
            for body in &bodies {
                for token in [&admin, &world.service] {
                    let result = send(&world, path, Some(token), body.clone()).await;
                    let code = result.as_ref().map_or_else(Status::code, |()| Code::Ok);
                    let errors = [Code::Internal, Code::Unknown, Code::DataLoss, Code::Unavailable];
                    assert!(!errors.contains(&code), "{path}: {result:?}");
                }
            }
        }
        assert!(world.validate(&admin).await.is_ok());
    });
}
