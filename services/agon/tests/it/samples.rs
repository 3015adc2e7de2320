//! The sample problems: their verification, which the program contains, and their publication at the first start.

use std::time::{Duration, Instant};

use package::expectation::Run;
use problem::{Verified, VerifiedCheck, VerifiedPackage};
use sha2::{Digest, Sha256};

use crate::world::{World, succeeded};

/// Writes the results instead of comparing them.
const WRITE: &str = "AGON_WRITE_SAMPLES";

/// What the program promises: the samples are there this long after it is ready.
const PROMISE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_are_there_right_after_the_first_start() {
    // Without a worker nothing can be verified here.
    let roles = "roles=auth,problem,challenge,judge,gateway";
    let world = World::with(&db::testing::Kind::Sqlite, &["--set", roles]);
    let ready = Instant::now();
    let samples = world.samples().await;
    // Not a measurement: verifying takes far longer, even on a busy machine.
    assert!(ready.elapsed() < 4 * PROMISE, "{:?}", ready.elapsed());
    let slugs: Vec<&str> = samples.iter().filter_map(|sample| sample["slug"].as_str()).collect();
    assert_eq!(slugs, problem::samples().map(|(slug, _)| slug).collect::<Vec<_>>());
    let token = world.log_in("admin", &world.admin_password()).await;
    let imports = world.get("/v1/problem-imports", Some(&token)).await;
    for import in imports["problemImports"].as_array().unwrap() {
        assert_eq!(import["state"], "IMPORT_STATE_SUCCEEDED", "{import}");
        assert_eq!(import["doneCount"], import["checkCount"], "{import}");
        let findings = import["findings"].to_string();
        assert!(findings.contains("verified when this release was made"), "{import}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_are_verified_as_the_program_says() {
    let world = World::with(&db::testing::Kind::Sqlite, &["--set", "samples.import=false"]);
    world.log_in_admin();
    for (slug, tar) in problem::samples() {
        let path = world.dir.path().join(format!("{slug}.tar"));
        std::fs::write(&path, tar).unwrap();
        let path = path.display().to_string();
        let imported = world.agon(&["problem", "import", &path, "--problem", slug, "--publish"]);
        assert!(succeeded(&imported).contains("is published"), "{slug}");
    }
    let found = verified(&world).await;
    if std::env::var(WRITE).is_ok_and(|value| value == "1") {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../problem/samples/verified.json");
        std::fs::write(file, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        return;
    }
    let known = Verified::built_in().unwrap();
    let stable = |verified: &Verified| {
        let packages = verified.packages.iter().map(|(slug, package)| {
            let check = |check: &VerifiedCheck| {
                let VerifiedCheck { kind, file, actual, .. } = check;
                format!("{kind} {file} {actual}")
            };
            let checks: Vec<String> = package.checks.iter().map(check).collect();
            (slug.clone(), package.sha256.clone(), checks)
        });
        packages.collect::<Vec<_>>()
    };
    assert_eq!(stable(&found), stable(&known), "set {WRITE}=1 to renew samples/verified.json");
}

/// The results of this installation.
async fn verified(world: &World) -> Verified {
    let file = format!("sqlite:{}", world.data().join("problem.db").display());
    let db = db::Db::open(&db::Options::new(&file, "problem")).await.unwrap();
    let mut verified = Verified { environment: environment(world).await, ..Verified::default() };
    for (slug, tar) in problem::samples() {
        let rows: Vec<(String, String, String, String, i64, i64)> = db
            .query(
                "SELECT kind, file, actual, runs, c.cpu_time_us, c.memory_bytes
                 FROM checks c JOIN imports i ON i.id = c.import_id
                 JOIN problems p ON p.id = i.problem_id
                 WHERE p.slug = $1 ORDER BY c.position",
            )
            .bind(slug)
            .fetch_all()
            .await
            .unwrap();
        let checks =
            rows.into_iter().map(|(kind, file, actual, runs, cpu_time_us, memory_bytes)| {
                let runs: Vec<Run> = serde_json::from_str(&runs).unwrap();
                let runs = runs.into_iter().map(|run| (run.class, run.time_us)).collect();
                VerifiedCheck { kind, file, actual, cpu_time_us, memory_bytes, runs }
            });
        let sha256 = hex::encode(Sha256::digest(&tar));
        let package = VerifiedPackage { sha256, checks: checks.collect() };
        verified.packages.insert(slug.to_owned(), package);
    }
    verified
}

/// The languages of the jury solutions.
async fn environment(world: &World) -> String {
    let languages = world.get("/v1/languages", None).await;
    let languages = languages["languages"].as_array().cloned().unwrap_or_default();
    let version = |id: &str| {
        let language = languages.iter().find(|language| language["languageId"] == id);
        language.and_then(|language| language["version"].as_str()).unwrap_or(id).to_owned()
    };
    ["cpp20", "python3", "java"].map(version).join(", ")
}
