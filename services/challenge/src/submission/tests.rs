//! The visible parts of a submission, by viewer; views do not depend on secret details.

use proptest::prelude::*;

use super::*;

const AUTHOR: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);
const JUDGEMENT: Uuid = Uuid::from_u128(3);

fn user(id: Uuid) -> Viewer {
    Viewer { user_id: Some(id), service: false, sees_submissions: false, sees_sources: false }
}

fn judge() -> Viewer {
    Viewer { sees_submissions: true, sees_sources: true, ..user(OTHER) }
}

fn service() -> Viewer {
    Viewer { user_id: None, service: true, sees_submissions: false, sees_sources: false }
}

fn test(index: i32, verdict: Verdict, sample: bool) -> Test {
    Test {
        index,
        verdict,
        cpu_time_us: 10,
        memory_bytes: 20,
        sample,
        detail: Detail {
            message: format!("checker on {index}"),
            output: format!("output of {index}"),
            exit_code: Some(index),
            signal: Some(9),
        },
    }
}

/// Sample 0 and secret 1 pass, secret 2 fails, and 3 ran in parallel.
fn judged() -> (Submission, Judging) {
    use Verdict::{Accepted, WrongAnswer};
    let tests = vec![
        test(0, Accepted, true),
        test(1, Accepted, false),
        test(2, WrongAnswer, false),
        test(3, Accepted, false),
    ];
    let judging = Judging {
        judgement_id: Some(JUDGEMENT),
        attempt: 1,
        state: State::Done,
        done_count: 4,
        test_count: 9,
        tests: tests.iter().map(|test| (test.index, test.clone())).collect(),
        compile_output: "warning: unused".into(),
    };
    let outcome = Outcome {
        judgement_id: JUDGEMENT,
        verdict: WrongAnswer,
        cpu_time_us: 10,
        memory_bytes: 20,
        test_count: 9,
        isolation: "full".into(),
        judged_at: DateTime::UNIX_EPOCH,
        tests,
    };
    (Submission { outcome: Some(outcome), ..pending() }, judging)
}

fn pending() -> Submission {
    Submission {
        id: Uuid::from_u128(9),
        version: 1,
        user_id: AUTHOR,
        problem_id: Uuid::from_u128(7),
        problem_version: 1,
        language: "cpp20".into(),
        source_size: 5,
        created_at: DateTime::UNIX_EPOCH,
        place: None,
        outcome: None,
    }
}

fn view(viewer: Viewer, submission: &Submission, judging: &Judging) -> Option<View> {
    View::new(submission.clone(), judging, viewer.sight(submission.user_id))
}

#[test]
fn authors_see_tests_up_to_the_deciding_one_and_details_of_samples() {
    let (submission, judging) = judged();
    let view = view(user(AUTHOR), &submission, &judging).unwrap();
    assert_eq!(view.state, State::Done);
    assert_eq!(view.compile_output, "warning: unused");
    assert_eq!((view.done_count, view.test_count, view.tests.len()), (3, 9, 3));
    assert_eq!(view.tests[0].detail.output, "output of 0");
    assert!(view.tests[1..].iter().all(|test| test.detail == Detail::default()));
}

#[test]
fn judges_and_services_see_every_test_without_secret_details() {
    let (submission, judging) = judged();
    for viewer in [judge(), service()] {
        let view = view(viewer, &submission, &judging).unwrap();
        assert_eq!(view.tests.len(), 4);
        assert_eq!(view.compile_output, "warning: unused");
        assert!(view.tests[1..].iter().all(|test| test.detail == Detail::default()));
    }
}

#[test]
fn others_see_nothing() {
    let (submission, judging) = judged();
    assert_eq!(view(user(OTHER), &submission, &judging), None);
    assert_eq!(user(OTHER).sight(AUTHOR), Sight::default());
}

#[test]
fn compiler_output_requires_the_permission_to_read_sources() {
    let (submission, judging) = judged();
    let viewer = Viewer { sees_sources: false, ..judge() };
    assert_eq!(view(viewer, &submission, &judging).unwrap().compile_output, "");
    let reader = Viewer { sees_submissions: false, ..judge() };
    assert_eq!(view(reader, &submission, &judging), None);
    assert!(reader.sight(AUTHOR).source);
}

#[test]
fn done_requires_a_durable_verdict() {
    let (_, judging) = judged();
    let view = view(user(AUTHOR), &pending(), &judging).unwrap();
    assert_eq!((view.state, view.submission.outcome.clone()), (State::Running, None));
    assert_eq!(view.compile_output, "");
    assert!(view.tests.iter().all(|test| test.detail == Detail::default()));
}

#[test]
fn details_of_another_judgement_are_not_shown() {
    let (submission, mut judging) = judged();
    judging.judgement_id = Some(Uuid::from_u128(4));
    let view = view(user(AUTHOR), &submission, &judging).unwrap();
    assert_eq!(view.tests[0].detail, Detail::default());
    assert_eq!(view.compile_output, "");
}

#[test]
fn listed_submissions_have_no_tests() {
    let (submission, _) = judged();
    let view = View::listed(submission, user(AUTHOR).sight(AUTHOR)).unwrap();
    assert!(view.tests.is_empty());
    assert_eq!((view.state, view.done_count, view.test_count), (State::Done, 9, 9));
}

prop_compose! {
    fn any_detail()(
        message in ".{0,8}", output in ".{0,8}",
        exit_code in any::<Option<i32>>(), signal in any::<Option<i32>>(),
    ) -> Detail {
        Detail { message, output, exit_code, signal }
    }
}

prop_compose! {
    fn any_viewer()(
        id in prop_oneof![Just(Some(AUTHOR)), Just(Some(OTHER)), Just(None)],
        service: bool, sees_submissions: bool, sees_sources: bool,
    ) -> Viewer {
        Viewer { user_id: id, service, sees_submissions, sees_sources }
    }
}

proptest! {
    #[test]
    fn details_of_secret_tests_change_no_view(
        viewer in any_viewer(), detail in any_detail(), done: bool, wrong_sample: bool, index in 1..4,
    ) {
        let (mut submission, judging) = judged();
        if !done {
            submission.outcome = None;
        }
        let before = view(viewer, &submission, &judging);
        let mut changed = judging;
        let secret = changed.tests.get_mut(&index).unwrap();
        secret.detail = detail.clone();
        // A response that wrongly marks the test as a sample does not reveal it.
        secret.sample = wrong_sample && done;
        if let Some(outcome) = &mut submission.outcome {
            outcome.tests[index as usize].detail = detail;
        }
        prop_assert_eq!(before, view(viewer, &submission, &changed));
    }

    #[test]
    fn tests_after_the_deciding_one_change_no_view_of_the_author(extra in 0..4_usize, reverse: bool) {
        let (mut submission, judging) = judged();
        let before = view(user(AUTHOR), &submission, &judging);
        let tests = &mut submission.outcome.as_mut().unwrap().tests;
        tests.truncate(3);
        for i in 0..extra {
            tests.push(test(4 + i32::try_from(i).unwrap(), Verdict::RuntimeError, false));
        }
        if reverse {
            tests.reverse();
        }
        prop_assert_eq!(before, view(user(AUTHOR), &submission, &judging));
    }

    #[test]
    fn only_authors_services_and_permission_holders_see_a_submission(viewer in any_viewer()) {
        let sight = viewer.sight(AUTHOR);
        let own = viewer.user_id == Some(AUTHOR);
        prop_assert_eq!(sight.submission, own || viewer.service || viewer.sees_submissions);
        prop_assert_eq!(sight.source, own || viewer.service || viewer.sees_sources);
    }
}
