//! What an installation answers to every public GET, to compare it with what it answers later.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::world::{PROBLEM, World};

const ROUTES: &str = include_str!("../../../../proto/routes.txt");

/// What is not recorded: a stream without an end, and what says how the judge is right now.
const LEFT_OUT: [&str; 2] = ["/v1/events", "/v1/judge/workers"];

/// Who asks: a name and an access token.
pub type Asking<'a> = (&'a str, Option<&'a str>);

/// By who asked and what for: status, type and body.
pub type Answers = BTreeMap<String, String>;

/// Records answers.
pub struct Recorder<'a> {
    world: &'a World,
    answers: Answers,
    /// The routes that were asked, as `routes.txt` has them.
    routes: BTreeSet<&'static str>,
}

impl<'a> Recorder<'a> {
    pub fn new(world: &'a World) -> Self {
        Self { world, answers: Answers::new(), routes: BTreeSet::new() }
    }

    /// All answers to all of these; every GET route was asked.
    pub async fn everything(mut self, asking: &[Asking<'_>], users: &[String]) -> Answers {
        for who in asking {
            self.public(*who, users).await;
            self.problems(*who).await;
            self.submissions(*who, users).await;
        }
        let all = ROUTES.lines().filter_map(|line| line.strip_prefix("GET "));
        let all: BTreeSet<&str> = all.filter_map(|line| line.split(' ').next()).collect();
        let missing: Vec<_> = all.difference(&self.routes).collect();
        assert_eq!(missing, LEFT_OUT.iter().collect::<Vec<_>>(), "routes that were not asked");
        self.answers
    }

    async fn public(&mut self, who: Asking<'_>, users: &[String]) {
        for path in [
            "/.well-known/jwks.json",
            "/v1/dead-letters",
            "/v1/invitations",
            "/v1/judge/queue",
            "/v1/languages",
            "/v1/role-bindings",
            "/v1/roles",
        ] {
            self.ask(who, path, path).await;
        }
        self.pages(who, "/v1/users", "/v1/users?pageSize=7").await;
        let sessions = self.ask(who, "/v1/sessions", "/v1/sessions").await;
        for session in sessions["sessions"].as_array().into_iter().flatten() {
            let id = session["sessionId"].as_str().unwrap();
            self.ask(who, "/v1/sessions/{session_id}", &format!("/v1/sessions/{id}")).await;
        }
        for user in users.iter().map(String::as_str).chain(["me", "nobody"]) {
            self.ask(who, "/v1/users/{user_id}", &format!("/v1/users/{user}")).await;
        }
    }

    async fn problems(&mut self, who: Asking<'_>) {
        self.pages(who, "/v1/problems", "/v1/problems?pageSize=2").await;
        let imports = self.pages(who, "/v1/problem-imports", "/v1/problem-imports").await;
        let one = "/v1/problem-imports/{problem_import_id}";
        for import in listed(&imports, "problemImports") {
            let path =
                format!("/v1/problem-imports/{}", import["problemImportId"].as_str().unwrap());
            self.ask(who, one, &path).await;
            let watch = "/v1/problem-imports/{problem_import_id}:watch";
            self.ask(who, watch, &format!("{path}:watch")).await;
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
            self.ask(who, route, &format!("{path}{rest}")).await;
        }
    }

    async fn submissions(&mut self, who: Asking<'_>, users: &[String]) {
        let list = "/v1/submissions";
        for user in users {
            self.pages(who, list, &format!("{list}?userId={user}&pageSize=3")).await;
        }
        self.pages(who, list, &format!("{list}?problemId={PROBLEM}&pageSize=50")).await;
        let pages = self.pages(who, list, &format!("{list}?pageSize=20")).await;
        for submission in listed(&pages, "submissions") {
            let path = format!("{list}/{}", submission["submissionId"].as_str().unwrap());
            self.ask(who, "/v1/submissions/{submission_id}", &path).await;
            let source = "/v1/submissions/{submission_id}/source";
            self.ask(who, source, &format!("{path}/source")).await;
            let watch = "/v1/submissions/{submission_id}:watch";
            self.ask(who, watch, &format!("{path}:watch")).await;
        }
    }

    /// All pages of a list.
    async fn pages(&mut self, who: Asking<'_>, route: &'static str, path: &str) -> Vec<Value> {
        let mut pages = vec![self.ask(who, route, path).await];
        while let Some(token) = pages.last().and_then(|page| page["nextPageToken"].as_str()) {
            if token.is_empty() {
                break;
            }
            let joint = if path.contains('?') { '&' } else { '?' };
            let (number, next) = (pages.len(), format!("{path}{joint}pageToken={token}"));
            let page = self.ask_as(who, route, &next, &format!("{path} page {number}")).await;
            pages.push(page);
        }
        pages
    }

    async fn ask(&mut self, who: Asking<'_>, route: &'static str, path: &str) -> Value {
        self.ask_as(who, route, path, path).await
    }

    async fn ask_as(
        &mut self,
        (who, token): Asking<'_>,
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
        assert!(!status.is_server_error() && status != 429, "{who}: {path}: {status}");
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap());
        let head = format!("{status} {}\n", kind.unwrap_or_default());
        let body = response.text().await.unwrap();
        let json = serde_json::from_str(&body).unwrap_or_default();
        let known = self.answers.insert(format!("{who}: {name}"), head + &blanked(&body));
        assert!(known.is_none_or(|known| !known.is_empty()));
        json
    }
}

fn listed<'p>(pages: &'p [Value], name: &'static str) -> impl Iterator<Item = Value> + use<'p> {
    pages.iter().flat_map(move |page| page[name].as_array().cloned().unwrap_or_default())
}

/// A body without what may differ: tokens and ETags.
fn blanked(body: &str) -> String {
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

/// Fails with the first answers that are not the same.
#[track_caller]
pub fn assert_same(before: &Answers, after: &Answers) {
    assert!(before.len() > 50, "{}", before.len());
    for (question, answer) in before {
        assert_eq!(Some(answer), after.get(question), "{question}");
    }
    assert_eq!(before.len(), after.len());
}
