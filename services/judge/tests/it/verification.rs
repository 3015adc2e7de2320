//! Checks of imports: jury solutions, input validators, example outputs.

use judge::Config;
use proto::judge::Verdict;
use proto::problem as pb;

use crate::world::{Problem, World};

const VALIDATOR: &str = "import sys\nfrom helper import small\n\
    n = int(sys.stdin.read())\nif len(sys.argv) > 1: print('strict')\n\
    sys.exit(42 if small(n) else 43)\n";
const HELPER: &str = "def small(n): return n < 10\n";

fn input(world: &World, index: i32, text: &str) -> pb::JudgeTest {
    pb::JudgeTest { index, input: Some(world.fakes.object(text)), ..pb::JudgeTest::default() }
}

fn source(world: &World, path: &str, text: &str) -> pb::SourceFile {
    pb::SourceFile { path: path.into(), content: Some(world.fakes.object(text)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_validator_accepts_and_rejects_inputs() {
    let world = World::judging(Config::default()).await;
    let validator = |valid: &[&str], invalid: &[&str]| pb::Verification {
        kind: pb::VerificationKind::InputValidator.into(),
        sources: vec![source(&world, "main.py", VALIDATOR), source(&world, "helper.py", HELPER)],
        inputs: (0..).zip(valid).map(|(i, text)| input(&world, i, text)).collect(),
        invalid_inputs: (valid.len() as i32..)
            .zip(invalid)
            .map(|(i, text)| input(&world, i, text))
            .collect(),
        arguments: vec!["strict".into()],
        ..pb::Verification::default()
    };
    let judgement = world.verify(validator(&["1", "9"], &["10", "nonsense"])).await;
    assert_eq!(judgement.verdict(), Verdict::Accepted, "{judgement:#?}");
    let verdicts = |judgement: &proto::judge::Judgement| -> Vec<_> {
        judgement.tests.iter().map(|test| test.verdict()).collect()
    };
    assert_eq!(verdicts(&judgement), [Verdict::Accepted; 4]);
    // Nothing runs after the first refused input.
    let judgement = world.verify(validator(&["1", "11", "x"], &["5"])).await;
    assert_eq!(judgement.verdict(), Verdict::WrongAnswer);
    assert_eq!(verdicts(&judgement), [Verdict::Accepted, Verdict::WrongAnswer]);
    assert_eq!((judgement.test_count, judgement.done_count), (4, 2));
    assert_eq!(judgement.tests[1].message, "exited with code 43\nstrict");
    let judgement = world.verify(validator(&["x"], &[])).await;
    assert!(judgement.tests[0].message.contains("ValueError"), "{judgement:#?}");
    // Refused invalid inputs are not failures.
    let judgement = world.verify(validator(&["1"], &["5", "11"])).await;
    assert_eq!(verdicts(&judgement), [Verdict::Accepted, Verdict::WrongAnswer, Verdict::Accepted]);
    // Accepting invalid inputs does not affect the verdict.
    let judgement = world.verify(validator(&["1"], &["5"])).await;
    assert_eq!(judgement.verdict(), Verdict::Accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jury_solution_runs_all_tests() {
    let world = World::judging(Config::default()).await;
    let problem = world.problem(&Problem::default());
    let solution = |path: &str, text: &str| pb::Verification {
        problem_id: problem.clone(),
        kind: pb::VerificationKind::Solution.into(),
        sources: vec![source(&world, path, text)],
        time_limit_us: 300_000,
        run_all_tests: true,
        ..pb::Verification::default()
    };
    let wrong =
        "#include <iostream>\nint main(){int a,b;std::cin>>a>>b;if(a<0)for(;;);std::cout<<a-b;}";
    let judgement = world.verify(solution("wrong_answer.cc", wrong)).await;
    assert_eq!(judgement.verdict(), Verdict::WrongAnswer, "{judgement:#?}");
    let verdicts: Vec<_> = judgement.tests.iter().map(|test| test.verdict()).collect();
    let expected = [Verdict::WrongAnswer, Verdict::WrongAnswer, Verdict::TimeLimitExceeded];
    assert_eq!(verdicts, expected);
    // A solution that must exceed the limit stops at the first test that shows it.
    let slow = |decisive: &[&str]| pb::Expectation {
        decisive: decisive.iter().map(|code| (*code).to_owned()).collect(),
        ..pb::Expectation::default()
    };
    let endless = "int main(){volatile unsigned x=0;for(;;)x=x+1;}";
    let expectations = vec![slow(&["TLE", "ILE"])];
    let judgement =
        world.verify(pb::Verification { expectations, ..solution("slow.cc", endless) }).await;
    assert_eq!(judgement.verdict(), Verdict::TimeLimitExceeded);
    assert_eq!((judgement.tests.len(), judgement.test_count), (1, 3));
    let right = "import java.util.*; public class add { public static void main(String[] x) { Scanner s = new Scanner(System.in); System.out.println(s.nextInt() + s.nextInt()); } }";
    let slower = pb::Verification { time_limit_us: 3_000_000, ..solution("add.java", right) };
    let judgement = world.verify(slower).await;
    assert_eq!(judgement.verdict(), Verdict::Accepted, "{judgement:#?}");
    let unknown = world.verify(solution("program.cobol", "HELLO")).await;
    assert_eq!(unknown.verdict(), Verdict::CompileError, "{unknown:#?}");
    assert!(unknown.compile_output.contains("no offered language"), "{unknown:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn example_outputs_are_checked() {
    let world = World::judging(Config::default()).await;
    let check = |index, output: &str, valid| pb::OutputCheck {
        index,
        name: format!("{index}"),
        answer: Some(world.fakes.object("1 2\n")),
        output: Some(world.fakes.object(output)),
        valid,
        checker: None,
    };
    let verification = |outputs| pb::Verification {
        kind: pb::VerificationKind::Outputs.into(),
        outputs,
        ..pb::Verification::default()
    };
    let good = vec![check(0, "1   2", true), check(1, "1 3", false), check(2, "", false)];
    assert_eq!(world.verify(verification(good)).await.verdict(), Verdict::Accepted);
    let bad = vec![check(0, "1 2", true), check(1, "1 2", false)];
    let judgement = world.verify(verification(bad)).await;
    assert_eq!(judgement.verdict(), Verdict::WrongAnswer);
    assert_eq!(judgement.tests[1].message, "was accepted");
}
