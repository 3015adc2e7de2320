//! Records the response to every public GET route, to compare them later.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::world::{PROBLEM, World};

const ROUTES: &str = include_str!("../../../../proto/routes.txt");

/// Routes that are not recorded: an endless stream, and the current state of workers.
const EXCLUDED: [&str; 2] = ["/v1/events", "/v1/judge/workers"];

/// An id that nothing has.
const UNKNOWN: &str = "00000000-0000-7000-8000-000000000000";
/// A rejudging that does not exist.
const REJUDGING: &str = "/rejudgings/00000000-0000-0000-0000-000000000007";
const REJUDGING_WATCH: &str = "/rejudgings/00000000-0000-0000-0000-000000000007:watch";

pub type Caller<'a> = (&'a str, Option<&'a str>);

/// Status, content type and body, by caller and path.
pub type Responses = BTreeMap<String, String>;

pub struct Recorder<'a> {
    world: &'a World,
    responses: Responses,
    /// The requested routes, as in `routes.txt`.
    routes: BTreeSet<&'static str>,
}

impl<'a> Recorder<'a> {
    pub fn new(world: &'a World) -> Self {
        Self { world, responses: Responses::new(), routes: BTreeSet::new() }
    }

    /// The responses to all callers. Fails if a GET route was not requested.
    pub async fn everything(mut self, callers: &[Caller<'_>], users: &[String]) -> Responses {
        for caller in callers {
            self.public(*caller, users).await;
            self.problems(*caller).await;
            self.submissions(*caller, users).await;
            self.contest(*caller).await;
            self.duels(*caller).await;
            self.teams(*caller).await;
        }
        let all = ROUTES.lines().filter_map(|line| line.strip_prefix("GET "));
        let all: BTreeSet<&str> = all.filter_map(|line| line.split(' ').next()).collect();
        let missing: Vec<_> = all.difference(&self.routes).collect();
        assert_eq!(missing, EXCLUDED.iter().collect::<Vec<_>>(), "routes that were not requested");
        self.responses
    }

    async fn public(&mut self, caller: Caller<'_>, users: &[String]) {
        for path in [
            "/.well-known/jwks.json",
            "/v1/dead-letters",
            "/v1/invitations",
            "/v1/judge/queue",
            "/v1/languages",
            "/v1/role-bindings",
            "/v1/roles",
        ] {
            self.record(caller, path, path).await;
        }
        self.pages(caller, "/v1/users", "/v1/users?pageSize=7").await;
        let sessions = self.record(caller, "/v1/sessions", "/v1/sessions").await;
        for session in sessions["sessions"].as_array().into_iter().flatten() {
            let id = session["sessionId"].as_str().unwrap();
            self.record(caller, "/v1/sessions/{session_id}", &format!("/v1/sessions/{id}")).await;
        }
        for user in users.iter().map(String::as_str).chain(["me", "unknown"]) {
            self.record(caller, "/v1/users/{user_id}", &format!("/v1/users/{user}")).await;
        }
    }

    async fn problems(&mut self, caller: Caller<'_>) {
        self.pages(caller, "/v1/problems", "/v1/problems?pageSize=2").await;
        let imports = self.pages(caller, "/v1/problem-imports", "/v1/problem-imports").await;
        let one = "/v1/problem-imports/{problem_import_id}";
        for import in listed(&imports, "problemImports") {
            let path =
                format!("/v1/problem-imports/{}", import["problemImportId"].as_str().unwrap());
            self.record(caller, one, &path).await;
            let watch = "/v1/problem-imports/{problem_import_id}:watch";
            self.record(caller, watch, &format!("{path}:watch")).await;
        }
        let path = format!("/v1/problems/{PROBLEM}");
        for (route, rest) in [
            ("", ""),
            ("/statement", "/statement"),
            ("/statements/{language}", "/statements/en"),
            ("/statements/{language}", "/statements/xx"),
            ("/attachments/{name}", "/attachments/none.txt"),
            ("/versions", "/versions"),
            ("/versions/{version}", "/versions/1"),
            ("/versions/{version}", "/versions/9"),
        ] {
            let route = Box::leak(format!("/v1/problems/{{problem_id}}{route}").into_boxed_str());
            self.record(caller, route, &format!("{path}{rest}")).await;
        }
    }

    async fn submissions(&mut self, caller: Caller<'_>, users: &[String]) {
        let list = "/v1/submissions";
        for user in users {
            self.pages(caller, list, &format!("{list}?userId={user}&pageSize=3")).await;
        }
        self.pages(caller, list, &format!("{list}?problemId={PROBLEM}&pageSize=50")).await;
        let pages = self.pages(caller, list, &format!("{list}?pageSize=20")).await;
        for submission in listed(&pages, "submissions") {
            let path = format!("{list}/{}", submission["submissionId"].as_str().unwrap());
            self.record(caller, "/v1/submissions/{submission_id}", &path).await;
            let source = "/v1/submissions/{submission_id}/source";
            self.record(caller, source, &format!("{path}/source")).await;
            let watch = "/v1/submissions/{submission_id}:watch";
            self.record(caller, watch, &format!("{path}:watch")).await;
        }
    }

    /// The contest is canceled: streams of others do not end.
    async fn contest(&mut self, caller: Caller<'_>) {
        self.pages(caller, "/v1/contests", "/v1/contests?pageSize=1").await;
        for (route, rest) in [
            ("", ""),
            (":watch", ":watch"),
            ("/awards", "/awards"),
            ("/awards", "/awards?view=STANDINGS_VIEW_JURY"),
            ("/balloons", "/balloons?includeFrozen=true"),
            ("/balloons:watch", "/balloons:watch"),
            ("/clarifications", "/clarifications"),
            ("/clarifications:watch", "/clarifications:watch"),
            ("/jury-actions", "/jury-actions"),
            ("/participants", "/participants"),
            ("/problems", "/problems"),
            ("/rejudgings", "/rejudgings"),
            ("/rejudgings/{rejudging_id}", REJUDGING),
            ("/rejudgings/{rejudging_id}:watch", REJUDGING_WATCH),
            ("/problems/{label}/attachments/{name}", "/problems/A/attachments/none.txt"),
            ("/problems/{label}/statement", "/problems/A/statement"),
            ("/results", "/results"),
            ("/results", "/results?format=RESULTS_FORMAT_HTML&view=STANDINGS_VIEW_JURY"),
            ("/standings", "/standings"),
            ("/standings", "/standings?view=STANDINGS_VIEW_JURY"),
            ("/standings:watch", "/standings:watch"),
        ] {
            let route = Box::leak(format!("/v1/contests/{{contest_id}}{route}").into_boxed_str());
            self.record(caller, route, &format!("/v1/contests/round{rest}")).await;
        }
    }

    /// The only duel is an invitation that was declined, which others do not see.
    async fn duels(&mut self, caller: Caller<'_>) {
        self.pages(caller, "/v1/duels", "/v1/duels?userId=me").await;
        let path = "/v1/duels?state=DUEL_STATE_DECLINED";
        let duels = self.record(caller, "/v1/duels", path).await;
        let id = duels["duels"][0]["duelId"].as_str().unwrap_or(UNKNOWN).to_owned();
        for rest in ["", ":watch"] {
            let route = Box::leak(format!("/v1/duels/{{duel_id}}{rest}").into_boxed_str());
            self.record(caller, route, &format!("/v1/duels/{id}{rest}")).await;
            let route = format!("/v1/matchmaking-tickets/{{ticket_id}}{rest}");
            let path = format!("/v1/matchmaking-tickets/{UNKNOWN}{rest}");
            self.record(caller, Box::leak(route.into_boxed_str()), &path).await;
        }
    }

    async fn teams(&mut self, caller: Caller<'_>) {
        let teams = self.pages(caller, "/v1/teams", "/v1/teams").await;
        let ids = listed(&teams, "teams").map(|team| team["teamId"].as_str().unwrap().to_owned());
        for id in ids.chain([UNKNOWN.to_owned()]) {
            self.record(caller, "/v1/teams/{team_id}", &format!("/v1/teams/{id}")).await;
        }
    }

    async fn pages(&mut self, caller: Caller<'_>, route: &'static str, path: &str) -> Vec<Value> {
        let mut pages = vec![self.record(caller, route, path).await];
        while let Some(token) = pages.last().and_then(|page| page["nextPageToken"].as_str()) {
            if token.is_empty() {
                break;
            }
            let separator = if path.contains('?') { '&' } else { '?' };
            let (number, next) = (pages.len(), format!("{path}{separator}pageToken={token}"));
            let page = self.record_as(caller, route, &next, &format!("{path} page {number}")).await;
            pages.push(page);
        }
        pages
    }

    async fn record(&mut self, caller: Caller<'_>, route: &'static str, path: &str) -> Value {
        self.record_as(caller, route, path, path).await
    }

    async fn record_as(
        &mut self,
        (caller, token): Caller<'_>,
        route: &'static str,
        path: &str,
        name: &str,
    ) -> Value {
        self.routes.insert(route);
        let mut request = self.world.http.get(self.world.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        assert!(!status.is_server_error() && status != 429, "{caller}: {path}: {status}");
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap());
        let head = format!("{status} {}\n", kind.unwrap_or_default());
        let body = response.text().await.unwrap();
        let json = serde_json::from_str(&body).unwrap_or_default();
        let previous =
            self.responses.insert(format!("{caller}: {name}"), head + &without_tokens(&body));
        assert!(previous.is_none_or(|previous| !previous.is_empty()));
        json
    }
}

fn listed<'p>(pages: &'p [Value], name: &'static str) -> impl Iterator<Item = Value> + use<'p> {
    pages.iter().flat_map(move |page| page[name].as_array().cloned().unwrap_or_default())
}

/// Removes page tokens and ETags, which may differ.
fn without_tokens(body: &str) -> String {
    let mut text = body.to_owned();
    for key in ["\"nextPageToken\":\"", "\"etag\":\""] {
        let mut from = 0;
        while let Some(at) = text[from..].find(key) {
            let start = from + at + key.len();
            let Some(end) = text[start..].find('"') else { break };
            text.replace_range(start..start + end, "");
            from = start;
        }
    }
    text
}

/// Fails with the first response that differs.
#[track_caller]
pub fn assert_same(before: &Responses, after: &Responses) {
    assert!(before.len() > 50, "{}", before.len());
    for (request, response) in before {
        assert_eq!(Some(response), after.get(request), "{request}");
    }
    assert_eq!(before.len(), after.len());
}
