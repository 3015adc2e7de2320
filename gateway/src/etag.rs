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
    #[test]
    fn etag_with_a_quote_is_omitted() {
        assert_eq!(super::header("with\"quote"), None);
    }
}
