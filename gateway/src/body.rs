//! Reads request bodies with limits on their size, their time and their size after decompression.

use std::io::Read as _;
use std::net::IpAddr;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use futures_util::{FutureExt as _, StreamExt as _};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, StatusCode};
use rpc::Reading;

use crate::failure::Failure;
use crate::headers;

/// Reads and decompresses a body. `limit` is in bytes and applies before and after decompression.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: u64,
    reading: &Reading,
    client: Option<IpAddr>,
) -> Result<Bytes, Failure> {
    check_length(headers, limit)?;
    let bytes = read_all(body, limit, reading, client).await?;
    decompress(headers, bytes, limit)
}

async fn read_all(
    body: Body,
    limit: u64,
    reading: &Reading,
    client: Option<IpAddr>,
) -> Result<Bytes, Failure> {
    let mut chunks = body.into_data_stream();
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    let mut reader = None;
    loop {
        let received = first.len() + whole.len();
        // Most bodies arrive with the headers and need no share of the memory.
        let next = match chunks.next().now_or_never() {
            Some(next) => next,
            None => {
                let reader = match &mut reader {
                    Some(reader) => reader,
                    empty => empty.insert(reading.begin(client, received)?),
                };
                reader.wait(chunks.next()).await?
            }
        };
        let Some(chunk) = next.transpose().map_err(|_| incomplete())? else { break };
        if (received + chunk.len()) as u64 > limit {
            return Err(Failure::too_large(limit));
        }
        if let Some(reader) = &mut reader {
            reader.received(chunk.len())?;
        }
        // Most bodies arrive in one chunk, which is not copied.
        if received == 0 {
            first = chunk;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&chunk);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

pub fn incomplete() -> Failure {
    Failure::client(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "the request body is incomplete")
}

/// Refuses a body whose `Content-Length` exceeds `limit`.
pub fn check_length(headers: &HeaderMap, limit: u64) -> Result<(), Failure> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > limit) {
        return Err(Failure::too_large(limit));
    }
    Ok(())
}

/// Refuses an encoded upload: uploads are stored as received.
pub fn check_identity(headers: &HeaderMap) -> Result<(), Failure> {
    match headers::text(headers, &CONTENT_ENCODING)? {
        None => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(_) => Err(unsupported_encoding("identity")),
    }
}

fn unsupported_encoding(supported: &str) -> Failure {
    let message = format!("Content-Encoding must be one of: {supported}");
    let http = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let mut failure = Failure::client(http, "UNSUPPORTED_ENCODING", message);
    failure.set(http::header::ACCEPT_ENCODING, supported);
    failure
}

fn decompress(headers: &HeaderMap, bytes: Bytes, limit: u64) -> Result<Bytes, Failure> {
    let encoding = headers::text(headers, &CONTENT_ENCODING)?.unwrap_or("identity").trim();
    let mut inflated = Vec::new();
    // Read one byte past the limit to detect a body that exceeds it.
    let result = match encoding.to_ascii_lowercase().as_str() {
        "identity" | "" => return Ok(bytes),
        // A gzip body is one or more members (RFC 1952, section 2.2).
        "gzip" | "x-gzip" => {
            MultiGzDecoder::new(&*bytes).take(limit + 1).read_to_end(&mut inflated)
        }
        "deflate" => ZlibDecoder::new(&*bytes).take(limit + 1).read_to_end(&mut inflated),
        _ => return Err(unsupported_encoding("gzip, deflate")),
    };
    if inflated.len() as u64 > limit {
        return Err(Failure::too_large(limit));
    }
    match result {
        Ok(_) => Ok(inflated.into()),
        Err(_) => {
            let message = format!("the body is not valid {encoding}");
            Err(Failure::client(StatusCode::BAD_REQUEST, "BODY_MALFORMED", message))
        }
    }
}
