//! Turns tonic's own statuses into Agon's, which all have an `ErrorInfo`.
//!
//! tonic answers INTERNAL if a request cannot be decoded (malformed protobuf, invalid UTF-8, a broken
//! frame). Here INTERNAL always means a fault of the server, and malformed requests are
//! INVALID_ARGUMENT. These statuses are recognised by their message and by the lack of an
//! `ErrorInfo`. The tests send malformed requests to a real server, so that they fail if tonic
//! changes its messages. Every other status without an `ErrorInfo`, such as that of an unknown
//! method, gets one.

use http::HeaderMap;
use tonic::{Code, Status};

use crate::observe::label;
use crate::status;

const UNDECODABLE: [&str; 6] = [
    "failed to decode Protobuf message",
    "Missing request message",
    "Unexpected EOF decoding stream",
    "protocol error: received message with compressed-flag but no grpc-encoding",
    "protocol error: received message with invalid compression flag",
    "Error decompressing",
];
const TOO_LARGE: &str = "Error, decoded message length too large";
const TOO_LARGE_DECOMPRESSED: &str = "Error decompressing: size limit";

/// Replaces the status in `headers` (or trailers) if it is one of tonic's.
pub(crate) fn rewrite(headers: &mut HeaderMap) {
    let Some(code) = headers.get("grpc-status") else { return };
    if code == "0" || headers.contains_key("grpc-status-details-bin") {
        return;
    }
    let Some(status) = Status::from_header_map(headers) else { return };
    let replacement = classify(&status).unwrap_or_else(|| with_reason(&status));
    headers.remove("grpc-message");
    // Fails only for invalid header names and values.
    let _ = replacement.add_header(headers);
}

fn with_reason(status: &Status) -> Status {
    let code = status.code();
    let message = match status.message() {
        "" if code == Code::Unimplemented => "this server has no such method",
        text => text,
    };
    status::error(code, label(code), message)
}

fn classify(status: &Status) -> Option<Status> {
    let message = status.message();
    if message.starts_with(TOO_LARGE) || message.starts_with(TOO_LARGE_DECOMPRESSED) {
        return Some(status::error(Code::OutOfRange, "MESSAGE_TOO_LARGE", message));
    }
    // tonic's client has almost the same message for undecodable responses.
    let about_request = !message.contains("while receiving response");
    let undecodable = UNDECODABLE.iter().any(|text| message.starts_with(text));
    (status.code() == Code::Internal && undecodable && about_request).then(|| {
        let text = format!("the request cannot be decoded: {message}");
        status::error(Code::InvalidArgument, "MALFORMED_REQUEST", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        rewrite(&mut headers);
        Status::from_header_map(&headers).unwrap()
    }

    #[test]
    fn decoding_errors_become_invalid_argument() {
        let text = "failed to decode Protobuf message: User.name: invalid string value: …";
        let status = rewritten(&Status::internal(text));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status::reason(&status).as_deref(), Some("MALFORMED_REQUEST"));
    }

    #[test]
    fn other_statuses_keep_their_code() {
        assert_eq!(rewritten(&status::internal("disk on fire")).code(), Code::Internal);
        assert_eq!(rewritten(&Status::internal("something else")).code(), Code::Internal);
        assert_eq!(rewritten(&Status::ok("")).code(), Code::Ok);
    }

    #[test]
    fn every_error_has_a_reason() {
        let missing = rewritten(&Status::not_found("x"));
        assert_eq!((missing.code(), missing.message()), (Code::NotFound, "x"));
        assert_eq!(status::reason(&missing).as_deref(), Some("NOT_FOUND"));
        let unknown = rewritten(&Status::unimplemented(""));
        assert!(unknown.message().contains("no such method"));
        assert_eq!(status::reason(&unknown).as_deref(), Some("UNIMPLEMENTED"));
    }
}
