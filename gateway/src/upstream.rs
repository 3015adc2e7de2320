//! Calls to the services with messages that are bytes already.

use bytes::{Buf, BufMut, Bytes};
use futures_util::Stream;
use http::HeaderMap;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use access::EdgeChannel;

/// Answers may be as large as they are: their sizes are the services' business.
const ANY_SIZE: usize = usize::MAX;

/// The codec that leaves messages alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(src.copy_to_bytes(src.remaining())))
    }
}

/// One message out, one back.
pub(crate) async fn unary(
    channel: &EdgeChannel,
    path: &str,
    metadata: HeaderMap,
    message: Bytes,
) -> Result<Response<Bytes>, Status> {
    let mut grpc = ready(channel).await?;
    grpc.unary(request(metadata, message), parse(path)?, Raw).await
}

/// One message out, many back.
pub(crate) async fn server_stream(
    channel: &EdgeChannel,
    path: &str,
    metadata: HeaderMap,
    message: Bytes,
) -> Result<Response<Streaming<Bytes>>, Status> {
    let mut grpc = ready(channel).await?;
    grpc.server_streaming(request(metadata, message), parse(path)?, Raw).await
}

/// Many messages out, one back.
pub(crate) async fn client_stream(
    channel: &EdgeChannel,
    path: &str,
    metadata: HeaderMap,
    messages: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Response<Bytes>, Status> {
    let mut grpc = ready(channel).await?;
    grpc.client_streaming(request(metadata, messages), parse(path)?, Raw).await
}

async fn ready(channel: &EdgeChannel) -> Result<Grpc<EdgeChannel>, Status> {
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(ANY_SIZE);
    grpc.ready().await.map_err(|error| {
        tracing::warn!(error = %error, "the services cannot be reached");
        rpc::status::error(tonic::Code::Unavailable, "UNREACHABLE", "the service cannot be reached")
    })?;
    Ok(grpc)
}

fn request<T>(metadata: HeaderMap, message: T) -> Request<T> {
    Request::from_parts(MetadataMap::from_headers(metadata), http::Extensions::new(), message)
}

fn parse(path: &str) -> Result<PathAndQuery, Status> {
    path.parse().map_err(rpc::status::internal)
}
