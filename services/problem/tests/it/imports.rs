//! Uploads and import reports.

use futures_util::{StreamExt as _, stream};
use proto::problem::{self as pb, ImportState};
use rpc::status;
use tonic::Code;

use crate::package::Files;
use crate::world::{User, World, assert_refused, each, rejects_field};

fn options(problem: &str) -> pb::ImportProblemRequest {
    pb::ImportProblemRequest { problem_id: problem.to_owned(), ..Default::default() }
}

async fn count(world: &World, sql: &'static str) -> i64 {
    world.db.query(sql).fetch_scalar().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_package_leaves_no_data() {
    each(|world| async move {
        let setter = world.setter();
        let files =
            Files::valid().with("problem.yaml", "problem_format_version: 2025-09\nlimts: {}\n");
        let answer = world.try_import(&setter, options(""), &files.tar()).await;
        let status = assert_refused(answer, Code::InvalidArgument, "PACKAGE_INVALID");
        let fields = status::fields(&status);
        assert!(fields.iter().any(|(file, what)| file == "problem.yaml" && what.contains("limts")));
        let answer = world.try_import(&setter, options(""), b"hello").await;
        assert_refused(answer, Code::InvalidArgument, "PACKAGE_INVALID");
        let answer = world.try_import(&setter, options(""), b"").await;
        rejects_field(answer, "content");
        let empty = world.imports_of(&setter).import_problem(stream::empty()).await;
        rejects_field(empty, "content");
        for table in ["SELECT COUNT(*) FROM problems", "SELECT COUNT(*) FROM object_pins"] {
            assert_eq!(count(&world, table).await, 0);
        }
        let scratch = world.data_dir().join("scratch/problem");
        assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_of_a_package_are_returned_at_once() {
    let world = World::open(&db::testing::Kind::Sqlite, problem::Config::default()).await;
    let setter = world.setter();
    let refuse = async |tests: usize| {
        let add = |files: Files, i| files.with(&format!("data/secret/{i:04}.in"), "");
        let files = (0..tests).fold(Files::valid(), add);
        let answer = world.try_import(&setter, options(""), &files.tar()).await;
        assert_refused(answer, Code::InvalidArgument, "PACKAGE_INVALID")
    };
    let one = refuse(1).await;
    let text = "the package is invalid: data/secret/0000.ans: is missing; every test has an answer";
    assert_eq!(one.message(), text);
    let many = refuse(150).await;
    assert_eq!(status::fields(&many).len(), 150);
    assert!(many.message().contains("150 errors"), "{}", many.message());
    // Bounded for huge packages: the last one says how many are missing.
    let huge = status::fields(&refuse(900).await);
    let last = (
        "content".to_owned(),
        "the package has 700 more errors than the 200 listed ones".to_owned(),
    );
    assert_eq!((huge.len(), huge.last()), (201, Some(&last)));
    assert!(huge.iter().all(|(file, text)| !file.is_empty() && !text.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn solutions_in_other_languages_are_kept_and_reported() {
    let world = World::open(&db::testing::Kind::Sqlite, problem::Config::default()).await;
    let setter = world.setter();
    *world.peers.languages.lock().unwrap() = vec!["python3".into(), "go".into()];
    let files = Files::valid()
        .with("submissions/accepted/b.go", "// AC\n")
        .with("submissions/accepted/c.cpp", "// only here\n");
    let import = world.import(&setter, &files, false).await;
    let checked: Vec<&str> = import.checks.iter().map(|check| check.file.as_str()).collect();
    let expected = [
        "input_validators/check.py",
        "submissions/accepted/a.py",
        "submissions/accepted/b.go",
        "submissions/wrong_answer/w.py",
    ];
    assert_eq!(checked, expected);
    let kept = import.findings.iter().find(|finding| finding.file.ends_with("/c.cpp")).unwrap();
    assert!(kept.message.contains("the language `cpp` is not offered"), "{kept:?}");
    // Its content is stored with the version.
    let manifest: String =
        world.db.query("SELECT manifest FROM versions").fetch_scalar().await.unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let source = &manifest["unverified"][0]["sources"][0];
    assert_eq!(source[0], "c.cpp");
    let digest = source[1]["digest"].as_str().unwrap();
    let content = crate::judge::download(&world.judge_data(), digest).await.unwrap();
    assert_eq!(content, b"// only here\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_find_their_problem() {
    each(|world| async move {
        let (setter, other) = (world.setter(), world.setter());
        let tar = Files::valid().tar();
        let first = world.try_import(&setter, options(""), &tar).await.unwrap();
        assert_eq!((first.slug.as_str(), first.version), ("twosum", 1));
        // The same uuid creates a new version; from another user, another problem.
        let second = world.try_import(&setter, options(""), &tar).await.unwrap();
        assert_eq!((second.problem_id == first.problem_id, second.version), (true, 2));
        let others = world.try_import(&other, options(""), &tar).await.unwrap();
        assert_eq!((others.slug.as_str(), others.version), ("twosum-2", 1));
        // An unused slug creates a problem with that slug for any uuid.
        let named = world.try_import(&setter, options("another"), &tar).await.unwrap();
        assert_eq!((named.slug.as_str(), named.version), ("another", 1));
        let again = world.try_import(&setter, options("another"), &tar).await.unwrap();
        assert_eq!((again.slug.as_str(), again.version), ("another", 2));
        // Of a hidden problem of another user, the slug is taken and the id not found.
        let answer = world.try_import(&other, options("another"), &tar).await;
        assert_refused(answer, Code::AlreadyExists, "SLUG_TAKEN");
        let answer = world.try_import(&other, options(&first.problem_id), &tar).await;
        assert_refused(answer, Code::NotFound, "PROBLEM_NOT_FOUND");
        rejects_field(world.try_import(&setter, options("No Slug"), &tar).await, "problem_id");
        let grant = format!("{} problem.problem.update problems/{}", other.id, first.problem_id);
        world.peers.grants.lock().unwrap().insert(grant);
        let allowed = world.try_import(&other, options("twosum"), &tar).await.unwrap();
        assert_eq!((allowed.problem_id, allowed.version), (first.problem_id, 3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_request_id_returns_the_same_import() {
    each(|world| async move {
        let setter = world.setter();
        let with = |request_id: &str| pb::ImportProblemRequest {
            request_id: request_id.to_owned(),
            ..Default::default()
        };
        let tar = Files::valid().tar();
        let first = world.try_import(&setter, with("one"), &tar).await.unwrap();
        let again = world.try_import(&setter, with("one"), &tar).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(count(&world, "SELECT COUNT(*) FROM imports").await, 1);
        let other = Files::valid().with("data/secret/1.ans", "5\n").tar();
        rejects_field(world.try_import(&setter, with("one"), &other).await, "request_id");
        let long = with(&"x".repeat(129));
        rejects_field(world.try_import(&setter, long, &tar).await, "request_id");
        assert_eq!(count(&world, "SELECT COUNT(*) FROM object_pins").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn size_of_uploads_is_limited() {
    for kind in db::testing::kinds() {
        let config = problem::Config { upload_mib: 1, ..problem::Config::default() };
        let world = World::open(&kind, config).await;
        let setter = world.setter();
        let files = Files::valid().with("data/secret/1.in", vec![b'x'; 2 << 20]);
        let answer = world.try_import(&setter, options(""), &files.tar()).await;
        assert_refused(answer, Code::InvalidArgument, "PACKAGE_TOO_LARGE");
        let scratch = world.data_dir().join("scratch/problem");
        assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_visible_to_uploaders_and_editors() {
    each(|world| async move {
        let (setter, other) = (world.setter(), world.setter());
        let import = world.import(&setter, &Files::valid(), false).await;
        let get = async |user: &User| {
            let message =
                pb::GetProblemImportRequest { problem_import_id: import.problem_import_id.clone() };
            world.imports_of(user).get_problem_import(message).await
        };
        assert!(get(&setter).await.is_ok());
        assert_refused(get(&other).await, Code::NotFound, "IMPORT_NOT_FOUND");
        assert!(get(&world.user("admin", &[access::Role::Admin])).await.is_ok());
        let grant = format!("{} problem.problem.update problems/{}", other.id, import.problem_id);
        world.peers.grants.lock().unwrap().insert(grant);
        assert!(get(&other).await.is_ok());
        for id in ["", "x", "twosum", &setter.id.to_string()] {
            let message = pb::GetProblemImportRequest { problem_import_id: id.to_owned() };
            let answer = world.imports_of(&setter).get_problem_import(message).await;
            assert_refused(answer, Code::NotFound, "IMPORT_NOT_FOUND");
            let message = pb::WatchProblemImportRequest { problem_import_id: id.to_owned() };
            let answer = world.imports_of(&setter).watch_problem_import(message).await;
            assert_refused(answer, Code::NotFound, "IMPORT_NOT_FOUND");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_see_the_first_and_the_last_state() {
    each(|world| async move {
        let setter = world.setter();
        let import = world.import(&setter, &Files::valid(), false).await;
        let message =
            pb::WatchProblemImportRequest { problem_import_id: import.problem_import_id.clone() };
        let watched = world.imports_of(&setter).watch_problem_import(message).await;
        let mut watched = watched.unwrap().into_inner();
        let next = watched.next().await.unwrap().unwrap().problem_import.unwrap();
        assert_eq!((next.state(), next.done_count), (ImportState::Verifying, 0));
        world.judge();
        let rest: Vec<_> = watched.map(|m| m.unwrap().problem_import.unwrap()).collect().await;
        let counts: Vec<i32> = rest.iter().map(|import| import.done_count).collect();
        assert!(counts.is_sorted() && counts.last() == Some(&3), "{counts:?}");
        assert_eq!(rest.last().unwrap().state(), ImportState::Succeeded);
        assert!(rest.last().unwrap().done_time.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_listed_page_by_page() {
    each(|world| async move {
        let setter = world.setter();
        let mut imported = Vec::new();
        for _ in 0..5 {
            world.clock().advance(std::time::Duration::from_secs(1));
            imported.push(world.import(&setter, &Files::valid(), false).await.problem_import_id);
        }
        imported.reverse();
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let message = pb::ListProblemImportsRequest { page_size: 2, page_token };
            let answer = world.imports_of(&setter).list_problem_imports(message).await;
            let page = answer.unwrap().into_inner();
            seen.extend(page.problem_imports.into_iter().map(|i| i.problem_import_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, imported);
        let other = world.setter();
        let message = pb::ListProblemImportsRequest::default();
        let answer = world.imports_of(&other).list_problem_imports(message).await;
        assert!(answer.unwrap().into_inner().problem_imports.is_empty());
    })
    .await;
}
