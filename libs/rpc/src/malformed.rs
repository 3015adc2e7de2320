//! Turns tonic's view of an undecodable request into ours.
//!
//! tonic answers INTERNAL when a request cannot be decoded (bad protobuf, text that is not UTF-8,
//! a broken frame), as if the server were at fault. Here a client's mistake is INVALID_ARGUMENT,
//! and INTERNAL always means a fault of ours. tonic's own statuses carry no details and begin with
//! a fixed text; ours always carry an `ErrorInfo`, so the two cannot be confused. The tests send
//! each kind of garbage through a real server: a tonic that says it differently fails them.

use http::HeaderMap;
use tonic::{Code, Status};

use crate::status;

const GARBAGE: [&str; 6] = [
    "failed to decode Protobuf message",
    "Missing request message",
    "Unexpected EOF decoding stream",
    "protocol error: received message with compressed-flag but no grpc-encoding",
    "protocol error: received message with invalid compression flag",
    "Error decompressing",
];
const TOO_LARGE: &str = "Error, decoded message length too large";
const INFLATES: &str = "Error decompressing: size limit";

/// Replaces the status in `headers` (or trailers) if tonic made it about the request's bytes.
pub(crate) fn rewrite(headers: &mut HeaderMap) {
    let Some(code) = headers.get("grpc-status").and_then(|value| value.to_str().ok()) else {
        return;
    };
    // INTERNAL, OUT_OF_RANGE, RESOURCE_EXHAUSTED: what tonic's decoder answers.
    if !matches!(code, "13" | "11" | "8") || headers.contains_key("grpc-status-details-bin") {
        return;
    }
    let Some(found) = Status::from_header_map(headers) else { return };
    let Some(better) = classify(&found) else { return };
    headers.remove("grpc-message");
    // Only a name or a value out of range can fail here, and both are ours.
    let _ = better.add_header(headers);
}

fn classify(status: &Status) -> Option<Status> {
    let message = status.message();
    if message.starts_with(TOO_LARGE) || message.starts_with(INFLATES) {
        return Some(status::error(Code::OutOfRange, "MESSAGE_TOO_LARGE", message));
    }
    // The client half of tonic words its complaint about a *response* almost the same.
    let about_request = !message.contains("while receiving response");
    let garbage = GARBAGE.iter().any(|text| message.starts_with(text));
    (status.code() == Code::Internal && garbage && about_request).then(|| {
        let text = format!("the request cannot be decoded: {message}");
        status::error(Code::InvalidArgument, "MALFORMED_REQUEST", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        rewrite(&mut headers);
        Status::from_header_map(&headers).unwrap()
    }

    #[test]
    fn a_decoder_s_complaint_is_the_client_s_fault() {
        let text = "failed to decode Protobuf message: User.name: invalid string value: …";
        let status = through(&Status::internal(text));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status::reason(&status).as_deref(), Some("MALFORMED_REQUEST"));
    }

    #[test]
    fn our_own_internal_stays() {
        assert_eq!(through(&status::internal("disk on fire")).code(), Code::Internal);
        assert_eq!(through(&Status::internal("something else")).code(), Code::Internal);
        assert_eq!(through(&Status::not_found("x")).code(), Code::NotFound);
    }
}
