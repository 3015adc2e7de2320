//! Entity tags: RFC 9110's header syntax around a resource's `etag` field.

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use tonic::Code;

use crate::failure::Failure;

/// The `ETag` header of a resource's etag; none for one that the header cannot hold.
pub fn header(etag: &str) -> Option<HeaderValue> {
    let fits = |byte: u8| byte == 0x21 || (0x23..=0x7e).contains(&byte);
    if etag.is_empty() || !etag.bytes().all(fits) {
        return None;
    }
    HeaderValue::from_str(&format!("\"{etag}\"")).ok()
}

/// The etag that a change is conditional on. `*` is left to the service.
pub fn if_match(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let tags = tags(headers, &IF_MATCH)?;
    match &tags[..] {
        [] => Ok(None),
        [one] if one == "*" => Ok(None),
        // Strong comparison: a weak tag never matches.
        [one] if one.starts_with("W/") => Err(mismatch()),
        [one] => Ok(Some(one.trim_matches('"').to_owned())),
        _ => {
            let message = "If-Match takes one entity tag here";
            Err(Failure::client(StatusCode::BAD_REQUEST, "HEADER_INVALID", message))
        }
    }
}

/// What the conditions of a read say about the current representation.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it.
    Send,
    /// The client has it.
    NotModified,
}

/// Applies `If-Match` and `If-None-Match` of a read.
pub fn check(headers: &HeaderMap, etag: &HeaderValue) -> Result<Verdict, Failure> {
    let current = etag.to_str().unwrap_or_default();
    let wanted = tags(headers, &IF_MATCH)?;
    if !wanted.is_empty() && !wanted.iter().any(|tag| tag == "*" || tag == current) {
        return Err(mismatch());
    }
    let known = tags(headers, &IF_NONE_MATCH)?;
    let weak = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current;
    Ok(if known.iter().any(|tag| weak(tag)) { Verdict::NotModified } else { Verdict::Send })
}

fn mismatch() -> Failure {
    let message = "the resource has changed since it was read";
    Failure::new(StatusCode::PRECONDITION_FAILED, Code::Aborted, "ETAG_MISMATCH", message)
}

/// The entity tags of a header, quotes and all.
fn tags(headers: &HeaderMap, name: &http::HeaderName) -> Result<Vec<String>, Failure> {
    let wrong = || {
        let message = format!("{name} is not a list of entity tags such as \"abc\"");
        Failure::client(StatusCode::BAD_REQUEST, "HEADER_INVALID", message)
    };
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let mut rest = value.to_str().map_err(|_| wrong())?.trim();
        if rest == "*" {
            tags.push(rest.to_owned());
            continue;
        }
        while !rest.is_empty() {
            let weak = if rest.starts_with("W/") { 2 } else { 0 };
            let body = rest[weak..].strip_prefix('"').ok_or_else(wrong)?;
            let end = body.find('"').ok_or_else(wrong)? + weak + 2;
            tags.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
            rest = match rest.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if rest.is_empty() => rest,
                None => return Err(wrong()),
            };
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn reads() {
        let etag = header("a1").unwrap();
        let none = |value: &str| check(&given(IF_NONE_MATCH, value), &etag).ok();
        assert_eq!(none("\"a1\""), Some(Verdict::NotModified));
        assert_eq!(none("W/\"a1\", \"b\""), Some(Verdict::NotModified));
        assert_eq!(none("*"), Some(Verdict::NotModified));
        assert_eq!(none("\"b\",\"c\""), Some(Verdict::Send));
        assert_eq!(none("a1"), None);
        assert!(check(&given(IF_MATCH, "\"b\""), &etag).is_err());
        assert!(check(&given(IF_MATCH, "\"b\", \"a1\""), &etag).is_ok());
        assert_eq!(header("with\"quote"), None);
    }

    #[test]
    fn changes() {
        let tag = |value: &str| if_match(&given(IF_MATCH, value));
        assert_eq!(tag("\"a1\"").unwrap().as_deref(), Some("a1"));
        assert_eq!(tag("*").unwrap(), None);
        for wrong in ["W/\"a1\"", "\"a\", \"b\"", "a1", "\"a", "\"a\" \"b\""] {
            assert!(tag(wrong).is_err(), "{wrong}");
        }
    }
}
