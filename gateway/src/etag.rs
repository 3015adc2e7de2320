//! Entity tags: the RFC 9110 headers for the `etag` field of a resource.

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use tonic::Code;

use crate::failure::Failure;

/// The `ETag` header of a resource; `None` if its etag is empty or not valid in the header.
pub fn header(etag: &str) -> Option<HeaderValue> {
    let allowed = |byte: u8| byte == 0x21 || (0x23..=0x7e).contains(&byte);
    if etag.is_empty() || !etag.bytes().all(allowed) {
        return None;
    }
    HeaderValue::from_str(&format!("\"{etag}\"")).ok()
}

/// The etag that a change depends on. `*` is `None`: the service checks existence itself.
pub fn if_match(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let tags = tags(headers, &IF_MATCH)?;
    match &tags[..] {
        [] => Ok(None),
        [one] if one == "*" => Ok(None),
        // Strong comparison: a weak tag never matches.
        [one] if one.starts_with("W/") => Err(mismatch()),
        [one] => Ok(Some(one.trim_matches('"').to_owned())),
        _ => {
            let message = "If-Match must have exactly one entity tag here";
            Err(Failure::client(StatusCode::BAD_REQUEST, "HEADER_INVALID", message))
        }
    }
}

/// Evaluates the conditions of a read: fails if `If-Match` does not match, and returns whether
/// `If-None-Match` matches.
pub fn not_modified(headers: &HeaderMap, etag: &HeaderValue) -> Result<bool, Failure> {
    let current = etag.to_str().unwrap_or_default();
    let wanted = tags(headers, &IF_MATCH)?;
    if !wanted.is_empty() && !wanted.iter().any(|tag| tag == "*" || tag == current) {
        return Err(mismatch());
    }
    let known = tags(headers, &IF_NONE_MATCH)?;
    let weak = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current;
    Ok(known.iter().any(|tag| weak(tag)))
}

fn mismatch() -> Failure {
    let message = "the resource has changed since it was read";
    Failure::new(StatusCode::PRECONDITION_FAILED, Code::Aborted, "ETAG_MISMATCH", message)
}

/// The entity tags of a header, with their quotes.
fn tags(headers: &HeaderMap, name: &http::HeaderName) -> Result<Vec<String>, Failure> {
    let malformed = || {
        let message = format!("{name} must be a list of entity tags such as \"abc\"");
        Failure::client(StatusCode::BAD_REQUEST, "HEADER_INVALID", message)
    };
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let mut rest = value.to_str().map_err(|_| malformed())?.trim();
        if rest == "*" {
            tags.push(rest.to_owned());
            continue;
        }
        while !rest.is_empty() {
            let weak = if rest.starts_with("W/") { 2 } else { 0 };
            let body = rest[weak..].strip_prefix('"').ok_or_else(malformed)?;
            let end = body.find('"').ok_or_else(malformed)? + weak + 2;
            tags.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
            rest = match rest.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if rest.is_empty() => rest,
                None => return Err(malformed()),
            };
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn conditions_of_reads() {
        let etag = header("a1").unwrap();
        let none = |value: &str| not_modified(&headers(IF_NONE_MATCH, value), &etag).ok();
        assert_eq!(none("\"a1\""), Some(true));
        assert_eq!(none("W/\"a1\", \"b\""), Some(true));
        assert_eq!(none("*"), Some(true));
        assert_eq!(none("\"b\",\"c\""), Some(false));
        assert_eq!(none("a1"), None);
        assert!(not_modified(&headers(IF_MATCH, "\"b\""), &etag).is_err());
        assert!(not_modified(&headers(IF_MATCH, "\"b\", \"a1\""), &etag).is_ok());
        assert_eq!(header("with\"quote"), None);
    }

    #[test]
    fn conditions_of_changes() {
        let tag = |value: &str| if_match(&headers(IF_MATCH, value));
        assert_eq!(tag("\"a1\"").unwrap().as_deref(), Some("a1"));
        assert_eq!(tag("*").unwrap(), None);
        for refused in ["W/\"a1\"", "\"a\", \"b\"", "a1", "\"a", "\"a\" \"b\""] {
            assert!(tag(refused).is_err(), "{refused}");
        }
    }
}
