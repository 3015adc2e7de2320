//! The allow-lists of headers that the gateway forwards in both directions, and their parsing.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::header::{
    ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LANGUAGE, HOST,
    IF_MATCH, RETRY_AFTER, TRANSFER_ENCODING, USER_AGENT,
};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use rpc::metadata;
use tonic::Code;
use tonic::metadata::MetadataMap;

use crate::config::Network;
use crate::failure::Failure;

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub const REQUEST_ID: HeaderName = HeaderName::from_static(metadata::REQUEST_ID);

/// The metadata that a service may send to the client.
const RESPONSE_HEADERS: [HeaderName; 8] = [
    RETRY_AFTER,
    CACHE_CONTROL,
    CONTENT_LANGUAGE,
    CONTENT_DISPOSITION,
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
    HeaderName::from_static("ratelimit-policy"),
];

pub fn request_metadata(
    headers: &HeaderMap,
    context: &rpc::Context,
    client: Option<IpAddr>,
) -> Result<MetadataMap, Failure> {
    let mut forwarded = HeaderMap::with_capacity(16);
    for name in [AUTHORIZATION, ACCEPT_LANGUAGE, IF_MATCH] {
        if let Some(value) = single(headers, &name)? {
            forwarded.insert(name, value.clone());
        }
    }
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            forwarded.insert(HeaderName::from_static(name), value);
        }
    };
    put(metadata::REQUEST_ID, context.request_id.to_string());
    if let Some(traceparent) = context.traceparent() {
        put(metadata::TRACEPARENT, traceparent);
    }
    if let Some(agent) = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()) {
        put(metadata::CLIENT_AGENT, agent.to_owned());
    }
    if let Some(client) = client {
        put(metadata::CLIENT_ADDRESS, client.to_string());
    }
    Ok(MetadataMap::from_headers(forwarded))
}

/// Refuses a request without exactly one valid host (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
pub fn check_host(parts: &Parts) -> Result<(), Failure> {
    let hosts: Vec<_> = parts.headers.get_all(HOST).iter().collect();
    let authority = parts.uri.authority();
    let text = hosts.first().and_then(|host| host.to_str().ok());
    let valid = match (&*hosts, parts.version) {
        ([], Version::HTTP_11) => false,
        ([], Version::HTTP_2) => authority.is_some(),
        ([], _) => true,
        ([_], Version::HTTP_2) => text.is_some_and(|host| {
            is_host(host) && authority.is_none_or(|authority| authority.as_str() == host)
        }),
        ([_], _) => text.is_some_and(is_host),
        _ => false,
    };
    if valid {
        return Ok(());
    }
    let message = "the request must have one Host, such as example.org:8080";
    Err(Failure::client(StatusCode::BAD_REQUEST, "HOST_INVALID", message))
}

/// Refuses encodings of the body in transit other than `chunked` (RFC 9112, section 6.1).
pub fn check_transfer_encoding(parts: &Parts) -> Result<(), Failure> {
    let mut encodings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    if encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Ok(());
    }
    let message = "Transfer-Encoding must be chunked; compress bodies with Content-Encoding: gzip";
    let (http, code) = (StatusCode::NOT_IMPLEMENTED, Code::InvalidArgument);
    Err(Failure::new(http, code, "TRANSFER_ENCODING_UNSUPPORTED", message))
}

/// `host` or `host:port`
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let host = authority.host();
    // An account in front of the host is not part of the header's grammar.
    let Some(port) = text.strip_prefix(host) else { return false };
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    !host.is_empty()
        && literal.is_none_or(|address| address.parse::<Ipv6Addr>().is_ok())
        && (port.is_empty() || port == ":" || authority.port_u16().is_some())
}

/// The only value of a header; fails if the header is repeated.
pub fn single<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h HeaderValue>, Failure> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        let message = format!("the header {name} must not be repeated");
        return Err(Failure::client(StatusCode::BAD_REQUEST, "HEADER_INVALID", message));
    }
    Ok(first)
}

/// Like [`single`], as text; fails if the value is not visible ASCII.
pub fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Failure> {
    let Some(value) = single(headers, name)? else { return Ok(None) };
    let message = format!("the header {name} must be visible ASCII");
    let failure = || Failure::client(StatusCode::BAD_REQUEST, "HEADER_INVALID", message);
    value.to_str().map(Some).map_err(|_| failure())
}

/// The `Idempotency-Key`, with or without the quotes that the IETF draft requires.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let key = text(headers, &IDEMPOTENCY_KEY)?.map(str::trim);
    Ok(key.map(|key| key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(key)))
}

