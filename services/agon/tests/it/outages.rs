//! What clients get while PostgreSQL or auth is away, and right after.

use std::time::{Duration, Instant};

use db::{Db, Options};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{PROBLEM, PYTHON, Server, World};

/// Longer than confirmations of tokens are valid.
const WATCHED: Duration = Duration::from_secs(3);
/// The longest time until a call fails.
const SOON: Duration = Duration::from_secs(3);

impl World {
    /// Ten processes, each with one service, must fit into 60 connections.
    pub async fn has_few_connections(&self, postgres: &str) {
        let db = Db::open(&Options::new(postgres, "probe")).await.unwrap();
        let count: i64 = db
            .query(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE application_name LIKE 'agon-%' AND application_name <> 'agon-probe'",
            )
            .fetch_scalar()
            .await
            .unwrap();
        let processes = self
            .others
            .iter()
            .filter(|member| agon::services::ALL.iter().any(|service| service.name == member.role));
        let processes = i64::try_from(processes.count()).unwrap();
        eprintln!("{count} connections of {processes} processes");
        assert!(count <= 6 * processes, "{count} connections of {processes} processes");
        db.close().await;
    }

    /// While PostgreSQL is stopped.
    pub async fn reports_database_outage(&self) {
        for _ in 0..5 {
            let started = Instant::now();
            let (status, answer) = self.call(Method::GET, "/v1/problems", None, None).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
            assert!(answer.to_string().contains("retryDelay"), "{answer}");
            assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        }
    }

    /// Kills all auth processes, and starts them again.
    pub async fn reads_survive_an_outage_of_auth(&mut self) {
        let token = self.player("bea").await;
        let submission =
            self.judged(&token, PROBLEM, "python3", &format!("# auth\n{PYTHON}")).await;
        let path = format!("/v1/submissions/{}", submission["submissionId"].as_str().unwrap());
        for member in self.others.iter_mut().filter(|member| member.role == "auth") {
            tokio::task::block_in_place(|| member.server.kill());
        }
        let body = |number: usize| json!({"problemId": PROBLEM, "language": "python3", "source": format!("# {number}\n{PYTHON}")});
        let (started, mut number) = (Instant::now(), 0);
        while started.elapsed() < WATCHED {
            self.reads(&path, &token).await;
            let submitted = Instant::now();
            let (status, answer) = self.submits(&token, body(number)).await;
            // A token is valid for a second after its confirmation.
            let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
            assert!(unavailable || status.is_success(), "{status}: {answer}");
            assert!(submitted.elapsed() < SOON, "{:?}", submitted.elapsed());
            number += 1;
        }
        for member in self.others.iter_mut().filter(|member| member.role == "auth") {
            member.server = tokio::task::block_in_place(|| Server::start(&member.flags));
        }
        let back = Instant::now();
        while !self.submits(&token, body(number)).await.0.is_success() {
            self.reads(&path, &token).await;
            number += 1;
            assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
        }
    }

    async fn reads(&self, path: &str, token: &str) {
        self.get("/v1/problems", None).await;
        self.get(path, Some(token)).await;
    }

    async fn submits(&self, token: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, "/v1/submissions", Some(token), Some(body)).await
    }
}
