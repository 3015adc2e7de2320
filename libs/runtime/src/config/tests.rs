use serde::Deserialize;

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Demo {
    data: String,
    root_secret: Option<String>,
    roles: Vec<String>,
    cores: Vec<usize>,
    limits: std::collections::BTreeMap<String, u64>,
    grpc: Listener,
}

#[derive(Debug, Serialize, Deserialize)]
struct Listener {
    listen: std::net::SocketAddr,
    calls: u32,
    open: bool,
}

impl Default for Demo {
    fn default() -> Self {
        let grpc = Listener { listen: "127.0.0.1:50051".parse().unwrap(), calls: 7, open: true };
        let roles = vec!["all".into()];
        let (cores, limits) = Default::default();
        Self { data: "data".into(), root_secret: None, roles, cores, limits, grpc }
    }
}

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agon.toml");
    std::fs::write(&path, text).unwrap();
    (dir, Sources { file: Some(path), ..Sources::default() })
}

fn env(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[track_caller]
fn assert_error(text: &str, parts: &[&str]) {
    let (_dir, sources) = file(text);
    let error = load::<Demo>(&sources).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn later_sources_take_precedence() {
    let (_dir, mut sources) = file("data = 'file'\n[grpc]\ncalls = 1\nopen = false\n");
    sources.env = vec![env("AGON_GRPC_CALLS", "2"), env("AGON_ROLES", "auth, judge")];
    sources.flags = vec![("--data".into(), "data".into(), "flag".into())];
    let loaded = load::<Demo>(&sources).unwrap();
    assert_eq!(loaded.value.data, "flag");
    assert_eq!(loaded.value.grpc.calls, 2);
    assert!(!loaded.value.grpc.open);
    assert_eq!(loaded.value.roles, ["auth", "judge"]);
    assert_eq!(loaded.source("data").unwrap().to_string(), "--data");
    assert_eq!(loaded.source("grpc.calls").unwrap().to_string(), "AGON_GRPC_CALLS");
    assert!(matches!(loaded.source("grpc.open"), Some(Source::File(_))));
    assert_eq!(loaded.source("grpc.listen"), Some(&Source::Default));
}

#[test]
fn lists_of_numbers_and_tables_with_arbitrary_keys() {
    let (_dir, mut sources) = file("[limits]\n'a.b/C' = 7\n");
    sources.env = vec![env("AGON_CORES", "0,2")];
    let loaded = load::<Demo>(&sources).unwrap();
    assert_eq!(loaded.value.cores, [0, 2]);
    assert_eq!(loaded.value.limits["a.b/C"], 7);
    assert_error("[limits]\nx = 'many'", &["agon.toml", "limits"]);
    sources.env = vec![env("AGON_CORES", " ")];
    assert!(load::<Demo>(&sources).unwrap().value.cores.is_empty());
    sources.env = vec![env("AGON_CORES", "0,,2")];
    let error = load::<Demo>(&sources).unwrap_err().to_string();
    assert!(error.contains("AGON_CORES") && error.contains("a list"), "{error}");
}

#[test]
fn errors_name_the_key() {
    assert_error("dta = 'x'", &["agon.toml", "\"dta\"", "did you mean \"data\"?"]);
    assert_error("[grpc]\nlisen = 'x'", &["grpc.lisen", "did you mean \"grpc.listen\"?"]);
    assert_error("[grpc]\ncalls = 'many'", &["agon.toml", "grpc.calls", "whole number"]);
    assert_error("[grpc]\ncalls = -1", &["agon.toml", "grpc.calls"]);
    assert_error("[grpc]\nlisten = 'nowhere'", &["agon.toml", "grpc.listen", "socket address"]);
    let (_dir, sources) = file("moonphase = 1");
    let error = load::<Demo>(&sources).unwrap_err().to_string();
    assert!(!error.contains("did you mean"), "{error}");
    assert_error("data = ", &["agon.toml", "line 1"]);
    assert_error("[data]\nx = 1", &["agon.toml", "data", "expected a text"]);
}

#[test]
fn unknown_environment_variables_are_reported() {
    let sources = Sources { env: vec![env("AGON_GRPC_OPEN", "maybe")], ..Sources::default() };
    let error = load::<Demo>(&sources).unwrap_err().to_string();
    assert!(error.contains("AGON_GRPC_OPEN") && error.contains("true or false"), "{error}");
    let env = vec![env("AGON_SERVICE_HOST", "10.0.0.1"), env("PATH", "/bin")];
    let loaded = load::<Demo>(&Sources { env, ..Sources::default() }).unwrap();
    assert_eq!(loaded.ignored_env, ["AGON_SERVICE_HOST"]);
}

#[test]
fn secrets_are_hidden() {
    let env = vec![
        env("AGON_ROOT_SECRET", "hunter2"),
        env("AGON_DATA", "postgres://agon:hunter2@db:5432/agon"),
    ];
    let loaded = load::<Demo>(&Sources { env, ..Sources::default() }).unwrap();
    assert_eq!(loaded.value.root_secret.as_deref(), Some("hunter2"));
    let shown: String = loaded.entries.iter().map(|entry| entry.value.as_str()).collect();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("postgres://agon:(hidden)@db:5432/agon"), "{shown}");
    assert_eq!(redact("problem.objects.secret_key", &"hunter2".into()), "(hidden)");
}
