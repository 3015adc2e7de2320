//! `agon backup` and `agon restore`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use db::testing::Kind;
use serde_json::{Value, json};

use crate::world::{AGON, PROBLEM, PYTHON, Server, World, eventually, failed, succeeded, text};

const WRONG: &str = "print('wrong')\n";

fn restore(from: &Path, data: &Path) -> Output {
    let command = ["restore".as_ref(), "--from".as_ref(), from.as_os_str(), "--data".as_ref()];
    Command::new(AGON).args(command).arg(data).stdin(Stdio::null()).output().unwrap()
}

fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// The flags of a world with another data directory.
fn flags(world: &World, data: &Path) -> Vec<String> {
    let mut flags = world.flags();
    let at = flags.iter().position(|flag| flag == "--data").unwrap();
    flags[at + 1] = data.display().to_string();
    flags
}

async fn submit(world: &World, token: &str, number: usize) -> String {
    let source = if number.is_multiple_of(2) { PYTHON } else { WRONG };
    let source = format!("# {number}\n{source}");
    let body = json!({"problemId": PROBLEM, "language": "python3", "source": source});
    let submission = world.post("/v1/submissions", Some(token), body).await;
    submission["submissionId"].as_str().unwrap().to_owned()
}

/// Submits without pause until `stop` is set.
async fn submit_until(world: &World, token: &str, created: &Mutex<Vec<String>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let number = created.lock().unwrap().len();
        let id = submit(world, token, number).await;
        created.lock().unwrap().push(id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn backup_under_load_is_consistent() {
    let flags = ["--set", "challenge.submissions_per_hour=0", "--log", "warn"];
    let mut world = World::small(&Kind::Sqlite, &flags);
    let token = world.player("ada").await;
    let backups: Vec<PathBuf> =
        (0..2).map(|n| world.dir.path().join(format!("backup-{n}.tar"))).collect();
    let (created, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let mut before = Vec::new();
    let taking = async {
        for (n, backup) in backups.iter().enumerate() {
            // More submissions for each backup, some of them without a verdict yet.
            eventually("enough submissions exist", async || {
                (created.lock().unwrap().len() >= n * 5 + 5).then_some(())
            })
            .await;
            before.push(created.lock().unwrap().clone());
            let to = backup.display().to_string();
            let output = tokio::task::block_in_place(|| world.agon(&["backup", "--to", &to]));
            println!("{}", succeeded(&output));
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        taking,
        submit_until(&world, &token, &created, &stop),
        submit_until(&world, &token, &created, &stop)
    );
    let created = created.into_inner().unwrap();
    world.server.kill();
    let left: Vec<String> =
        files_in(world.dir.path()).into_iter().filter(|name| name.starts_with(".agon")).collect();
    assert!(left.is_empty(), "{left:?}");
    for (n, (backup, before)) in backups.iter().zip(&before).enumerate() {
        let data = world.dir.path().join(format!("restored-{n}"));
        println!("{}", succeeded(&restore(backup, &data)));
        check_restored(&mut world, &data, before, &created).await;
    }
}

/// Starts the restored installation: every submission in it gets exactly one verdict.
async fn check_restored(world: &mut World, data: &Path, before: &[String], created: &[String]) {
    world.server = Server::start(&flags(world, data));
    let token = world.log_in("ada", "a long password of ada").await;
    let list = world.get("/v1/submissions?userId=me&pageSize=200", Some(&token)).await;
    let found: Vec<String> = list["submissions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|submission| submission["submissionId"].as_str().unwrap().to_owned())
        .collect();
    for id in before {
        assert!(found.contains(id), "{id} was acknowledged before the backup");
    }
    // The two submissions in flight may be unacknowledged.
    assert!(found.iter().all(|id| created.contains(id)) && found.len() <= created.len());
    for id in &found {
        let judged = world.verdict(&token, id).await;
        let source = world.get(&format!("/v1/submissions/{id}/source"), Some(&token)).await;
        let wrong = source.to_string().contains("wrong");
        let expected = if wrong { "VERDICT_WRONG_ANSWER" } else { "VERDICT_ACCEPTED" };
        assert_eq!(judged["verdict"], expected, "{judged}");
    }
    let judged = world.judged(&token, PROBLEM, "python3", PYTHON).await;
    assert_eq!(judged["verdict"], "VERDICT_ACCEPTED", "{judged}");
    eventually("the consumers are ready", async || {
        let report = world.readiness().await?;
        (report["components"]["events"]["state"] == "ready").then_some(())
    })
    .await;
    world.server.kill();
    let file = format!("sqlite:{}", data.join("challenge.db").display());
    let challenge = db::Db::open(&db::Options::new(file, "challenge")).await.unwrap();
    let (events, submissions): (i64, i64) = challenge
        .query(
            "SELECT count(*), count(DISTINCT aggregate_id) FROM event_log
             WHERE type = 'agon.event.v1.SubmissionJudged'",
        )
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(
        (events, submissions),
        (found.len() as i64 + 1, events),
        "one verdict per submission"
    );
    challenge.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_directory_equals_the_original() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::idle(&Kind::Sqlite);
    world.player("ada").await;
    let dir = world.dir.path().to_owned();
    let backup = dir.join("agon.tar");
    let to = backup.display().to_string();
    succeeded(&world.agon(&["backup", "--to", &to]));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&backup), 0o600);
    let again = world.agon(&["backup", "--to", &to]);
    assert!(text(&again).contains("already exists"), "{}", text(&again));
    let inside = world.data().join("x.tar").display().to_string();
    let inside = world.agon(&["backup", "--to", &inside]);
    assert!(text(&inside).contains("outside of the data directory"), "{}", text(&inside));

    let data = dir.join("new");
    std::fs::create_dir(&data).unwrap();
    succeeded(&restore(&backup, &data));
    for secret in ["root-secret", "admin-password", "keys/judge.pem", "auth.db"] {
        assert_eq!(mode(&data.join(secret)), 0o600, "{secret}");
    }
    for same in ["root-secret", "admin-password", "keys/judge.pem"] {
        let read = |data: &Path| std::fs::read(data.join(same)).unwrap();
        assert_eq!(read(&data), read(&world.data()), "{same}");
    }
    assert_eq!((mode(&data), mode(&data.join("keys"))), (0o700, 0o700));
    let full = restore(&backup, &data);
    failed(&full, 2, "not empty");

    world.server.kill();
    world.server = Server::start(&flags(&world, &data));
    world.log_in("ada", "a long password of ada").await;
}

type Entries = BTreeMap<String, Vec<u8>>;

fn entries(path: &Path) -> Entries {
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        found.insert(entry.path().unwrap().display().to_string(), bytes);
    }
    found
}

fn write_archive(path: &Path, entries: &Entries) {
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        // Written directly, because the library refuses some of these names.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, bytes.as_slice()).unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn incomplete_or_damaged_backups_are_refused() {
    let mut world = World::idle(&Kind::Sqlite);
    let dir = world.dir.path().to_owned();
    let backup = dir.join("agon.tar");
    let output = world.agon(&["backup", "--to", &backup.display().to_string()]);
    succeeded(&output);
    world.server.kill();
    let good = entries(&backup);
    let data = dir.join("new");
    let check = |expected: &str, change: &dyn Fn(&mut Entries)| {
        let mut entries = good.clone();
        change(&mut entries);
        let changed = dir.join("changed.tar");
        write_archive(&changed, &entries);
        let refused = restore(&changed, &data);
        assert!(!refused.status.success(), "{expected}");
        assert!(text(&refused).contains(expected), "{expected}: {}", text(&refused));
        assert!(!data.exists(), "{expected}");
    };
    check("root-secret is damaged", &|entries| entries.get_mut("root-secret").unwrap()[0] ^= 1);
    check("auth.db is missing", &|entries| drop(entries.remove("auth.db")));
    check("manifest at its end is missing", &|entries| drop(entries.remove("manifest.json")));
    check("not in the manifest", &|entries| drop(entries.insert("more".into(), vec![1])));
    check("unexpected entry", &|entries| drop(entries.insert("../more".into(), vec![1])));
    check("unexpected entry", &|entries| drop(entries.insert("/tmp/more".into(), vec![1])));
    check("newer than this program", &|entries| {
        let manifest = entries.get_mut("manifest.json").unwrap();
        let mut json: Value = serde_json::from_slice(manifest).unwrap();
        json["version"] = "99.0.0".into();
        *manifest = serde_json::to_vec(&json).unwrap();
    });
    let cut = std::fs::read(&backup).unwrap();
    std::fs::write(dir.join("cut.tar"), &cut[..cut.len() / 2]).unwrap();
    assert!(!restore(&dir.join("cut.tar"), &data).status.success());
    assert!(!data.exists());
    std::fs::write(dir.join("bytes.tar"), [0xc3_u8; 2048]).unwrap();
    let bytes = restore(&dir.join("bytes.tar"), &data);
    assert!(text(&bytes).contains("bytes.tar: is not a backup"), "{}", text(&bytes));
    let nothing = restore(&dir.join("none.tar"), &data);
    assert!(text(&nothing).contains("none.tar"), "{}", text(&nothing));
    let left: Vec<_> =
        files_in(&dir).into_iter().filter(|name| name.starts_with(".agon")).collect();
    assert!(left.is_empty(), "{left:?}");
}
