//! The read side of the Contest API of ICPC (2026-01), below `/api/ccs`.
//!
//! Reads by RPC with the credential of the caller: the challenge service alone decides who sees what, also during a freeze.
//! This is the only module of the gateway that knows messages of services.

mod access;
mod client;
mod credential;
mod events;
mod shape;
mod time;

use std::time::Instant;

use axum::body::Body;
use axum::extract::Query;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use prost_types::Timestamp;
use proto::challenge::Contest;
use serde_json::{Value, json};
use tonic::Code;

use crate::edge::{Edge, Peer};
use crate::failure::Failure;
use crate::{accept, call, headers};
use client::Client;
use credential::Credential;

const ROOT: &str = "/api/ccs";
/// The methods of all paths.
pub const METHODS: &str = "GET, HEAD, OPTIONS";

/// Collections, whose elements have paths of their own.
const COLLECTIONS: [&str; 10] = [
    "judgement-types",
    "languages",
    "problems",
    "groups",
    "organizations",
    "teams",
    "submissions",
    "judgements",
    "awards",
    "clarifications",
];
const SINGLES: [&str; 3] = ["access", "state", "scoreboard"];

/// A path of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target<'p> {
    Information,
    Contests,
    Contest(&'p str),
    Single(&'p str, &'static str),
    Collection(&'p str, &'static str),
    Element(&'p str, &'static str, &'p str),
}

impl<'p> Target<'p> {
    /// One slash at the end does not matter. Ids need no percent-encoding.
    fn of(path: &'p str) -> Option<Self> {
        let rest = path.strip_prefix(ROOT)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let parts: Vec<&str> = rest.split('/').skip(1).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        let known =
            |all: &'static [&'static str], name| all.iter().copied().find(|one| *one == name);
        Some(match parts[..] {
            [] => Target::Information,
            ["contests"] => Target::Contests,
            ["contests", id] => Target::Contest(id),
            ["contests", id, name] => match known(&SINGLES, name) {
                Some(single) => Target::Single(id, single),
                None => Target::Collection(id, known(&COLLECTIONS, name)?),
            },
            ["contests", id, name, element] => {
                Target::Element(id, known(&COLLECTIONS, name)?, element)
            }
            _ => return None,
        })
    }

    fn template(self) -> String {
        match self {
            Target::Information => ROOT.to_owned(),
            Target::Contests => format!("{ROOT}/contests"),
            Target::Contest(_) => format!("{ROOT}/contests/{{id}}"),
            Target::Single(_, name) | Target::Collection(_, name) => {
                format!("{ROOT}/contests/{{id}}/{name}")
            }
            Target::Element(_, name, _) => format!("{ROOT}/contests/{{id}}/{name}/{{id}}"),
        }
    }
}

