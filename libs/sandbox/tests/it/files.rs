//! Copying files in and out, standard streams and mounts.

use crate::fixture::{Fixture, rogue_spec};
use sandbox::{Content, Cores, Error, Exit, Mount, Output, RunSpec, Stdin};
use std::io::Read;

fn sh(script: &str) -> RunSpec {
    RunSpec::new(["/bin/sh", "-c", script])
}

async fn text(fixture: &mut Fixture, spec: RunSpec) -> String {
    let outcome = fixture.run(spec).await;
    let errors = outcome.stderr.into_text().unwrap();
    outcome.stdout.into_text().unwrap() + &errors
}

#[tokio::test]
async fn only_regular_files_are_read_and_written() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["links"], |_| {}).await;
    let made = outcome.stdout.into_text().unwrap();
    assert!(!made.contains("device: ok") && made.contains("hard link: EXDEV"), "{made}");
    let names = [
        "link",
        "up/passwd",
        "fifo",
        "directory",
        "descriptor",
        "missing",
        "device",
        "directory/missing",
    ];
    for name in names {
        let copy = fixture.slot().get(&format!("/box/{name}"), 1000).await;
        assert!(matches!(copy, Err(Error::File { .. })), "{name}: {copy:?}");
        let mut spec = rogue_spec(&["exit", "0"]);
        spec.keep_files = true;
        spec.stdin = Stdin::File(format!("/box/{name}"));
        let run = fixture.slot().run(spec).await;
        assert!(matches!(run, Err(Error::File { .. })), "{name}: {run:?}");
    }
    for name in ["link", "fifo", "up/passwd", "descriptor"] {
        let mut spec = rogue_spec(&["exit", "0"]);
        spec.keep_files = true;
        spec.stdout = Output::File(format!("/box/{name}"));
        let run = fixture.slot().run(spec).await;
        assert!(matches!(run, Err(Error::File { .. })), "{name}: {run:?}");
    }
    assert_eq!(fixture.slot().list("/box", 10).await.unwrap(), ["good"]);
    let mut good = String::new();
    fixture.slot().get("/box/good", 5).await.unwrap().read_to_string(&mut good).unwrap();
    assert_eq!(good, "good\n");
    assert!(matches!(fixture.slot().get("/box/good", 4).await, Err(Error::File { .. })));
    fixture.finish().await;
}

#[tokio::test]
async fn paths_outside_the_sandbox_are_invalid() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let paths = ["/etc/passwd", "/box/../etc/passwd", "box/x", "/boxes/x", "/box", "", "/proc/x"];
    for path in paths {
        let copy = fixture.slot().get(path, 10).await;
        assert!(matches!(copy, Err(Error::Invalid(_))), "{path}: {copy:?}");
        let put = fixture.slot().put(path, Content::Bytes(Vec::new()), 0o644).await;
        assert!(matches!(put, Err(Error::Invalid(_))), "{path}: {put:?}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn box_and_tmp_are_emptied_between_runs_and_app_is_kept() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let script = "echo secret > /box/a; echo secret > /tmp/b; echo secret > /dev/shm/c";
    assert_eq!(text(&mut fixture, sh(script)).await, "");
    assert_eq!(fixture.slot().list("/box", 10).await.unwrap(), ["a"]);
    let mut keeping = sh("cat /box/a /tmp/b /tmp/c");
    keeping.keep_files = true;
    assert_eq!(text(&mut fixture, keeping).await, "secret\n".repeat(3));
    fixture.slot().put("/box/in/side/x", Content::Bytes(b"new\n".to_vec()), 0o644).await.unwrap();
    assert_eq!(
        text(
            &mut fixture,
            sh("cd /box; find * /tmp; cat in/side/x; touch in/y; echo >> in/side/x; rm in/side/x")
        )
        .await,
        "in\nin/side\nin/side/x\n/tmp\nnew\n"
    );
    assert_eq!(text(&mut fixture, sh("ls /box; ls /app")).await, "rogue\n");
    fixture.slot().reset().await.unwrap();
    assert_eq!(text(&mut fixture, sh("ls /box; ls /app")).await, "");
    fixture.finish().await;
}

#[tokio::test]
async fn deeply_nested_directories_are_wiped() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["leave-files"], |limits| limits.memory = 256 << 20).await;
    assert!(outcome.is_success(), "{outcome:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn standard_streams_of_each_kind() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let mut spec = rogue_spec(&["cat"]);
    spec.stdin = Stdin::Bytes(b"hello ".to_vec());
    spec.stderr = Output::Stdout;
    assert_eq!(text(&mut fixture, spec).await, "hello done\n");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("input");
    std::fs::write(&path, vec![b'y'; 200_000]).unwrap();
    let mut spec = rogue_spec(&["cat"]);
    spec.stdin = Stdin::Path(path.clone());
    spec.stdout = Output::Capture { limit: 100_000 };
    let outcome = fixture.run(spec).await;
    assert_eq!((outcome.stdout.len(), outcome.stdout.total()), (100_000, 200_000));
    assert_eq!(outcome.stderr.into_text().unwrap(), "done\n");
    assert_eq!(outcome.stdout.into_bytes().unwrap(), vec![b'y'; 100_000]);

    let mut spec = rogue_spec(&["cat"]);
    spec.stdin = Stdin::Path(path);
    spec.stdout = Output::File("/box/some/where".into());
    spec.stderr = Output::Null;
    let outcome = fixture.run(spec).await;
    assert!(outcome.is_success() && outcome.stdout.is_empty());
    let size =
        fixture.slot().get("/box/some/where", 1 << 20).await.unwrap().metadata().unwrap().len();
    assert_eq!(size, 200_000);

    let (mut read, write) = std::io::pipe().unwrap();
    let mut spec = sh("echo piped");
    spec.stdout = Output::Fd(write.into());
    assert!(fixture.run(spec).await.is_success());
    let mut piped = String::new();
    read.read_to_string(&mut piped).unwrap();
    assert_eq!(piped, "piped\n");
    fixture.finish().await;
}

