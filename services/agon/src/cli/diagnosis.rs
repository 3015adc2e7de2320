//! Why a server cannot be used: nothing listens, it is not a gRPC server, it expects TLS.

use std::io;
use std::time::Duration;

use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::failure::Failure;

const TIMEOUT: Duration = Duration::from_secs(3);
const SELECT: &str = "select another address with --server";

/// What answers the first bytes of an HTTP/1.1 request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Http1,
    Tls,
    Other,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [b'H', b'T', b'T', b'P', b'/', b'1', ..] => Self::Http1,
            // A TLS alert or handshake record, version 3.x (RFC 8446 section 5.1).
            [0x15 | 0x16, 3, ..] => Self::Tls,
            _ => Self::Other,
        }
    }
}

/// The error for `status`, with which the first call to `server` failed.
pub async fn explain(server: &str, status: Status) -> Failure {
    if status.code() == Code::Unimplemented {
        return Failure::unavailable(format!(
            "{server} is a gRPC server, but not one of Agon; {SELECT}"
        ));
    }
    if rpc::status::reason(&status).is_some() {
        return status.into();
    }
    let text = status.message();
    if server.starts_with("https:") {
        let hint = "--ca FILE sets the trusted CAs";
        return Failure::unavailable(format!("cannot connect to {server}: {text} ({hint})"));
    }
    let answer = tokio::time::timeout(TIMEOUT, probe(server)).await;
    Failure::unavailable(match answer {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => format!(
            "nothing listens at {server}; is `agon serve` running? If it listens elsewhere, {SELECT}"
        ),
        Ok(Err(error)) => format!("cannot connect to {server}: {error}; {SELECT}"),
        Ok(Ok(Answer::Http1)) => format!(
            "{server} is an HTTP server, such as the REST or admin port, but not gRPC; commands need the gRPC port, \
             50051 by default: {SELECT}"
        ),
        Ok(Ok(Answer::Tls)) => format!("{server} expects TLS; use https:// in --server"),
        Ok(Ok(Answer::Other)) => format!("{server} does not answer as a gRPC server: {text}"),
        Err(_) => format!("no answer from {server} within {} s; {SELECT}", TIMEOUT.as_secs()),
    })
}

/// Sends an HTTP/1.1 request and reads the first bytes of the answer.
async fn probe(server: &str) -> io::Result<Answer> {
    let uri: Uri = server.parse().map_err(io::Error::other)?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let mut stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(80))).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 8];
    let mut filled = 0;
    while filled < head.len() {
        match stream.read(&mut head[filled..]).await {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    Ok(Answer::of(&head[..filled]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_recognised() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 404"[..], Answer::Http1),
            (&[0x15, 3, 1, 0, 2], Answer::Tls),
            // A SETTINGS frame of HTTP/2.
            (&[0, 0, 24, 4, 0, 0, 0, 0], Answer::Other),
            (&[], Answer::Other),
        ] {
            assert_eq!(Answer::of(bytes), expected, "{bytes:?}");
        }
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
