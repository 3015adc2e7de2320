//! Verification of imported packages.

use proto::event::{JudgementCompleted, Verdict};
use proto::problem::{self as pb, ImportCheckState, ImportState, Severity, VersionState};
use tonic::Code;

use crate::judge;
use crate::package::Files;
use crate::world::{World, assert_refused, each, inner};

async fn version(world: &World, import: &pb::ProblemImport) -> pb::ProblemVersion {
    let user = world.user("admin", &[access::Role::Admin]);
    let message = pb::GetProblemVersionRequest {
        problem_id: import.problem_id.clone(),
        version: import.version,
    };
    let answer = world.problems_of(&user).get_problem_version(message).await.unwrap();
    answer.into_inner().problem_version.unwrap()
}

fn check<'i>(import: &'i pb::ProblemImport, file: &str) -> &'i pb::ImportCheck {
    import.checks.iter().find(|check| check.file.ends_with(file)).expect("a check")
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_package_is_published() {
    each(|world| async move {
        let setter = world.setter();
        world.judge();
        let import = world.verified(&setter, &Files::valid(), true).await;
        assert_eq!(import.state(), ImportState::Succeeded, "{import:?}");
        assert_eq!((import.done_count, import.check_count), (3, 3));
        assert!(import.checks.iter().all(|check| check.passed && !check.actual.is_empty()));
        assert_eq!(import.slug, "twosum");
        let problem = world.get(None, "twosum").await.unwrap();
        assert_eq!(problem.published_version, 1);
        assert_eq!(
            (problem.title.as_str(), problem.tags.as_slice()),
            ("Two Sum", &["math".into()][..])
        );
        assert_eq!(problem.authors, ["Ada"]);
        assert_eq!(problem.limits.unwrap().time_limit.unwrap().seconds, 2);
        let version = version(&world, &import).await;
        assert_eq!((version.state(), version.published), (VersionState::Verified, true));
        assert_eq!((version.test_count, version.sample_count), (2, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unexpected_verdict_rejects_the_version() {
    each(|world| async move {
        let setter = world.setter();
        world.judge();
        for (file, line, message) in [
            ("submissions/accepted/a.py", "# AC WA", "test secret/1: WA, expected AC"),
            ("submissions/wrong_answer/w.py", "# AC", "expected WA on at least one test"),
            ("submissions/wrong_answer/w.py", "# RTE", "test sample/1: RTE, expected AC or WA"),
            ("submissions/accepted/a.py", "# CE", "expected `;`"),
            ("submissions/accepted/a.py", "# time=2000001 AC", "TLE, expected AC"),
            ("input_validators/check.py", "# AC WA", "secret/1: was refused"),
        ] {
            let import = world.verified(&setter, &Files::valid().with(file, line), true).await;
            assert_eq!(import.state(), ImportState::Failed, "{line}");
            let check = check(&import, file);
            assert!(!check.passed && check.message.contains(message), "{line}: {check:?}");
            let version = version(&world, &import).await;
            assert_eq!((version.state(), version.published), (VersionState::Rejected, false));
        }
        let problem = world.get(Some(&setter.token), "twosum").await.unwrap();
        assert_eq!(problem.published_version, 0);
        let message =
            pb::PublishProblemRequest { problem_id: "twosum".into(), ..Default::default() };
        let answer = world.problems_of(&setter).publish_problem(message).await;
        assert_refused(answer, Code::FailedPrecondition, "VERSION_NOT_VERIFIED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_limit_is_inferred() {
    each(|world| async move {
        let setter = world.setter();
        world.judge();
        let files = Files::without_time_limit()
            .with("submissions/accepted/a.py", "# time=700000 AC")
            .with("submissions/time_limit_exceeded/s.py", "# time=3000000 AC")
            .with("submissions/time_limit_exceeded/t.py", "# time=9000000 AC");
        let import = world.verified(&setter, &files, false).await;
        assert_eq!(import.state(), ImportState::Succeeded, "{import:?}");
        let limits = version(&world, &import).await.limits.unwrap();
        assert_eq!(limits.time_limit.unwrap().seconds, 2);
        assert_eq!(check(&import, "/s.py").actual, "TLE");
        // No limit has the required distance to both solutions.
        let close = files.with("submissions/time_limit_exceeded/s.py", "# time=2900000 AC");
        let import = world.verified(&setter, &close, false).await;
        assert_eq!(import.state(), ImportState::Failed);
        let finding = import.findings.iter().find(|f| f.severity() == Severity::Error).unwrap();
        assert!(
            finding.file.ends_with("/s.py") && finding.message.contains("1.5 times"),
            "{finding:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_and_outputs_are_checked() {
    each(|world| async move {
        let setter = world.setter();
        world.judge();
        let files = Files::valid()
            .with("data/invalid_input/x.in", "x")
            .with("data/valid_output/y.in", "")
            .with("data/valid_output/y.ans", "")
            .with("data/valid_output/y.out", "")
            .with("data/sample/test_group.yaml", "input_validator_args: [small]\n");
        // One validator accepts everything, the other refuses the invalid input. The inputs are the test, the
        // input of the output, then the invalid one.
        let files = files.with("input_validators/lax.py", "# AC AC WA\n");
        let import = world.verified(&setter, &files, false).await;
        assert_eq!(import.state(), ImportState::Succeeded, "{import:?}");
        assert_eq!(import.checks.len(), 7, "two validators with two command lines each");
        let both = files.with("input_validators/check.py", "# AC AC WA\n");
        let import = world.verified(&setter, &both, false).await;
        assert_eq!(import.state(), ImportState::Failed);
        assert!(import.findings.iter().any(|f| f.file == "data/invalid_input/x.in"));
    })
    .await;
}

/// The ids of the checks of an import, in order.
async fn check_ids(world: &World, import: &pb::ProblemImport) -> Vec<ids::Uuid> {
    let id = ids::parse(&import.problem_import_id).unwrap();
    let query = world.db.query("SELECT id FROM checks WHERE import_id = $1 ORDER BY position");
    let ids: Vec<(ids::Uuid,)> = query.bind(id).fetch_all().await.unwrap();
    ids.into_iter().map(|(id,)| id).collect()
}

/// The ids of the checks that the judge was told to cancel, sorted.
async fn canceled(world: &World) -> Vec<ids::Uuid> {
    let query = "SELECT aggregate_id FROM event_log
                 WHERE type = 'agon.event.v1.VerificationCanceled' ORDER BY aggregate_id";
    let ids: Vec<(ids::Uuid,)> = world.db.query(query).fetch_all().await.unwrap();
    ids.into_iter().map(|(id,)| id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn first_failure_cancels_the_other_checks() {
    each(|world| async move {
        let setter = world.setter();
        let import = world.import(&setter, &Files::valid(), true).await;
        let ids = check_ids(&world, &import).await;
        // The validator does not compile.
        let judged = JudgementCompleted {
            verification_id: ids[0].to_string(),
            verdict: Verdict::CompileError.into(),
            ..JudgementCompleted::default()
        };
        let mut tx = world.logs["judge"].begin().await.unwrap();
        judge::complete(&mut tx, &judged);
        tx.commit().await.unwrap();
        let import = world.finished(&setter, &import.problem_import_id).await;
        assert_eq!(import.state(), ImportState::Failed);
        let states: Vec<_> = import.checks.iter().map(|check| check.state()).collect();
        let canceled_state = ImportCheckState::Canceled;
        assert_eq!(states, [ImportCheckState::Done, canceled_state, canceled_state]);
        assert!(import.findings[0].message.contains("2 checks were not finished"), "{import:?}");
        assert_eq!(canceled(&world).await, ids[1..]);
        assert_eq!(version(&world, &import).await.state(), VersionState::Rejected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_is_canceled_by_its_setter() {
    each(|world| async move {
        let setter = world.setter();
        let cancel = async |user, id: &str| {
            let message = pb::CancelProblemImportRequest { problem_import_id: id.to_owned() };
            let answer = world.imports_of(user).cancel_problem_import(message).await;
            inner(answer).map(|answer| answer.problem_import.unwrap())
        };
        let import = world.import(&setter, &Files::valid(), true).await;
        let id = import.problem_import_id.as_str();
        let other = world.user("other", &[access::Role::Setter]);
        assert_refused(cancel(&other, id).await, Code::NotFound, "IMPORT_NOT_FOUND");
        // Again without effect.
        for _ in 0..2 {
            let import = cancel(&setter, id).await.unwrap();
            assert_eq!(import.state(), ImportState::Canceled);
            assert!(import.done_time.is_some());
            let canceled = |check: &pb::ImportCheck| check.state() == ImportCheckState::Canceled;
            assert!(import.checks.iter().all(canceled), "{import:?}");
        }
        assert_eq!(canceled(&world).await, check_ids(&world, &import).await);
        assert_eq!(version(&world, &import).await.state(), VersionState::Rejected);
        // Late results are ignored.
        world.judge();
        let done = world.verified(&setter, &Files::valid(), true).await;
        assert_eq!(done.state(), ImportState::Succeeded);
        assert_eq!(world.finished(&setter, id).await.state(), ImportState::Canceled);
        let refused = cancel(&setter, &done.problem_import_id).await;
        assert_refused(refused, Code::FailedPrecondition, "IMPORT_DONE");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_shows_the_progress_of_its_checks() {
    each(|world| async move {
        let setter = world.setter();
        let import = world.import(&setter, &Files::valid(), true).await;
        let message =
            pb::GetProblemImportRequest { problem_import_id: import.problem_import_id.clone() };
        let answer = world.imports_of(&setter).get_problem_import(message).await;
        let import = inner(answer).unwrap().problem_import.unwrap();
        let [validator, accepted, _] = import.checks.as_slice() else { panic!("{import:?}") };
        assert_eq!(validator.state(), ImportCheckState::Running);
        assert_eq!((validator.done_count, validator.run_count), (1, 2));
        assert_eq!(validator.queue_time.map(|time| time.seconds), Some(100));
        assert_eq!(accepted.state(), ImportCheckState::Queued);
        assert_eq!((accepted.done_count, accepted.run_count), (0, 2));
        assert_eq!((validator.message.as_str(), accepted.message.as_str()), ("", "no worker"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn judge_is_told_when_a_solution_is_decided() {
    each(|world| async move {
        let setter = world.setter();
        let files = Files::valid().with("submissions/time_limit_exceeded/s.py", "# TLE\n");
        let import = world.import(&setter, &files, true).await;
        let mut decisive = Vec::new();
        for id in check_ids(&world, &import).await {
            let message = pb::GetVerificationRequest { verification_id: id.to_string() };
            let found = world.judge_data().get_verification(message).await.unwrap().into_inner();
            let verification = found.verification.unwrap();
            let file = verification.sources[0].path.clone();
            let expectations = verification.expectations.iter();
            decisive.push((file, expectations.map(|it| it.decisive.join(" ")).collect::<Vec<_>>()));
        }
        let of = |file: &str| {
            let found = decisive.iter().find(|(path, _)| path.ends_with(file));
            found.map(|(_, decisive)| decisive.join(",")).unwrap()
        };
        assert_eq!(of("s.py"), "TLE ILE");
        assert_eq!([of("a.py"), of("w.py"), of("check.py")], ["", "", ""]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_continues_after_restarts() {
    each(|world| async move {
        let setter = world.setter();
        let files = Files::without_time_limit()
            .with("submissions/time_limit_exceeded/s.py", "# time=9000000 AC");
        let import = world.import(&setter, &files, true).await;
        assert_eq!((import.state(), import.done_count), (ImportState::Verifying, 0));
        // Restart before any check is judged.
        let world = world.restart().await;
        let world = world.restart().await;
        world.judge();
        let import = world.finished(&setter, &import.problem_import_id).await;
        assert_eq!(import.state(), ImportState::Succeeded, "{import:?}");
        assert_eq!(world.get(None, "twosum").await.unwrap().published_version, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_unknown_results_are_ignored() {
    each(|world| async move {
        let setter = world.setter();
        world.judge();
        let import = world.verified(&setter, &Files::valid(), true).await;
        let ids: Vec<(ids::Uuid,)> =
            world.db.query("SELECT id FROM checks").fetch_all().await.unwrap();
        let unknown = world.clock().new_id();
        for id in ids.into_iter().map(|(id,)| id).chain([unknown]) {
            let judged = JudgementCompleted {
                verification_id: id.to_string(),
                verdict: Verdict::WrongAnswer.into(),
                ..JudgementCompleted::default()
            };
            let mut tx = world.logs["judge"].begin().await.unwrap();
            judge::complete(&mut tx, &judged);
            tx.commit().await.unwrap();
        }
        // A later import shows that the results were consumed.
        let again =
            world.verified(&setter, &Files::valid().with("data/secret/1.ans", "5\n"), true).await;
        assert_eq!(again.state(), ImportState::Succeeded);
        assert_eq!(again.version, 2, "the same package uuid makes a new version");
        let first = world.finished(&setter, &import.problem_import_id).await;
        assert_eq!(first.state(), ImportState::Succeeded);
        assert!(world.running.bus.health().is_ok());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_problems_are_imported_once() {
    each(|world| async move {
        let admin = world.user("admin", &[access::Role::Admin]);
        assert_eq!(world.running.service.import_samples(admin.id).await.unwrap(), 3);
        assert_eq!(world.running.service.import_samples(admin.id).await.unwrap(), 0);
        for (slug, _) in problem::samples() {
            // Published at once: it was verified when the release was made.
            let problem = world.get(None, slug).await.unwrap();
            assert_eq!(problem.published_version, 1);
            let message = pb::GetStatementRequest { problem_id: slug.into(), ..Default::default() };
            let answer = world.problems_of(&admin).get_statement(message).await.unwrap();
            let statement = answer.into_inner().statement.unwrap();
            assert!(!statement.samples.is_empty() && !statement.markdown.is_empty());
            assert_eq!(statement.title, problem.title);
            let data = world.judge_data();
            let message =
                pb::GetJudgeDataRequest { problem_id: problem.problem_id.clone(), version: 1 };
            let found = data.clone().get_judge_data(message).await.unwrap().into_inner();
            for test in found.judge_data.unwrap().tests {
                let object = test.input.unwrap();
                let bytes = judge::download(&data, &object.digest).await.unwrap();
                assert_eq!(bytes.len() as i64, object.size_bytes);
            }
        }
    })
    .await;
}