#[tokio::test]
async fn standard_streams_can_be_opened_by_path() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret-digest");
    std::fs::write(&path, "one line\n").unwrap();
    for stdin in [Stdin::Path(path), Stdin::Bytes(b"one line\n".to_vec())] {
        let named = if matches!(stdin, Stdin::Path(_)) { "stdin" } else { "content" };
        let mut spec = rogue_spec(&["streams"]);
        spec.stdin = stdin;
        let outcome = fixture.run(spec).await;
        let expected = format!(
            "0: /memfd:{named} (deleted)\n1: pipe:\n2: pipe:\none line\none line\none line\n\
             map: o\nseek: ok\nchange the input: EACCES\nstd/se"
        );
        let text = outcome.stdout.into_text().unwrap();
        // A memory file of the caller is sealed instead.
        assert_eq!(text.replace("input: ok", "input: EACCES"), expected);
        assert_eq!(outcome.stderr.into_text().unwrap(), "std");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn run_mounts_are_read_only_and_last_for_one_run() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("header"), "text\n").unwrap();
    let mount = Mount { source: directory.path().into(), target: "/opt/cache/one".into() };
    let mut spec =
        sh("cat /opt/cache/one/header; touch /opt/cache/one/y 2>/dev/null || echo refused");
    spec.mounts = vec![mount.clone()];
    assert_eq!(text(&mut fixture, spec).await, "text\nrefused\n");
    assert_eq!(text(&mut fixture, sh("ls /opt/cache/one")).await, "");
    let mut spec = sh("true");
    spec.mounts = vec![Mount { source: "/nowhere/at/all".into(), ..mount }];
    assert!(matches!(fixture.slot().run(spec).await, Err(Error::Internal(_))));
    fixture.finish().await;
}

#[tokio::test]
async fn programs_that_cannot_be_started() {
    let Some(mut fixture) = Fixture::open().await else { return };
    fixture.slot().put("/app/text", Content::Bytes(b"no program".to_vec()), 0o755).await.unwrap();
    fixture.slot().put("/app/data", Content::Bytes(b"#!/bin/sh".to_vec()), 0o644).await.unwrap();
    for program in ["/app/nothing", "nothing", "/app", "/app/text", "/app/data"] {
        let outcome = fixture.run(RunSpec::new([program])).await;
        assert!(matches!(outcome.exit, Exit::NotStarted(_)), "{program}: {outcome:?}");
    }
    let mut spec = RunSpec::new(["true"]);
    spec.cwd = "/nowhere".into();
    assert!(matches!(fixture.run(spec).await.exit, Exit::NotStarted(_)));
    let outcome = fixture.run(RunSpec::new(["true"])).await;
    assert!(outcome.is_success());
    let empty = fixture.slot().run(RunSpec::new(Vec::<String>::new())).await;
    assert!(matches!(empty, Err(Error::Invalid(_))));
    let huge = fixture.slot().run(RunSpec::new(["true".to_owned(), "x".repeat(200_000)])).await;
    assert!(matches!(huge, Err(Error::Invalid(_))));
    fixture.finish().await;
}

#[tokio::test]
async fn programs_are_pinned_to_the_core_of_the_slot() {
    let Some(mut fixture) = Fixture::open().await else { return };
    assert_eq!(text(&mut fixture, sh("nproc")).await, "1\n");
    let mut spec = sh("nproc");
    spec.cores = Cores::All;
    let all = std::thread::available_parallelism().unwrap();
    assert_eq!(text(&mut fixture, spec).await, format!("{all}\n"));
    fixture.finish().await;
}