/// The allowed headers of a response's metadata (headers and trailers).
pub fn response_headers(metadata: MetadataMap) -> HeaderMap {
    let mut metadata = metadata.into_headers();
    let mut out = HeaderMap::new();
    for name in RESPONSE_HEADERS {
        if let Some(value) = metadata.remove(&name) {
            out.insert(name, value);
        }
    }
    out
}

/// The timeout of `Grpc-Timeout` or `Connect-Timeout-Ms`; a malformed one is ignored.
pub fn requested_timeout(headers: &HeaderMap) -> Option<Duration> {
    let get = |name: &str| headers.get(name)?.to_str().ok();
    let digits = |text: &str, max_digits: usize| -> Option<u64> {
        let plain =
            (1..=max_digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if plain { text.parse().ok() } else { None }
    };
    if let Some(text) = get("grpc-timeout") {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number = digits(number, 8)?;
        return Some(match unit {
            "H" => Duration::from_secs(number * 3600),
            "M" => Duration::from_secs(number * 60),
            "S" => Duration::from_secs(number),
            "m" => Duration::from_millis(number),
            "u" => Duration::from_micros(number),
            "n" => Duration::from_nanos(number),
            _ => return None,
        });
    }
    digits(get("connect-timeout-ms")?, 10).map(Duration::from_millis)
}

/// The client's address: the peer of the connection or, if that is a trusted proxy, the last
/// address of `X-Forwarded-For` that is not a trusted proxy.
pub fn client_address(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    trusted: &[Network],
) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer?.to_canonical();
    let all = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let mut hops: Vec<&str> = all.flat_map(|line| line.split(',')).map(str::trim).collect();
    while is_trusted(client) {
        let Some(hop) = hops.pop() else { break };
        let Some(address) = address(hop) else { break };
        client = address;
    }
    Some(client)
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]:80`
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    let parsed = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<std::net::SocketAddr>().map(|address| address.ip()))
        .or_else(|_| text.trim_matches(['[', ']']).parse::<IpAddr>());
    parsed.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn forwarded_addresses_of_untrusted_peers_are_ignored() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, forwarded: &str| {
            let headers = headers(&[("x-forwarded-for", forwarded)]);
            client_address(Some(peer.parse().unwrap()), &headers, &trusted).unwrap().to_string()
        };
        assert_eq!(client("1.1.1.1", "9.9.9.9"), "1.1.1.1");
        assert_eq!(client("10.0.0.1", "9.9.9.9"), "9.9.9.9");
        assert_eq!(client("10.0.0.1", "6.6.6.6, 9.9.9.9, 10.0.0.2"), "9.9.9.9");
        assert_eq!(client("10.0.0.1", "9.9.9.9, nonsense"), "10.0.0.1");
        assert_eq!(client("10.0.0.1", "[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(client("::ffff:10.0.0.1", "9.9.9.9:1234"), "9.9.9.9");
        assert_eq!(client_address(None, &HeaderMap::new(), &trusted), None);
    }

    #[test]
    fn hosts_are_checked() {
        for valid in ["x", "example.org", "example.org:8080", "127.0.0.1:80", "[::1]:8080"] {
            assert!(is_host(valid), "{valid}");
        }
        for invalid in
            ["", ":80", "a b", "a/b", "a@b", "x:port", "x:99999", "[::1", "[::g]", "http://x"]
        {
            assert!(!is_host(invalid), "{invalid}");
        }
    }

    #[test]
    fn transfer_encodings_are_checked() {
        let accepted = |encodings: &[&str]| {
            let mut request = http::Request::new(());
            for encoding in encodings {
                let value = HeaderValue::from_str(encoding).unwrap();
                request.headers_mut().append(TRANSFER_ENCODING, value);
            }
            check_transfer_encoding(&request.into_parts().0).is_ok()
        };
        assert!(accepted(&[]) && accepted(&["chunked"]) && accepted(&["Chunked"]));
        assert!(!accepted(&["gzip, chunked"]) && !accepted(&["gzip", "chunked"]));
    }

    #[test]
    fn timeouts_are_parsed() {
        let requested = |name, value| requested_timeout(&headers(&[(name, value)]));
        assert_eq!(requested("grpc-timeout", "5S"), Some(Duration::from_secs(5)));
        assert_eq!(requested("grpc-timeout", "250m"), Some(Duration::from_millis(250)));
        assert_eq!(requested("connect-timeout-ms", "1500"), Some(Duration::from_millis(1500)));
        for malformed in ["", "S", "5", "5X", "-5S", "123456789S", "5é"] {
            assert_eq!(requested("grpc-timeout", malformed), None, "{malformed}");
        }
    }
}
