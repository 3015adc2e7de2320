//! The files of programs: working directories, names of Java classes, and large programs.

use std::time::Duration;

use judge::Config;
use proto::judge::{Judgement, Verdict};
use proto::problem as pb;

use crate::world::{Problem, World};

fn sources(world: &World, files: &[(&str, &str)]) -> Vec<pb::SourceFile> {
    let source = |(path, text): &(&str, &str)| pb::SourceFile {
        path: (*path).into(),
        content: Some(world.fakes.object(*text)),
    };
    files.iter().map(source).collect()
}

/// Runs the files of a directory as a jury solution.
async fn solution(world: &World, problem: &str, files: &[(&str, &str)]) -> Judgement {
    let verification = pb::Verification {
        problem_id: problem.to_owned(),
        kind: pb::VerificationKind::Solution.into(),
        sources: sources(world, files),
        ..pb::Verification::default()
    };
    world.verify(verification).await
}

#[track_caller]
fn expect(judgement: &Judgement, verdict: Verdict) {
    assert_eq!(judgement.verdict(), verdict, "{judgement:#?}");
}

const VALIDATOR: &str = "#include <stdio.h>\n#include <string.h>\n\
    int main(void) { char known[9] = \"\", word[9] = \"\"; FILE *list = fopen(\"words/list.txt\", \"r\");\n\
    if (!list || fopen(\"made\", \"w\")) return 1;\n\
    fscanf(list, \"%8s\", known); scanf(\"%8s\", word); return strcmp(known, word) ? 43 : 42; }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_run_beside_their_files() {
    let world = World::judging(Config::default()).await;
    let input = |index, text: &str| pb::JudgeTest {
        index,
        input: Some(world.fakes.object(text)),
        ..pb::JudgeTest::default()
    };
    let judgement = world
        .verify(pb::Verification {
            kind: pb::VerificationKind::InputValidator.into(),
            // The compiled program has another place than a file with its name.
            sources: sources(
                &world,
                &[("check.c", VALIDATOR), ("words/list.txt", "heron\n"), ("main", "")],
            ),
            inputs: vec![input(0, "heron\n")],
            invalid_inputs: vec![input(1, "submarine\n")],
            ..pb::Verification::default()
        })
        .await;
    expect(&judgement, Verdict::Accepted);
    assert!(judgement.tests.iter().all(|test| test.verdict() == Verdict::Accepted));

    let problem = world.problem(&Problem::default());
    let reader = "print(sum(map(int, input().split())) + int(open('offset.txt').read()))";
    let files = [("main.py", reader), ("offset.txt", "0")];
    expect(&solution(&world, &problem, &files).await, Verdict::Accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_can_be_written_only_if_the_problem_allows_it() {
    let world = World::judging(Config::default()).await;
    let problem = world.problem(&Problem::default());
    let allowing = world.problem(&Problem { file_writing: true, ..Problem::default() });
    let scratch = "open('scratch', 'x').write(str(sum(map(int, input().split()))))\n\
                   print(open('scratch').read())\n";
    expect(&world.judge(&problem, "python3", scratch).await, Verdict::RuntimeError);
    expect(&world.judge(&allowing, "python3", scratch).await, Verdict::Accepted);
    let changing = "import os\nopen('data', 'a').write('!')\nassert open('data').read() == '!'\n\
                    os.remove('data')\nprint(sum(map(int, input().split())))\n";
    let files = [("main.py", changing), ("data", "")];
    expect(&solution(&world, &problem, &files).await, Verdict::RuntimeError);
    // Each test sees the original files.
    expect(&solution(&world, &allowing, &files).await, Verdict::Accepted);
}

/// Programs that open their standard streams by path.
const BY_PATH: [(&str, &str); 4] = [
    (
        "cpp20",
        "#include <fstream>\nint main() { std::ifstream in(\"/dev/stdin\"); std::ofstream out(\"/dev/stdout\"); \
         std::ofstream(\"/dev/null\") << 1; int a, b; in >> a >> b; out << a + b << '\\n'; }",
    ),
    (
        "python3",
        "with open('/dev/stdin') as f, open('/proc/self/fd/1', 'w') as g:\n    \
         print(sum(map(int, f.read().split())), file=g)",
    ),
    (
        "java",
        "class Main { public static void main(String[] x) throws Exception { \
         java.util.Scanner s = new java.util.Scanner(new java.io.FileInputStream(\"/dev/stdin\")); \
         System.out.println(s.nextInt() + s.nextInt()); } }",
    ),
    (
        "javascript",
        "const [a, b] = require('fs').readFileSync('/dev/stdin', 'utf8').split(' ').map(Number);\n\
         console.log(a + b);",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_streams_can_be_opened_by_path() {
    let world = World::judging(Config::default()).await;
    let tests = vec![("1 2\n", "3\n", false)];
    let time = Duration::from_secs(3);
    let problem = world.problem(&Problem { time, tests, ..Problem::default() });
    for (language, source) in BY_PATH {
        // Not every machine has Node.js. The languages are known after the first judgement.
        if language != "javascript" || world.listed_languages().await.iter().any(|l| l == language)
        {
            let judgement = world.judge(&problem, language, source).await;
            assert_eq!(judgement.verdict(), Verdict::Accepted, "{language}: {judgement:#?}");
        }
    }
}

const BODY: &str = "static void main(String[] x) { java.util.Scanner s = new java.util.Scanner(System.in); \
    System.out.println(s.nextInt() + s.nextInt()); }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javac_names_files_and_classes() {
    let world = World::judging(Config::default()).await;
    let tests = vec![("1 2\n", "3\n", false)];
    let time = Duration::from_secs(3);
    let problem = world.problem(&Problem { time, tests, ..Problem::default() });
    for source in [
        // Line ends by Unicode escapes and by carriage returns only.
        format!("// \\u000a public class T\\u0065st {{ public {BODY} }}"),
        format!("// x\rpackage a.b;\rclass Other {{}}\rpublic class Main_ {{ public {BODY} }}\r"),
        // No public class: the first one with a main method.
        format!(
            "class A {{ String s = \"\"\"\n  }} public class No\n  \"\"\"; void main() {{}} }}\n\
             class C {{ public {BODY} }}\nclass B {{ public static void main(String[] x) {{}} }}"
        ),
    ] {
        let judgement = world.judge(&problem, "java", &source).await;
        assert_eq!(judgement.verdict(), Verdict::Accepted, "{source}: {judgement:#?}");
    }
    let helper = "public class Helper { static int a; }";
    let main =
        format!("// static void main\npublic class Solve {{ int a = Helper.a; public {BODY} }}");
    let files = [("helper.java", helper), ("solution.java", main.as_str())];
    expect(&solution(&world, &problem, &files).await, Verdict::Accepted);
    let broken = world.judge(&problem, "java", "public class Late { int x = y; }").await;
    expect(&broken, Verdict::CompileError);
    assert!(broken.compile_output.starts_with("Late.java:1: error: cannot find symbol"));
    assert!(!broken.compile_output.contains("should be declared"), "{broken:#?}");
    expect(&world.judge(&problem, "java", "// nothing").await, Verdict::CompileError);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_program_may_be_as_large_as_the_memory_limit() {
    let world = World::judging(Config::default()).await;
    let source = "#include <stdio.h>\nchar large[270 << 20] = {1};\n\
        int main(void) { int a, b; scanf(\"%d%d\", &a, &b); printf(\"%d\\n\", a + b + large[b - a + 9]); }";
    let problem = world.problem(&Problem { memory_mib: 300, ..Problem::default() });
    expect(&world.judge(&problem, "c17", source).await, Verdict::Accepted);
}