/// Whether the path belongs to this API.
pub fn owns(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The template of the route, for metrics and logs.
pub fn template(path: &str) -> Option<String> {
    Target::of(path).map(Target::template)
}

pub async fn respond(
    edge: &Edge,
    parts: &Parts,
    context: &rpc::Context,
) -> Result<Response, Failure> {
    let target = Target::of(parts.uri.path()).ok_or_else(unknown)?;
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(Failure::method_not_allowed(METHODS));
    }
    accept::json(&parts.headers)?;
    let credential = Credential::of(&parts.headers)?;
    let address = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let address = headers::client_address(address, &parts.headers, &edge.config.trusted_proxies);
    // Its credential must be valid for services.
    let mut forwarded = parts.headers.clone();
    forwarded.remove(http::header::AUTHORIZATION);
    let metadata = headers::request_metadata(&forwarded, context, address)?;
    let _permit = call::permit(&edge.unary)?;
    let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    let Query(query) = query.map_err(|_| {
        let message = "the query must be percent-encoded UTF-8";
        Failure::client(StatusCode::BAD_REQUEST, "QUERY_MALFORMED", message)
    })?;
    let timeout = edge.config.deadline(headers::requested_timeout(&parts.headers), false);
    let deadline = Instant::now() + timeout;
    let client = Client::open(edge, metadata.clone(), &credential, deadline).await?;
    let json = match read(&client, target, &query).await {
        Err(failure) if client.is_stale(&failure) => {
            let client = Client::open(edge, metadata, &credential, deadline).await?;
            read(&client, target, &query).await?
        }
        result => result?,
    };
    let mut response = Response::new(Body::from(json.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The response to a failed request: the error of the specification.
pub fn failed(edge: &Edge, failure: Failure) -> Response {
    let message = failure.message().to_owned();
    let mut response = failure.into_response(&edge.plan, false, false);
    let code = response.status();
    let json = json!({"code": code.as_u16(), "message": message});
    *response.body_mut() = Body::from(json.to_string());
    response.headers_mut().remove(CONTENT_LENGTH);
    if code == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"agon\", charset=\"UTF-8\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    }
    response
}

async fn read(
    client: &Client<'_>,
    target: Target<'_>,
    query: &[(String, String)],
) -> Result<Value, Failure> {
    match target {
        Target::Information => Ok(shape::information()),
        Target::Contests => {
            let contests = client.contests().await?;
            Ok(contests.iter().map(shape::contest).collect())
        }
        Target::Contest(id) => Ok(shape::contest(&client.contest(id).await?)),
        Target::Single(id, name) => {
            let contest = client.contest(id).await?;
            match name {
                "access" => Ok(access::access(client.is_known())),
                "state" => Ok(shape::state(&contest)),
                _ => scoreboard(client, &contest, query).await,
            }
        }
        Target::Collection(id, name) => {
            let contest = client.contest(id).await?;
            let mut all = collection(client, &contest, name).await?;
            let filters = query.iter().filter(|(property, _)| access::can_filter(name, property));
            for (property, wanted) in filters {
                all.retain(|one| one[property.as_str()].as_str().unwrap_or_default() == wanted);
            }
            Ok(Value::Array(all))
        }
        Target::Element(id, name, element) => {
            let contest = client.contest(id).await?;
            let all = collection(client, &contest, name).await?;
            all.into_iter().find(|one| one["id"] == element).ok_or_else(unknown)
        }
    }
}

async fn collection(
    client: &Client<'_>,
    contest: &Contest,
    name: &str,
) -> Result<Vec<Value>, Failure> {
    let id = contest.contest_id.as_str();
    Ok(match name {
        "judgement-types" => shape::judgement_types(),
        "languages" => shape::languages(&client.languages().await?, &contest.languages),
        "problems" => shape::problems(&client.problems(id).await?),
        "groups" => shape::groups(&client.participants(id).await?),
        "organizations" => shape::organizations(&client.participants(id).await?),
        "teams" => shape::teams(&client.participants(id).await?),
        "awards" => events::awards(&client.awards(id).await?),
        "clarifications" => {
            events::clarifications(&client.clarifications(id).await?, contest.start_time)
        }
        _ => {
            let submissions = client.submissions(id).await?;
            if submissions.is_empty() {
                return Ok(Vec::new());
            }
            let (participants, problems) =
                (client.participants(id).await?, client.problems(id).await?);
            let names = events::Names::new(&participants, &problems);
            if name == "submissions" {
                events::submissions(&submissions, &names)
            } else {
                events::judgements(&submissions, &names, contest.start_time)
            }
        }
    })
}

async fn scoreboard(
    client: &Client<'_>,
    contest: &Contest,
    query: &[(String, String)],
) -> Result<Value, Failure> {
    let id = contest.contest_id.as_str();
    let wanted = query.iter().find(|(name, _)| name == "group_id").map(|(_, wanted)| wanted);
    let group = match wanted {
        None => String::new(),
        Some(wanted) => {
            let participants = client.participants(id).await?;
            let found =
                participants.into_iter().find(|one| shape::group_id(one).as_ref() == Some(wanted));
            let invalid = || {
                let message = "group_id must be the id of a group of the contest";
                Failure::client(StatusCode::BAD_REQUEST, "GROUP_UNKNOWN", message)
            };
            found.ok_or_else(invalid)?.group
        }
    };
    let pages = client.standings(id, &group).await?;
    let now = ids::Clock::system().now();
    let nanos = i32::try_from(now.timestamp_subsec_nanos()).unwrap_or(0);
    let now = Timestamp { seconds: now.timestamp(), nanos };
    Ok(events::scoreboard(contest, &pages, now))
}

fn unknown() -> Failure {
    let message = "no object of the Contest API has this path";
    Failure::new(StatusCode::NOT_FOUND, Code::NotFound, "OBJECT_NOT_FOUND", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        for (path, expected) in [
            ("/api/ccs", Some(Target::Information)),
            ("/api/ccs/", Some(Target::Information)),
            ("/api/ccs/contests", Some(Target::Contests)),
            ("/api/ccs/contests/c", Some(Target::Contest("c"))),
            ("/api/ccs/contests/c/", Some(Target::Contest("c"))),
            ("/api/ccs/contests/c/state", Some(Target::Single("c", "state"))),
            ("/api/ccs/contests/c/teams", Some(Target::Collection("c", "teams"))),
            ("/api/ccs/contests/c/teams/t", Some(Target::Element("c", "teams", "t"))),
            ("/api/ccs/contests/c/state/x", None),
            ("/api/ccs/contests/c/persons", None),
            ("/api/ccs/contests//teams", None),
            ("/api/ccs//", None),
            ("/api/ccs/x", None),
            ("/api/ccs/contests/c/teams/t/x", None),
        ] {
            assert_eq!(Target::of(path), expected, "{path}");
            assert!(owns(path), "{path}");
        }
        assert!(!owns("/api/ccsx") && !owns("/v1/contests") && !owns("/api"));
        assert_eq!(
            template("/api/ccs/contests/c/teams/t").unwrap(),
            "/api/ccs/contests/{id}/teams/{id}"
        );
    }
}
