//! The Contest API of ICPC, as the public, a player and an administrator read it.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{PROBLEM, PYTHON, World, eventually};

type Account<'a> = Option<(&'a str, &'a str)>;

const PATHS: [&str; 14] = [
    "",
    "/access",
    "/state",
    "/judgement-types",
    "/languages",
    "/problems",
    "/groups",
    "/organizations",
    "/teams",
    "/submissions",
    "/judgements",
    "/awards",
    "/clarifications",
    "/scoreboard",
];

/// The contest is frozen from its start, so that its verdicts are hidden.
pub async fn tools_follow_a_contest(world: &World) {
    let password = world.admin_password();
    let jury = Some(("admin", password.as_str()));
    let admin = world.log_in("admin", &password).await;
    let player = world.player("tool-user").await;
    let team = Some(("tool-user", "a long password of tool-user"));
    let start = chrono::DateTime::from_timestamp(ids::Clock::system().now().timestamp() + 3, 0);
    let contest = json!({
        "slug": "tools", "title": "Tools", "startTime": start.unwrap().to_rfc3339(),
        "duration": "3600s", "freezeDuration": "3600s",
    });
    let body = json!({"contest": contest, "problems": [{"label": "A", "problemId": PROBLEM}]});
    world.post("/v1/contests", Some(&admin), body).await;
    let (status, error) = read(world, "/tools", None).await;
    assert_eq!((status, &error["code"]), (StatusCode::NOT_FOUND, &json!(404)), "{error}");
    world.post("/v1/contests/tools:publish", Some(&admin), json!({})).await;
    let participant = world.post("/v1/contests/tools:register", Some(&player), json!({})).await;
    let id = participant["participantId"].as_str().unwrap();
    let path = format!("/v1/contests/tools/participants/{id}");
    let change = json!({"organization": "Institute", "country": "NZL", "group": "South"});
    let path = format!("{path}?updateMask=organization,country,group");
    let changed = world.call(Method::PATCH, &path, Some(&admin), Some(change)).await;
    assert!(changed.0.is_success(), "{}", changed.1);
    let hidden = got(world, "/tools/problems", None).await;
    let shown = got(world, "/tools/problems", jury).await;
    let started = got(world, "/tools/state", None).await["started"] != Value::Null;
    assert!(hidden == json!([]) || started, "{hidden}");
    assert_eq!(shown[0]["label"], "A", "{shown}");

    eventually("the contest starts", async || {
        let state = got(world, "/tools/state", None).await;
        (state["frozen"] != Value::Null).then_some(())
    })
    .await;
    let body = json!({
        "challengeId": "tools", "problemId": "A", "language": "python3", "source": PYTHON,
    });
    let created = world.post("/v1/submissions", Some(&player), body).await;
    let submission = created["submissionId"].as_str().unwrap();
    eventually("the submission is on the scoreboard", async || {
        let board = got(world, "/tools/scoreboard", None).await;
        (board["rows"][0]["problems"][0]["num_pending"] == 1).then_some(())
    })
    .await;
    let before = everything(world, None).await;
    world.verdict(&player, submission).await;
    eventually("the jury sees the verdict", async || {
        let board = got(world, "/tools/scoreboard", jury).await;
        (board["rows"][0]["score"]["num_solved"] == 1).then_some(())
    })
    .await;
    assert_eq!(everything(world, None).await, before);

    let teams = got(world, "/tools/teams", None).await;
    let groups = got(world, "/tools/groups", None).await;
    assert_eq!((&teams[0]["id"], &teams[0]["name"]), (&json!(id), &json!("tool-user")));
    assert_eq!(
        (&groups[0]["name"], &groups[0]["id"]),
        (&json!("South"), &teams[0]["group_ids"][0])
    );
    let organizations = got(world, "/tools/organizations", None).await;
    assert_eq!(organizations[0]["id"], teams[0]["organization_id"], "{organizations}");
    assert_eq!(organizations[0]["country"], "NZL", "{organizations}");
    let group = groups[0]["id"].as_str().unwrap();
    let board = got(world, &format!("/tools/scoreboard?group_id={group}"), team).await;
    assert_eq!(board["rows"][0]["score"]["num_solved"], 0, "{board}");
    let unknown = read(world, "/tools/scoreboard?group_id=none", None).await;
    assert_eq!(unknown.0, StatusCode::BAD_REQUEST, "{}", unknown.1);

    assert_eq!(everything(world, team).await.len(), PATHS.len());
    let judged = got(world, &format!("/tools/judgements/{submission}"), jury).await;
    assert_eq!(judged["judgement_type_id"], "AC", "{judged}");
    let found = got(world, &format!("/tools/submissions?team_id={id}"), jury).await;
    assert_eq!((&found[0]["id"], &found[0]["problem_id"]), (&json!(submission), &json!("A")));
    assert_eq!(got(world, "/tools/submissions?team_id=other", jury).await, json!([]));
    for name in ["submissions", "judgements"] {
        assert_eq!(got(world, &format!("/tools/{name}"), None).await, json!([]), "{name}");
    }
    let answers = everything(world, jury).await;
    for (path, all) in PATHS.iter().zip(&answers) {
        let all: Value = serde_json::from_str(all).unwrap();
        let Some(one) = all.as_array().and_then(|all| all.first()) else { continue };
        let element = format!("/tools{path}/{}", one["id"].as_str().unwrap());
        assert_eq!(got(world, &element, jury).await, *one, "{element}");
    }
    // Sessions that have ended are replaced.
    world.post("/v1/sessions:deleteAll", Some(&player), json!({})).await;
    assert_eq!(everything(world, team).await.len(), PATHS.len());
    credentials(world, &admin).await;
}

