//! One contest, from its draft to its results.

use std::process::Stdio;

use access::testing::bearer;
use proto::challenge::contest_service_client::ContestServiceClient;
use proto::challenge::{StandingsView, WatchStandingsRequest};
use reqwest::Method;
use rpc::Channel;
use serde_json::{Value, json};

use crate::world::{PROBLEM, PYTHON, World, eventually, failed, succeeded};

/// The contest is frozen from its start, so that every verdict is hidden until the thaw.
pub async fn from_draft_to_results(world: &World) {
    let admin = world.log_in("admin", &world.admin_password()).await;
    let [ada, bob] = ["contestant-a", "contestant-b"].map(async |name| world.player(name).await);
    let (ada, bob) = (ada.await, bob.await);
    let start = chrono::DateTime::from_timestamp(now() + 3, 0).unwrap();
    let contest = json!({
        "slug": "story", "title": "Story", "startTime": start.to_rfc3339(),
        "duration": "3600s", "freezeDuration": "3600s",
    });
    let problems = json!([{"label": "A", "problemId": PROBLEM, "color": "#FF0000"}]);
    let body = json!({"contest": contest, "problems": problems});
    let draft = world.post("/v1/contests", Some(&admin), body).await;
    assert_eq!(draft["state"], "CONTEST_STATE_DRAFT", "{draft}");
    let hidden = world.call(Method::GET, "/v1/contests/story", Some(&ada), None).await;
    assert_eq!(hidden.0, 404, "{}", hidden.1);
    world.post("/v1/contests/story:publish", Some(&admin), json!({})).await;
    for token in [&ada, &bob] {
        world.post("/v1/contests/story:register", Some(token), json!({})).await;
    }
    eventually("the contest starts", async || {
        let contest = world.get("/v1/contests/story", None).await;
        (contest["state"] == "CONTEST_STATE_FROZEN").then_some(())
    })
    .await;

    let channel = Channel::connect(&world.server.grpc).unwrap();
    let mut client = ContestServiceClient::new(channel);
    let view = StandingsView::Jury.into();
    let watch = WatchStandingsRequest { contest_id: "story".into(), view, ..Default::default() };
    let stream = client.watch_standings(bearer(&admin, watch)).await;
    let mut jury = stream.unwrap().into_inner();
    let statement = world.get("/v1/contests/story/problems/A/statement", Some(&ada)).await;
    assert!(!statement["html"].as_str().unwrap().is_empty(), "{statement}");
    for (token, source) in [(&bob, "print(0)\n"), (&ada, PYTHON)] {
        let body = json!({
            "challengeId": "story", "problemId": "A", "language": "python3", "source": source,
        });
        let created = world.post("/v1/submissions", Some(token), body).await;
        world.verdict(token, created["submissionId"].as_str().unwrap()).await;
    }
    // Every instance shows the jury what is hidden from the public.
    loop {
        let update = jury.message().await.unwrap().expect("the stream ended");
        if update.rows.iter().any(|row| row.solved_count == 1) {
            break;
        }
    }
    let public = world.get("/v1/contests/story/standings", None).await;
    assert_eq!(table(&public), [("contestant-a", 1, 0), ("contestant-b", 1, 0)], "{public}");
    assert_eq!(public["rows"][0]["cells"][0]["pendingCount"], 1, "{public}");

    let seconds = now() - start.timestamp() + 1;
    let body = json!({"duration": format!("{seconds}s")});
    world.post("/v1/contests/story:extend", Some(&admin), body).await;
    eventually("the contest ends", async || {
        let contest = world.get("/v1/contests/story", None).await;
        (contest["state"] == "CONTEST_STATE_ENDED").then_some(())
    })
    .await;
    let body = json!({"reason": "the tests changed"});
    let rejudging = world.post("/v1/contests/story/rejudgings", Some(&admin), body).await;
    let id = rejudging["rejudgingId"].as_str().unwrap();
    let path = format!("/v1/contests/story/rejudgings/{id}");
    eventually("the submissions are judged again", async || {
        let found = world.get(&path, Some(&admin)).await;
        (found["rejudging"]["judgedCount"] == 2).then_some(())
    })
    .await;
    let applied = world.post(&format!("{path}:apply"), Some(&admin), json!({})).await;
    assert_eq!(applied["state"], "REJUDGING_STATE_APPLIED", "{applied}");
    assert_eq!(applied["changedCount"].as_i64().unwrap_or_default(), 0, "{applied}");
    world.post("/v1/contests/story:thaw", Some(&admin), json!({})).await;
    let done = world.post("/v1/contests/story:finalize", Some(&admin), json!({})).await;
    assert_eq!(done["state"], "CONTEST_STATE_FINALIZED", "{done}");
    let public = world.get("/v1/contests/story/standings", None).await;
    assert_eq!(table(&public), [("contestant-a", 1, 1), ("contestant-b", 2, 0)], "{public}");
    let awards = world.get("/v1/contests/story/awards", None).await;
    assert_eq!(awards["awards"][0]["awardId"], "winner", "{awards}");
    assert_eq!(awards["awards"][0]["participantName"], "contestant-a", "{awards}");
    let results = world.http.get(world.url("/v1/contests/story/results")).send().await.unwrap();
    let media = results.headers()["content-type"].to_str().unwrap().to_owned();
    let results = results.text().await.unwrap();
    assert!(media.starts_with("text/tab-separated-values"), "{media}");
    assert!(results.starts_with("results\t1\n") && results.contains("Gold Medal"), "{results}");
}

