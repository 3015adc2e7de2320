//! Why a server cannot be used: nothing listens, it is not a gRPC server, it expects TLS or does not use it.

use std::io;
use std::time::Duration;

use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::failure::Failure;

const TIMEOUT: Duration = Duration::from_secs(3);
const SELECT: &str = "select another address with --server";
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 8 << 10;

/// What answers `GET /readyz` in HTTP/1.1.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// An HTTP server; the text says which.
    Http1(&'static str),
    Tls,
    Other,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [b'H', b'T', b'T', b'P', b'/', b'1', ..] => {
                let text = String::from_utf8_lossy(bytes);
                let has = |name: &str| text.contains(&format!("\"{name}\""));
                Self::Http1(match () {
                    () if has("ready") && has("components") => "the admin port of Agon",
                    () if has("ROUTE_NOT_FOUND") => "the REST port of Agon",
                    () => "but not gRPC",
                })
            }
            // A TLS alert or handshake record, version 3.x (RFC 8446 section 5.1).
            [0x15 | 0x16, 3, ..] => Self::Tls,
            _ => Self::Other,
        }
    }
}

/// The error for `status`, with which the first call to `server` failed.
pub async fn explain(server: &str, status: Status) -> Failure {
    if rpc::status::reason(&status).is_some() {
        return status.into();
    }
    // Names the server.
    let text = status.message();
    if let Some(address) = server.strip_prefix("https://") {
        if text.contains("does not use TLS") {
            let text = format!("{server} does not use TLS; try --server http://{address}");
            return Failure::unavailable(text);
        }
        if text.contains("certificate") {
            return Failure::unavailable(format!("{text}; --ca FILE sets the trusted CAs"));
        }
    }
    let answer = tokio::time::timeout(TIMEOUT, probe(server)).await;
    Failure::unavailable(match answer {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => format!(
            "nothing listens at {server}; is `agon serve` running? If it listens elsewhere, {SELECT}"
        ),
        Ok(Err(error)) => format!("cannot connect to {server}: {error}; {SELECT}"),
        Ok(Ok(Answer::Http1(which))) => format!(
            "{server} is an HTTP server, {which}; commands need the gRPC port, 50051 by default: {SELECT}"
        ),
        Ok(Ok(_)) if status.code() == Code::Unimplemented => {
            format!("{server} is a gRPC server, but not one of Agon; {SELECT}")
        }
        Ok(Ok(_)) if server.starts_with("https:") => text.to_owned(),
        Ok(Ok(Answer::Tls)) => format!("{server} expects TLS; use https:// in --server"),
        Ok(Ok(Answer::Other)) => format!("{server} does not answer as a gRPC server: {text}"),
        Err(_) => format!("no answer from {server} within {} s; {SELECT}", TIMEOUT.as_secs()),
    })
}

/// Sends an HTTP/1.1 request and reads the answer.
async fn probe(server: &str) -> io::Result<Answer> {
    let uri: Uri = server.parse().map_err(io::Error::other)?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let mut stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(port))).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(MAX_ANSWER);
    // A server that is not HTTP may keep the connection open.
    let is_other =
        |bytes: &[u8]| bytes.len() >= 6 && !matches!(Answer::of(bytes), Answer::Http1(_));
    while bytes.len() < MAX_ANSWER && !is_other(&bytes) {
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(Answer::of(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_recognised() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 404"[..], Answer::Http1("but not gRPC")),
            (&[0x15, 3, 1, 0, 2], Answer::Tls),
            // A SETTINGS frame of HTTP/2.
            (&[0, 0, 24, 4, 0, 0, 0, 0], Answer::Other),
            (&[], Answer::Other),
        ] {
            assert_eq!(Answer::of(bytes), expected, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn certificate_errors_name_the_flag() {
        let text = "cannot reach https://x:1: the server's certificate is not signed by tls.ca";
        let failure = explain("https://x:1", Status::unavailable(text)).await.to_string();
        assert_eq!(failure, format!("{text}; --ca FILE sets the trusted CAs"));
    }

    #[tokio::test]
    async fn refusal_names_the_server() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let text = explain(&server, Status::unavailable("connection refused")).await.to_string();
        assert!(text.contains(&server) && text.contains("agon serve"), "{text}");
    }
}