async fn credentials(world: &World, token: &str) {
    let url = world.url("/api/ccs/contests/tools/judgements");
    let refused = world.http.get(&url).basic_auth("admin", Some("wrong")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let header = refused.headers()["www-authenticate"].to_str().unwrap();
    assert!(header.starts_with("Basic realm="), "{header}");
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], 401);
    let accepted = |response: Response| assert_eq!(response.status(), StatusCode::OK);
    accepted(world.http.get(&url).basic_auth("any", Some(token)).send().await.unwrap());
    accepted(world.http.get(&url).bearer_auth(token).send().await.unwrap());
    // Only this API accepts passwords.
    let other = world.http.get(world.url("/v1/sessions"));
    let other = other.basic_auth("admin", Some(world.admin_password())).send().await.unwrap();
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED);

    let information = world.get("/api/ccs", None).await;
    assert_eq!(information["version"], "2026-01", "{information}");
    let contests = got(world, "", None).await;
    let names: Vec<_> = contests.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert!(names.contains(&&json!("Tools")), "{contests}");
    for (method, path, status) in [
        (Method::POST, "/api/ccs/contests", 405),
        (Method::GET, "/api/ccs/contests/tools/persons", 404),
        (Method::GET, "/api/ccs/contests/tools/teams/none", 404),
        (Method::GET, "/api/ccs/contests/tools/teams?a=%ff", 200),
        (Method::GET, "/api/ccs/contests/%ff", 404),
    ] {
        let (found, body) = world.call(method, path, None, None).await;
        assert_eq!(found, status, "{path}: {body}");
        assert!(status == 200 || body["code"] == status, "{path}: {body}");
    }
}

/// The answers of all paths, without the time at which a scoreboard was read.
async fn everything(world: &World, account: Account<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for path in PATHS {
        let mut json = got(world, &format!("/tools{path}"), account).await;
        if path == "/scoreboard" {
            let board = json.as_object_mut().unwrap();
            board.remove("time").unwrap();
            board.remove("contest_time").unwrap();
        }
        all.push(json.to_string());
    }
    all
}

async fn got(world: &World, path: &str, account: Account<'_>) -> Value {
    let (status, json) = read(world, path, account).await;
    assert_eq!(status, StatusCode::OK, "{path}: {json}");
    json
}

async fn read(world: &World, path: &str, account: Account<'_>) -> (StatusCode, Value) {
    let mut request = world.http.get(world.url(&format!("/api/ccs/contests{path}")));
    if let Some((username, password)) = account {
        request = request.basic_auth(username, Some(password));
    }
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}