/// A contest from a file to its results, by commands.
pub async fn organised_by_commands(world: &World) {
    world.log_in_admin();
    let schema = succeeded(&world.agon(&["contest", "schema"]));
    let file = world.dir.path().join("contest.yaml");
    let path = file.display().to_string();
    std::fs::write(&file, &schema).unwrap();
    let valid = succeeded(&world.agon(&["contest", "create", &path, "--dry-run"]));
    assert!(valid.contains("autumn-round, 2030-10-05 08:00:00 UTC, 5:00 hours"), "{valid}");

    std::fs::write(&file, schema.replace("duration: 5h", "duration: long")).unwrap();
    let refused = world.agon(&["contest", "create", &path]);
    failed(&refused, 1, "contest.yaml:14: duration: must be 1s to 60d");
    let start = chrono::DateTime::from_timestamp(now() + 3, 0).unwrap().to_rfc3339();
    let yaml = |problem: &str| {
        format!(
            "slug: by-command\ntitle: By command\nstart: {start}\nduration: 2s\n\
             problems:\n- problem: {problem}\n"
        )
    };
    // Only the server knows the problems.
    std::fs::write(&file, yaml("no-such-problem")).unwrap();
    failed(&world.agon(&["contest", "create", &path]), 1, "problem");
    std::fs::write(&file, yaml(PROBLEM)).unwrap();
    let created = succeeded(&world.agon(&["contest", "create", &path, "--publish"]));
    assert!(created.ends_with("Published by-command.\n"), "{created}");
    failed(&world.agon(&["contest", "create", &path]), 1, "another contest has this slug");
    let player = world.player("contestant-c").await;
    world.post("/v1/contests/by-command:register", Some(&player), json!({})).await;

    failed(&world.agon(&["contest", "finalize", "by-command"]), 1, "");
    let mut watch = world.command(&["contest", "standings", "by-command"]);
    let watching = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the contest is finalized", async || {
        world.agon(&["contest", "finalize", "by-command"]).status.success().then_some(())
    })
    .await;
    let watched = tokio::task::block_in_place(|| watching.wait_with_output()).unwrap();
    assert_eq!(succeeded(&watched), "1\tcontestant-c\t0\t0\n");
    let results = |format: &str| {
        succeeded(&world.agon(&["contest", "results", "by-command", "--format", format]))
    };
    assert!(results("text").ends_with("   1  contestant-c       0        0\n"));
    assert_eq!(results("tsv"), "rank\tname\tsolved\tpenalty\tA\n1\tcontestant-c\t0\t0\t\n");
    let json: Value = serde_json::from_str(&results("json")).unwrap();
    assert_eq!((&json["state"], &json["rows"][0]["rank"]), (&"finalized".into(), &1.into()));
    failed(&world.agon(&["contest", "results", "no-such-contest"]), 1, "there is no such contest");
}

/// A contest `round` with a participant, a judged submission that the jury ignores, and no results.
pub async fn canceled(world: &World, admin: &str, player: &str) {
    let start = chrono::DateTime::from_timestamp(now() + 2, 0).unwrap().to_rfc3339();
    let contest = json!({
        "slug": "round", "title": "Round", "startTime": start, "duration": "3600s",
    });
    let body = json!({"contest": contest, "problems": [{"label": "A", "problemId": PROBLEM}]});
    world.post("/v1/contests", Some(admin), body).await;
    world.post("/v1/contests/round:publish", Some(admin), json!({})).await;
    world.post("/v1/contests/round:register", Some(player), json!({})).await;
    eventually("the contest starts", async || {
        let contest = world.get("/v1/contests/round", None).await;
        (contest["state"] == "CONTEST_STATE_RUNNING").then_some(())
    })
    .await;
    let body = json!({
        "challengeId": "round", "problemId": "A", "language": "python3", "source": PYTHON,
    });
    let created = world.post("/v1/submissions", Some(player), body).await;
    let id = created["submissionId"].as_str().unwrap();
    world.verdict(player, id).await;
    let (questions, text) = ("/v1/contests/round/clarifications", json!({"question": "Why?"}));
    let asked = world.post(questions, Some(player), text).await;
    let path = format!("{questions}/{}:answer", asked["clarificationId"].as_str().unwrap());
    world.post(&path, Some(admin), json!({"answer": "So.", "public": true})).await;
    let body = json!({"label": "A", "text": "Lunch"});
    world.post("/v1/contests/round/announcements", Some(admin), body).await;
    let path = format!("/v1/contests/round/balloons/{id}:deliver");
    world.post(&path, Some(admin), json!({})).await;
    let path = format!("/v1/contests/round/submissions/{id}:ignore");
    world.post(&path, Some(admin), json!({"reason": "sent twice"})).await;
    world.post("/v1/contests/round:cancel", Some(admin), json!({})).await;
}

fn now() -> i64 {
    ids::Clock::system().now().timestamp()
}

/// Name, rank and solved problems of each row.
fn table(standings: &Value) -> Vec<(&str, i64, i64)> {
    let rows = standings["rows"].as_array().unwrap().iter();
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    rows.map(|row| {
        (row["name"].as_str().unwrap(), number(&row["rank"]), number(&row["solvedCount"]))
    })
    .collect()
}
