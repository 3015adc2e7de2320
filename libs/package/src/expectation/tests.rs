use super::*;
use Class::{Ac, Rte, Tle, Wa};

fn rule(permitted: &[Class], required: &[Class]) -> Requirement {
    let some = |set: &[Class]| (!set.is_empty()).then(|| set.to_vec());
    Requirement { permitted: some(permitted), required: some(required), ..Requirement::default() }
}

fn runs(classes: &[Class]) -> Vec<Run> {
    let run = |(i, class): (usize, &Class)| Run {
        test: format!("secret/{i}"),
        class: Some(*class),
        time_us: i64::try_from(i).unwrap() * 1000,
    };
    classes.iter().enumerate().map(run).collect()
}

#[track_caller]
fn check(requirement: &Requirement, classes: &[Class], matches: bool) {
    let found = mismatch(std::slice::from_ref(requirement), &runs(classes));
    assert_eq!(found.is_none(), matches, "{requirement:?} {classes:?}: {found:?}");
}

#[test]
fn directories_of_the_format_imply_verdicts() {
    let accepted = rule(&[Ac], &[]);
    check(&accepted, &[Ac, Ac], true);
    check(&accepted, &[Ac, Wa], false);
    let rejected = rule(&[], &[Rte, Tle, Wa]);
    check(&rejected, &[Ac, Rte], true);
    check(&rejected, &[Ac, Ac], false);
    let wrong = rule(&[Ac, Wa], &[Wa]);
    check(&wrong, &[Ac, Wa], true);
    check(&wrong, &[Ac, Ac], false);
    check(&wrong, &[Wa, Tle], false);
    let slow = rule(&[Ac, Tle], &[Tle]);
    check(&slow, &[Ac, Tle], true);
    check(&slow, &[Ac, Ac], false);
    check(&slow, &[Tle, Wa], false);
    let brute = rule(&[Ac, Rte, Tle], &[Rte, Tle]);
    check(&brute, &[Ac, Rte], true);
    check(&brute, &[Ac, Tle], true);
    check(&brute, &[Ac, Ac], false);
    check(&brute, &[Wa, Tle], false);
}

#[test]
fn patterns_restrict_a_requirement_to_tests() {
    let easy = Requirement { tests: Some("secret/0".into()), ..rule(&[Ac], &[]) };
    check(&easy, &[Ac, Wa], true);
    check(&easy, &[Wa, Ac], false);
    let last = Requirement { tests: Some("secret/1".into()), ..rule(&[], &[Tle]) };
    check(&last, &[Ac, Tle], true);
    check(&last, &[Tle, Ac], false);
}

#[test]
fn tests_that_did_not_run_are_ignored() {
    let mut two = runs(&[Wa, Ac]);
    two[1].class = None;
    assert_eq!(mismatch(&[rule(&[Ac, Wa], &[Wa])], &two), None);
    assert!(mismatch(&[rule(&[Ac], &[])], &two).is_some());
    assert_eq!(mismatch(&[], &two), None);
}

#[test]
fn requirements_bound_the_time_limit() {
    let bounds = |r: &Requirement| (r.is_lower_bound(), r.is_upper_bound());
    assert_eq!(bounds(&rule(&[Ac], &[])), (true, false));
    assert_eq!(bounds(&rule(&[Ac, Wa], &[Wa])), (true, false));
    assert_eq!(bounds(&rule(&[Ac, Rte], &[Rte])), (true, false));
    assert_eq!(bounds(&rule(&[Ac, Tle], &[Tle])), (false, true));
    assert_eq!(bounds(&rule(&[Ac, Rte, Tle], &[Rte, Tle])), (false, false));
    assert_eq!(bounds(&rule(&[], &[Rte, Tle, Wa])), (false, false));
    let with = |time_limit, base| Requirement { time_limit, ..base };
    assert_eq!(bounds(&with(UseForTimeLimit::No, rule(&[Ac], &[]))), (false, false));
    assert_eq!(bounds(&with(UseForTimeLimit::No, rule(&[Ac, Tle], &[Tle]))), (false, false));
    assert_eq!(bounds(&with(UseForTimeLimit::Lower, rule(&[], &[]))), (true, false));
    assert_eq!(bounds(&with(UseForTimeLimit::Upper, rule(&[], &[]))), (false, true));
    check(&with(UseForTimeLimit::Lower, rule(&[], &[])), &[Tle], false);
    check(&with(UseForTimeLimit::Upper, rule(&[], &[])), &[Ac], false);
}

