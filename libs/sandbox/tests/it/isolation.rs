//! Programs that try to access the network, the host, other processes or privileges.

use crate::fixture::{Fixture, rogue_spec, slow};
use sandbox::{Exit, Output, RunSpec, Stdin, Violation};
use std::path::Path;
use std::time::Duration;

#[tokio::test]
async fn only_local_sockets_can_be_opened() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["sockets"], |_| {}).await;
    let expected = "inet: EACCES\ninet datagram: EACCES\ninet6: EACCES\nvsock: EACCES\n\
        netlink: EACCES\npacket: EACCES\nraw: EACCES\nunix: ok\n";
    assert_eq!(outcome.stdout.into_text().unwrap(), expected);
    fixture.finish().await;
}

#[tokio::test]
async fn host_files_are_hidden() {
    let Some(mut fixture) = Fixture::open().await else { return };
    // An answer file that every user of the host can read.
    let answers = tempfile::tempdir().unwrap();
    let answer = answers.path().join("1.ans");
    std::fs::write(&answer, "42\n").unwrap();
    let own = format!("/proc/{}/mem", std::process::id());
    let host_root = Path::new("/proc").join(std::process::id().to_string()).join("root");
    let own_root = host_root.join("etc/shadow").display().to_string();
    let paths = [
        "/etc/shadow",
        "/etc/hostname",
        "/root",
        "/home",
        "/var",
        "/sys",
        "/run",
        "/opt",
        "/mnt",
        "/proc/1/mem",
        "/proc/1/environ",
        "/proc/cpuinfo",
        "/proc/kcore",
        "/proc/sys",
        "/dev/mem",
        "/dev/kmsg",
        "/dev/vda",
        "/dev/tty",
        "/proc/self/root/etc/shadow",
        "/box/../../etc/shadow",
        "/proc/self/cwd/../etc/shadow",
        &own,
        &own_root,
        answer.to_str().unwrap(),
    ];
    let outcome = fixture.rogue(&[&["open"], &paths[..]].concat(), |_| {}).await;
    let text = outcome.stdout.into_text().unwrap();
    assert_eq!(text.lines().count(), paths.len());
    assert!(text.lines().all(|line| line.ends_with(": ENOENT")), "{text}");
    fixture.finish().await;
}

#[tokio::test]
async fn init_and_other_processes_are_protected() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["others"], |_| {}).await;
    let expected = "kill init: EPERM\nkill parent: EPERM\nstop parent: EPERM\n\
        terminate init: EPERM\nmemory of init: ENOENT\nstatus of init: ENOENT\npriority: EACCES\n\
        all processes: ESRCH\n";
    assert_eq!(outcome.exit, Exit::Code(0));
    assert_eq!(outcome.stdout.into_text().unwrap(), expected);
    fixture.finish().await;
}

#[tokio::test]
async fn a_reused_init_looks_like_a_new_one() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let look = "echo $$; sh -c 'echo $$; true'; echo /proc/[0-9]*; cat /proc/self/cgroup";
    let befores =
        ["true", "sh -c true; sh -c true", "sleep 60 & sleep 0", "kill -9 $$", "sleep 60"];
    let mut seen = Vec::new();
    for before in befores {
        let mut spec = RunSpec::new(["/bin/sh", "-c", before]);
        spec.limits.wall = slow(Duration::from_millis(300));
        fixture.slot().run(spec).await.unwrap();
        let outcome = fixture.run(RunSpec::new(["/bin/sh", "-c", look])).await;
        seen.push(outcome.stdout.into_text().unwrap());
    }
    assert!(seen[0].starts_with("2\n3\n/proc/2\n"), "{}", seen[0]);
    assert!(seen[0].lines().skip(3).all(|group| group.ends_with(":/")), "{}", seen[0]);
    assert!(seen.iter().all(|text| *text == seen[0]), "{seen:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn programs_have_no_privileges() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let outcome = fixture.rogue(&["privileges"], |_| {}).await;
    let text = outcome.stdout.into_text().unwrap();
    for line in text.lines().filter(|line| !line.starts_with("open files")) {
        assert!(!line.ends_with(": ok"), "{text}");
    }
    assert!(text.ends_with("open files: 3\n"), "{text}");
    fixture.finish().await;
}

#[tokio::test]
async fn forbidden_calls_kill_the_program() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let mut calls =
        vec!["ptrace", "traceme", "vm_read", "mount", "unshare", "userns", "keyctl", "bpf"];
    if cfg!(target_arch = "x86_64") {
        calls.extend(["x32", "i386"]);
    }
    for call in calls {
        let outcome = fixture.rogue(&["forbidden", call], |_| {}).await;
        // A kernel without support for 32-bit programs kills the program itself.
        if call == "i386" && outcome.exit == Exit::Signal(11) {
            continue;
        }
        assert_eq!(outcome.violation, Some(Violation::SystemCall), "{call}");
        assert_eq!(outcome.exit, Exit::Signal(31), "{call}");
        assert!(outcome.stdout.is_empty());
    }
    fixture.finish().await;
}

#[tokio::test]
async fn locks_and_watches_do_not_reach_files_of_the_host() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let path = "/usr/bin/env";
    let file = std::fs::File::open(path).unwrap();
    file.lock().unwrap();
    let outcome = fixture.rogue(&["locks", path], |_| {}).await;
    file.unlock().unwrap();
    let expected = "flock: ok\nrecord lock: ok\nopen file lock: ok\nquery: EINVAL\nlease: EINVAL\n\
        directory notification: EINVAL\nwrite hint: EINVAL\ninotify: ENOSYS\nfanotify: ENOSYS\n";
    assert_eq!(outcome.stdout.into_text().unwrap(), expected);
    // The other way round, while a program has its locks.
    let (mut ready, write) = std::io::pipe().unwrap();
    let mut spec = rogue_spec(&["locks", path]);
    (spec.stdin, spec.stdout) = (Stdin::Null, Output::Fd(write.into()));
    spec.argv.push("hold".into());
    let attempt = tokio::task::spawn_blocking(move || {
        let mut text = [0; 4096];
        let mut length = 0;
        while !text[..length].ends_with(b"fanotify: ENOSYS\n") {
            length += std::io::Read::read(&mut ready, &mut text[length..]).unwrap();
        }
        file.try_lock()
    });
    let run = fixture.slot().run(spec);
    let held = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::select! {
            _ = run => panic!("the program ended too early"),
            locked = attempt => locked.unwrap(),
        }
    });
    held.await.unwrap().expect("the host sees a lock of the program");
    fixture.finish().await;
}

#[tokio::test]
async fn exit_codes_and_signals_are_reported() {
    let Some(mut fixture) = Fixture::open().await else { return };
    for code in [0, 1, 42, 43, 127, 255] {
        let outcome = fixture.rogue(&["exit", &code.to_string()], |_| {}).await;
        assert_eq!((outcome.exit, outcome.limit), (Exit::Code(code), None));
    }
    for signal in [6, 8, 9, 11, 13, 15] {
        let outcome = fixture.rogue(&["signal", &signal.to_string()], |_| {}).await;
        assert_eq!((outcome.exit, outcome.limit), (Exit::Signal(signal), None));
    }
    fixture.finish().await;
}
