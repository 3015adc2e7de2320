//! What a client wants back (`Accept`, RFC 9110, section 12.5.1) and what it sent (`Content-Type`).

use http::{HeaderMap, StatusCode, header};

use crate::errors::Failure;

/// How a stream of messages is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One JSON text a line.
    Lines,
    /// Server-sent events.
    Events,
    /// One JSON array.
    Array,
}

impl Framing {
    /// What serves the client best; lines when it does not care.
    pub(crate) fn choose(headers: &HeaderMap) -> Result<Self, Failure> {
        let offers = [
            ("application/x-ndjson", Self::Lines),
            ("text/event-stream", Self::Events),
            ("application/json", Self::Array),
            ("application/jsonl", Self::Lines),
        ];
        best(headers, &offers.map(|(name, _)| name)).map(|index| offers[index].1).ok_or_else(|| {
            not_acceptable("application/x-ndjson, text/event-stream or application/json")
        })
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
            Self::Array => "application/json",
        }
    }
}

/// Refuses a client that cannot read JSON.
pub(crate) fn accepts_json(headers: &HeaderMap) -> Result<(), Failure> {
    match best(headers, &["application/json", "application/problem+json"]) {
        Some(_) => Ok(()),
        None => Err(not_acceptable("application/json")),
    }
}

/// Whether errors are wanted as RFC 9457 problem details.
pub(crate) fn wants_problem(headers: &HeaderMap) -> bool {
    let named = accept(headers).any(|(range, q)| range == "application/problem+json" && q > 0.0);
    let plain = accept(headers).any(|(range, q)| range == "application/json" && q > 0.0);
    named && !plain
}

/// Refuses a body that does not say it is JSON; one that says nothing is taken at its word.
pub(crate) fn is_json(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let (essence, parameters) = text.split_once(';').unwrap_or((&text, ""));
    let charset = parameters.split(';').filter_map(|p| p.trim().strip_prefix("charset=")).next();
    let utf8 = charset.is_none_or(|name| matches!(name.trim_matches('"'), "utf-8" | "utf8"));
    let json = essence.trim() == "application/json" || essence.trim().ends_with("+json");
    if json && utf8 {
        return Ok(());
    }
    let text = "send JSON, with `Content-Type: application/json`";
    Err(Failure::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", text))
}

fn not_acceptable(offered: &str) -> Failure {
    let text = format!("this address answers with {offered}");
    Failure::http(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", text)
}

/// The media ranges of `Accept` with their weights.
fn accept(headers: &HeaderMap) -> impl Iterator<Item = (String, f32)> + '_ {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
        let q = parts.find_map(|p| p.strip_prefix("q=").or(p.strip_prefix("Q=")));
        Some((name, q.and_then(|q| q.parse().ok()).unwrap_or(1.0)))
    })
}

/// The index of the offer that the client likes best; earlier offers win ties. Without `Accept` any
/// offer will do.
fn best(headers: &HeaderMap, offers: &[&str]) -> Option<usize> {
    let ranges: Vec<(String, f32)> = accept(headers).collect();
    if ranges.is_empty() {
        return Some(0);
    }
    let weight = |offer: &str| {
        let kind = offer.split('/').next().unwrap_or_default();
        let of = |wanted: &str| ranges.iter().find(|(range, _)| range == wanted).map(|(_, q)| *q);
        of(offer).or_else(|| of(&format!("{kind}/*"))).or_else(|| of("*/*")).unwrap_or(0.0)
    };
    let mut best: Option<(usize, f32)> = None;
    for (index, offer) in offers.iter().enumerate() {
        let weight = weight(offer);
        if weight > best.map_or(0.0, |(_, most)| most) {
            best = Some((index, weight));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[track_caller]
    fn framing(accept: &str, expected: Option<Framing>) {
        let found = Framing::choose(&headers(header::ACCEPT, accept)).ok();
        assert_eq!(found, expected, "{accept}");
    }

    #[test]
    fn streams() {
        assert_eq!(Framing::choose(&HeaderMap::new()).ok(), Some(Framing::Lines));
        framing("*/*", Some(Framing::Lines));
        framing("text/event-stream", Some(Framing::Events));
        framing("application/json", Some(Framing::Array));
        framing("application/json;q=0.5, text/*;q=0.7", Some(Framing::Events));
        framing("application/*", Some(Framing::Lines));
        framing("text/html", None);
        framing("application/json;q=0", None);
        framing("text/event-stream;q=0, */*;q=0.1", Some(Framing::Lines));
    }

    #[test]
    fn json_or_not() {
        for yes in
            ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"]
        {
            assert!(is_json(&headers(header::CONTENT_TYPE, yes)).is_ok(), "{yes}");
        }
        for no in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=latin1",
            "",
        ] {
            assert!(is_json(&headers(header::CONTENT_TYPE, no)).is_err(), "{no}");
        }
        assert!(is_json(&HeaderMap::new()).is_ok());
        assert!(accepts_json(&headers(header::ACCEPT, "text/html, */*;q=0.1")).is_ok());
        assert!(accepts_json(&headers(header::ACCEPT, "text/html")).is_err());
        assert!(wants_problem(&headers(header::ACCEPT, "application/problem+json")));
        assert!(!wants_problem(&headers(
            header::ACCEPT,
            "application/json, application/problem+json"
        )));
    }
}
