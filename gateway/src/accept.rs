//! Content negotiation: `Accept` and `Content-Type`.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use crate::failure::Failure;

/// The representation of a stream of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamForm {
    /// One JSON value per line.
    Lines,
    Events,
    Array,
}

impl StreamForm {
    pub fn media_type(self) -> &'static str {
        match self {
            StreamForm::Lines => "application/x-ndjson",
            StreamForm::Events => "text/event-stream",
            StreamForm::Array => "application/json",
        }
    }
}

/// Whether the client prefers RFC 9457 problem details for errors.
pub fn wants_problem(headers: &HeaderMap) -> bool {
    let accept = Accept::new(headers);
    let problem = accept.find("application/problem+json");
    problem.is_some_and(|quality| quality > 0) && problem >= accept.find("application/json")
}

/// Refuses a client that does not accept JSON.
pub fn json(headers: &HeaderMap) -> Result<(), Failure> {
    let accept = Accept::new(headers);
    let produced = ["application/json", "application/problem+json"];
    if produced.iter().any(|media| accept.quality(media) > 0) {
        return Ok(());
    }
    Err(not_acceptable("application/json"))
}

/// The representation that the client prefers; lines if it has no preference.
pub fn stream(headers: &HeaderMap) -> Result<StreamForm, Failure> {
    let accept = Accept::new(headers);
    let forms = [StreamForm::Lines, StreamForm::Events, StreamForm::Array];
    let mut best = None;
    for form in forms {
        let mut quality = accept.quality(form.media_type());
        if form == StreamForm::Lines {
            quality = quality.max(accept.quality("application/ndjson"));
        }
        if quality > best.map_or(0, |(quality, _)| quality) {
            best = Some((quality, form));
        }
    }
    let all = "application/x-ndjson, text/event-stream, application/json";
    best.map(|(_, form)| form).ok_or_else(|| not_acceptable(all))
}

fn not_acceptable(produced: &str) -> Failure {
    let message = format!("Accept must allow one of: {produced}");
    Failure::client(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message)
}

/// Refuses a body that is not JSON in UTF-8. A missing `Content-Type` means JSON.
pub fn json_body(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(content_type) = content_type(headers)? else { return Ok(()) };
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_json = media == "application/json"
        || media.starts_with("application/") && media.ends_with("+json");
    let charset = parts.filter_map(|part| part.split_once('=')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"').to_owned())
    });
    let utf8 =
        charset.is_none_or(|c| c.eq_ignore_ascii_case("utf-8") || c.eq_ignore_ascii_case("utf8"));
    if is_json && utf8 { Ok(()) } else { Err(unsupported("application/json")) }
}

pub fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    crate::headers::text(headers, &CONTENT_TYPE)
}

/// The route does not support the media type of the body.
pub fn unsupported(supported: &str) -> Failure {
    let message = format!("the body must be {supported}");
    let mut failure =
        Failure::client(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message);
    failure.set(ACCEPT, supported);
    failure
}

/// The ranges of `Accept`, each with its quality in thousandths.
struct Accept(Vec<(String, u16)>);

impl Accept {
    fn new(headers: &HeaderMap) -> Accept {
        let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = lines.flat_map(|line| line.split(',')).filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().filter(|media| !media.is_empty())?.to_ascii_lowercase();
            let quality = parts
                .filter_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .find_map(|text| text.parse::<f32>().ok())
                .map_or(1000, |quality| (quality.clamp(0.0, 1.0) * 1000.0) as u16);
            Some((media, quality))
        });
        Accept(ranges.collect())
    }

    fn find(&self, media: &str) -> Option<u16> {
        self.0.iter().find(|(range, _)| range == media).map(|(_, quality)| *quality)
    }

    /// The quality of a media type, by its most specific range. Without `Accept`, everything is
    /// accepted.
    fn quality(&self, media: &str) -> u16 {
        if self.0.is_empty() {
            return 1;
        }
        let group = format!("{}/*", media.split('/').next().unwrap_or_default());
        let ranges = [media, &group, "*/*"];
        ranges.into_iter().find_map(|range| self.find(range)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, value.parse().unwrap())])
    }

    #[test]
    fn stream_representation_follows_quality() {
        let form = |value: &str| stream(&accepting(value)).ok();
        assert_eq!(stream(&HeaderMap::new()).ok(), Some(StreamForm::Lines));
        assert_eq!(form("*/*"), Some(StreamForm::Lines));
        assert_eq!(form("text/event-stream"), Some(StreamForm::Events));
        assert_eq!(form("application/json"), Some(StreamForm::Array));
        assert_eq!(form("application/json;q=0.5, text/event-stream"), Some(StreamForm::Events));
        assert_eq!(form("application/*"), Some(StreamForm::Lines));
        assert_eq!(form("text/html"), None);
        assert_eq!(
            form("*/*, application/x-ndjson;q=0, application/ndjson;q=0"),
            Some(StreamForm::Events)
        );
    }

    #[test]
    fn unary_responses_need_json_to_be_accepted() {
        for value in ["*/*", "application/*", "application/json;q=0.1", "application/problem+json"]
        {
            assert!(json(&accepting(value)).is_ok(), "{value}");
        }
        for value in ["text/html", "application/json;q=0", "application/xml, text/*"] {
            assert!(json(&accepting(value)).is_err(), "{value}");
        }
        assert!(wants_problem(&accepting("application/problem+json, application/json")));
        assert!(!wants_problem(&accepting("application/json, application/problem+json;q=0.5")));
        assert!(!wants_problem(&accepting("*/*")));
    }

    #[test]
    fn json_bodies_need_a_json_media_type() {
        let body = |value: &str| {
            json_body(&HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]))
        };
        for value in
            ["application/json", "application/json; charset=UTF-8", "Application/Merge-Patch+JSON"]
        {
            assert!(body(value).is_ok(), "{value}");
        }
        for value in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=latin1",
            "",
            "multipart/form-data; boundary=x",
        ] {
            assert!(body(value).is_err(), "{value}");
        }
    }
}
