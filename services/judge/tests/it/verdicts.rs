//! Every verdict in every language, in real sandboxes.

use std::time::Duration;

use judge::Config;
use proto::judge::{Judgement, Verdict};

use crate::programs::{ALL, Programs};
use crate::world::{Problem, World};

#[track_caller]
fn expect(judgement: &Judgement, verdict: Verdict) {
    assert_eq!(judgement.verdict(), verdict, "{judgement:#?}");
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_in_every_language() {
    let world = World::judging(Config::default()).await;
    let problem = world.problem(&Problem { memory_mib: 128, ..Problem::default() });
    let tight = world.problem(&Problem {
        time: millis(400),
        memory_mib: 96,
        output: 1 << 20,
        ..Problem::default()
    });
    // Java starts slowly, in particular on a busy machine.
    let easy = Problem { time: millis(2500), memory_mib: 128, ..Problem::default() };
    let easy = world.problem(&easy);
    for programs in &ALL {
        solves(&world, programs, &easy).await;
        fails(&world, programs, &problem, &easy).await;
        limits(&world, programs, &tight).await;
    }
}

async fn solves(world: &World, programs: &Programs, problem: &str) {
    let language = programs.language;
    let judgement = world.judge(problem, language, programs.right).await;
    expect(&judgement, Verdict::Accepted);
    assert_eq!((judgement.tests.len(), judgement.test_count), (3, 3), "{language}");
    assert_eq!(judgement.isolation, "full");
    let sample = &judgement.tests[0];
    assert_eq!((sample.output.as_str(), sample.sample), ("3\n", true));
    assert_eq!(judgement.tests[1].output, "");
    assert!(judgement.cpu_time_us > 0 && judgement.memory_bytes > 0, "{judgement:?}");
}

async fn fails(world: &World, programs: &Programs, problem: &str, easy: &str) {
    let language = programs.language;
    let judgement = world.judge(problem, language, programs.broken).await;
    expect(&judgement, Verdict::CompileError);
    assert!(judgement.tests.is_empty() && !judgement.compile_output.is_empty(), "{language}");
    let judgement = world.judge(problem, language, programs.exits).await;
    expect(&judgement, Verdict::RuntimeError);
    let test = &judgement.tests[0];
    assert_eq!((test.exit_code, test.signal), (Some(7), None), "{language}");
    assert_eq!(test.message, "exited with code 7\noh no", "{language}");
    let judgement = world.judge(easy, language, programs.wrong).await;
    expect(&judgement, Verdict::WrongAnswer);
    assert_eq!(judgement.tests.len(), 1, "{language}");
    assert_eq!(judgement.tests[0].message, "line 1, token 1: got `-1`, expected `3`");
    expect(&world.judge(easy, language, programs.silent).await, Verdict::NoOutput);
}

async fn limits(world: &World, programs: &Programs, problem: &str) {
    let language = programs.language;
    let judgement = world.judge(problem, language, programs.busy).await;
    expect(&judgement, Verdict::TimeLimitExceeded);
    assert!(judgement.cpu_time_us > 400_000, "{language}: {judgement:?}");
    expect(&world.judge(problem, language, programs.idle).await, Verdict::IdlenessLimitExceeded);
    // Some languages need longer than the tight limit to exhaust their memory.
    let slow =
        Problem { time: millis(5000), memory_mib: 96, output: 1 << 20, ..Problem::default() };
    let slow = world.problem(&slow);
    let judgement = world.judge(&slow, language, programs.greedy).await;
    expect(&judgement, Verdict::MemoryLimitExceeded);
    let judgement = world.judge(&slow, language, programs.flooding).await;
    expect(&judgement, Verdict::OutputLimitExceeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_violations_and_compile_bombs() {
    let world = World::judging(Config { compile_seconds: 12, ..Config::default() }).await;
    let problem = world.problem(&Problem::default());
    let cpp = async |source: &str| world.judge(&problem, "cpp20", source).await;
    let judgement = cpp("int main(){volatile int*p=0;return *p;}").await;
    expect(&judgement, Verdict::RuntimeError);
    assert_eq!(judgement.tests[0].signal, Some(11));
    assert!(judgement.tests[0].message.starts_with("was terminated by signal 11 (SIGSEGV)"));
    let traced = "#include <sys/ptrace.h>\nint main(){ptrace(PTRACE_TRACEME,0,0,0);}";
    expect(&cpp(traced).await, Verdict::SecurityViolation);
    let template = "template<int N> struct A { static const int v = A<N-1>::v + A<N-2>::v; };\n\
                    template<int N> int f() { return f<N+1>() + f<N+2>(); }\n\
                    int main() { return f<0>(); }";
    let judgement = cpp(template).await;
    expect(&judgement, Verdict::CompileError);
    assert!(judgement.compile_output.len() <= 64 << 10);
    let random = cpp("#include \"/dev/random\"\nint main(){}").await;
    expect(&random, Verdict::CompileError);
    // Test data is not visible in the sandbox.
    let spy = "#include <bits/stdc++.h>\nint main(){ for (auto& e : std::filesystem::recursive_directory_iterator(\"/\", std::filesystem::directory_options::skip_permission_denied)) { auto p = e.path().string(); if (p.find(\"objects\") != p.npos && p.find(\"agon\") != p.npos) std::cout << p; } int a,b; std::cin>>a>>b; std::cout<<a+b; }";
    let spied = world.problem(&Problem { time: millis(5000), ..Problem::default() });
    let judgement = world.judge(&spied, "cpp20", spy).await;
    assert!(
        matches!(judgement.verdict(), Verdict::Accepted | Verdict::RuntimeError),
        "{judgement:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problem_checker_uses_its_tolerance() {
    let world = World::judging(Config::default()).await;
    let tolerant = proto::problem::Checker {
        float_absolute_tolerance: Some(1e-3),
        ..proto::problem::Checker::default()
    };
    let tests = vec![("", "3.1415926535 Yes\n", false)];
    let problem = Problem { checker: tolerant, tests, ..Problem::default() };
    let problem = world.problem(&problem);
    let judged = async |text: &str| {
        world.judge(&problem, "python3", &format!("print('{text}')")).await.verdict()
    };
    assert_eq!(judged("31.416e-1 YES").await, Verdict::Accepted);
    assert_eq!(judged("3.143 yes").await, Verdict::WrongAnswer);
    assert_eq!(judged("3.1416").await, Verdict::WrongAnswer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_survive_restarts_and_outages_delay_judging() {
    let mut world = World::judging(Config::default()).await;
    let problem = world.problem(&Problem::default());
    let source = "#include <cstdio>\nint main(){int a,b;std::scanf(\"%d%d\",&a,&b);std::printf(\"%d\",a+b);}";
    expect(&world.judge(&problem, "cpp20", source).await, Verdict::Accepted);
    let downloads = world.fakes.downloads();
    assert_eq!(downloads, 6);
    expect(&world.judge(&problem, "cpp20", source).await, Verdict::Accepted);
    world.restart().await;
    expect(&world.judge(&problem, "cpp20", source).await, Verdict::Accepted);
    assert_eq!(world.fakes.downloads(), downloads);
    // A damaged object is downloaded again.
    let objects = world.data_dir().join("objects");
    for prefix in std::fs::read_dir(&objects).unwrap().flatten() {
        for object in std::fs::read_dir(prefix.path()).unwrap().flatten() {
            std::fs::write(object.path(), "999 999 999").unwrap();
        }
    }
    world.restart().await;
    expect(&world.judge(&problem, "cpp20", source).await, Verdict::Accepted);
    assert_eq!(world.fakes.downloads(), 2 * downloads);
    // The problem service is temporarily unavailable.
    world.fakes.set_unavailable(true);
    let id = world.submit(&problem, "cpp20", source).await;
    db::testing::eventually("an attempt was retried", || async {
        world.submission(id).await.is_ok_and(|judgement| judgement.attempt > 1)
    })
    .await;
    world.fakes.set_unavailable(false);
    expect(&world.verdict(id).await, Verdict::Accepted);
}
