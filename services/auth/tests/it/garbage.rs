//! Malformed requests never cause server errors.

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};

use crate::world::{World, each};

/// A codec for raw bytes.
#[derive(Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}

async fn send(world: &World, path: &str, token: &str, body: Bytes) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(world.channel.clone());
    client.ready().await.map_err(|_| Status::unavailable("not ready"))?;
    let mut request = Request::new(body);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    let path: PathAndQuery = path.parse().unwrap();
    client.unary(request, path, Raw).await.map(drop)
}

/// The encoding of string field `number` with these bytes.
fn text(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

#[tokio::test]
async fn malformed_requests_are_client_errors() {
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
                    let Err(status) = send(&world, path, token, body.clone()).await else {
                        continue;
                    };
                    let code = status.code();
                    let server_error = matches!(
                        code,
                        Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable
                    );
                    assert!(!server_error, "{path}: {status:?}");
                }
            }
        }
        assert!(world.validate(&admin).await.is_ok());
    })
    .await;
}