#[test]
fn bounds_are_the_slowest_runs() {
    let accepted = rule(&[Ac], &[]);
    assert_eq!(lower_bound_us(std::slice::from_ref(&accepted), &runs(&[Ac, Ac, Ac])), Some(2000));
    let slow = rule(&[Ac, Tle], &[Tle]);
    assert_eq!(lower_bound_us(std::slice::from_ref(&slow), &runs(&[Ac, Tle])), None);
    assert_eq!(upper_bound_us(std::slice::from_ref(&slow), &runs(&[Ac, Tle])), Some(1000));
    let group = Requirement { tests: Some("secret/0".into()), ..accepted };
    assert_eq!(lower_bound_us(&[slow, group], &runs(&[Ac, Tle])), Some(0));
}

#[test]
fn inferred_limit_is_the_smallest_multiple() {
    let margins =
        Margins { resolution_us: 1_000_000, ac_to_time_limit: 2.0, time_limit_to_tle: 1.5 };
    assert_eq!(margins.infer_limit(0), 1_000_000);
    assert_eq!(margins.infer_limit(500_000), 1_000_000);
    assert_eq!(margins.infer_limit(500_001), 2_000_000);
    assert_eq!(margins.infer_limit(3_700_000), 8_000_000);
    assert_eq!(margins.min_slow_us(2_000_000), 3_000_000);
    assert_eq!(margins.max_fast_us(3_000_000), 1_500_000);
    let fine = Margins { resolution_us: 100_000, ..margins };
    assert_eq!(fine.infer_limit(130_000), 300_000);
}

#[test]
fn displayed_verdict_is_that_of_the_decision() {
    let check = |rules: &[Requirement], classes: &[Class], shown: Class, expects: &[Class]| {
        assert_eq!(overall(rules, &runs(classes)), shown, "{rules:?} {classes:?}");
        assert_eq!(expected(rules), expects, "{rules:?}");
    };
    let slow_or_wrong = rule(&[Ac, Wa, Tle], &[Wa]);
    check(std::slice::from_ref(&slow_or_wrong), &[Ac, Tle, Wa], Wa, &[Wa]);
    check(&[slow_or_wrong], &[Ac, Tle, Rte], Rte, &[Wa]);
    check(&[rule(&[Ac, Wa], &[Wa])], &[Wa, Tle], Tle, &[Wa]);
    check(&[rule(&[], &[Wa]), rule(&[], &[Tle])], &[Ac, Wa, Tle], Wa, &[Wa, Tle]);
    check(&[rule(&[], &[Rte, Tle, Wa]), rule(&[], &[Tle])], &[Wa, Tle], Tle, &[Tle]);
    check(&[rule(&[], &[Ac, Wa])], &[Ac, Tle], Ac, &[Ac, Wa]);
    check(&[rule(&[Ac], &[])], &[Ac], Ac, &[Ac]);
}

proptest::proptest! {
    /// A solution never passes with a displayed verdict that is not among the expected ones.
    #[test]
    fn passing_verdicts_are_expected(
        sets in proptest::collection::vec((0_usize..16, 0_usize..16), 0..4),
        classes in proptest::collection::vec(0_usize..4, 1..6),
    ) {
        let all = [Ac, Wa, Tle, Rte];
        let subset = |bits: usize| -> Vec<Class> {
            (0..4).filter(|i| bits >> i & 1 == 1).map(|i| all[i]).collect()
        };
        let rules: Vec<_> = sets.iter().map(|(p, r)| rule(&subset(*p), &subset(*r))).collect();
        let runs = runs(&classes.iter().map(|i| all[*i]).collect::<Vec<_>>());
        if mismatch(&rules, &runs).is_none() {
            proptest::prop_assert!(expected(&rules).contains(&overall(&rules, &runs)));
        }
    }
}

#[test]
fn expected_verdicts_are_displayed() {
    assert_eq!(expected(&[rule(&[Ac], &[])]), [Ac]);
    assert_eq!(expected(&[rule(&[Ac, Wa], &[Wa])]), [Wa]);
    assert_eq!(expected(&[rule(&[], &[Rte, Tle, Wa])]), [Wa, Tle, Rte]);
    assert!(!needs_all_tests(&[rule(&[Ac], &[])]));
    assert!(needs_all_tests(&[rule(&[Ac, Wa], &[Wa])]));
    assert!(needs_all_tests(&[]));
}
