//! Compilers and language runtimes, and sources that attack compilers.

use crate::fixture::{Fixture, slow};
use sandbox::{Content, Cores, Exit, Limits, Outcome, RunSpec};
use std::{path::Path, time::Duration};

async fn compile(fixture: &mut Fixture, name: &str, source: &str, command: &[&str]) -> Outcome {
    let path = format!("/box/{name}");
    fixture.slot().put(&path, Content::Bytes(source.into()), 0o644).await.unwrap();
    let mut spec = RunSpec::new(command.iter().copied());
    spec.cores = Cores::All;
    spec.limits = Limits {
        cpu: slow(Duration::from_secs(4)),
        wall: slow(Duration::from_secs(60)),
        memory: 512 << 20,
        processes: 128,
        ..Limits::default()
    };
    let outcome = fixture.run(spec).await;
    println!("{command:?}: {outcome:?}");
    outcome
}

#[tokio::test]
async fn c_program_is_compiled_and_run() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let source =
        "#include <stdio.h>\nint main(){int a,b;scanf(\"%d%d\",&a,&b);printf(\"%d\\n\",a+b);}";
    let outcome = compile(&mut fixture, "a.c", source, &["gcc", "-O2", "-o", "a", "a.c"]).await;
    assert!(outcome.is_success(), "{:?}", outcome.stderr.into_text());
    let program = fixture.slot().get("/box/a", 10 << 20).await.unwrap();
    fixture.slot().put("/app/a", Content::Fd(program.into()), 0o755).await.unwrap();
    let mut spec = RunSpec::new(["/app/a"]);
    spec.stdin = sandbox::Stdin::Bytes(b"40 2".to_vec());
    assert_eq!(fixture.run(spec).await.stdout.into_text().unwrap(), "42\n");
    fixture.finish().await;
}

#[tokio::test]
async fn compiling_endless_includes_fails() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let sources = [
        "#include \"/dev/random\"\n",
        "#include \"/dev/zero\"\n",
        "#include __FILE__\n#include __FILE__\n",
    ];
    for source in sources {
        let outcome = compile(&mut fixture, "a.c", source, &["gcc", "-c", "a.c"]).await;
        assert!(!outcome.is_success(), "{source}");
    }
    let secret = "#include \"/etc/shadow\"\n";
    let outcome = compile(&mut fixture, "a.c", secret, &["gcc", "-c", "a.c"]).await;
    assert_eq!(outcome.exit, Exit::Code(1));
    assert!(outcome.stderr.into_text().unwrap().contains("No such file"));
    fixture.finish().await;
}

#[tokio::test]
async fn endless_template_recursion_fails() {
    let Some(mut fixture) = Fixture::open().await else { return };
    let source = "template<int n> struct A { A<n + 1> a; A<n + 2> b; }; A<0> a; int main() {}";
    let command = ["g++", "-ftemplate-depth=1000000", "a.cpp"];
    let outcome = compile(&mut fixture, "a.cpp", source, &command).await;
    assert!(!outcome.is_success(), "{outcome:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn python_standard_library_works() {
    let Some(mut fixture) = Fixture::open().await else { return };
    if !Path::new("/usr/bin/python3").exists() {
        return;
    }
    let script = "import os, threading, tempfile, subprocess\n\
        t = threading.Thread(target=lambda: print(len(os.listdir('/proc/self/fd')) > 0)); t.start(); t.join()\n\
        print(tempfile.NamedTemporaryFile().write(b'abc'))\n\
        print(subprocess.run(['echo', 'hi'], capture_output=True).stdout.decode().strip())\n\
        import sqlite3; base = sqlite3.connect('/tmp/base')\n\
        base.execute('create table t (x)'); base.execute('insert into t values (5)'); base.commit()\n\
        print(base.execute('select x from t').fetchall())\n";
    let outcome = compile(&mut fixture, "a.py", script, &["/usr/bin/python3", "a.py"]).await;
    assert_eq!(outcome.stdout.into_text().unwrap(), "True\n3\nhi\n[(5,)]\n");
    fixture.finish().await;
}

#[tokio::test]
async fn java_program_is_compiled_and_run() {
    let Some(mut fixture) = Fixture::open().await else { return };
    if !Path::new("/usr/bin/javac").exists() {
        return;
    }
    let source = "import java.util.*;\npublic class Main { public static void main(String[] a) {\n\
        Scanner in = new Scanner(System.in); System.out.println(in.nextInt() + in.nextInt()); } }";
    fixture.slot().put("/box/Main.java", Content::Bytes(source.into()), 0o644).await.unwrap();
    let limits = Limits {
        cpu: slow(Duration::from_secs(30)),
        wall: slow(Duration::from_secs(100)),
        memory: 1 << 30,
        processes: 256,
        ..Limits::default()
    };
    let mut spec = RunSpec::new(["/usr/bin/javac", "-J-Xmx256m", "Main.java"]);
    (spec.cores, spec.limits) = (Cores::All, limits.clone());
    let outcome = fixture.run(spec).await;
    assert!(outcome.is_success(), "{outcome:?} {:?}", outcome.stderr);
    let mut spec = RunSpec::new(["/usr/bin/java", "-Xmx64m", "-XX:+UseSerialGC", "Main"]);
    (spec.limits, spec.keep_files) = (limits, true);
    spec.stdin = sandbox::Stdin::Bytes(b"40 2".to_vec());
    let outcome = fixture.run(spec).await;
    assert_eq!(outcome.stdout.into_text().unwrap(), "42\n", "{:?}", outcome.stderr);
    fixture.finish().await;
}
