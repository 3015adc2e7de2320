//! Every path of a duel, and random ones.

use proptest::prelude::*;
use proto::Verdict;

use super::*;
use score::{Cell, cells, decide};

const A: Side = Side::First;
const B: Side = Side::Second;
const MINUTE: i64 = 60;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn invited(mode: Mode) -> Duel {
    let player = |n| Player { user_id: Uuid::from_u128(n), name: String::new() };
    Duel {
        id: Uuid::nil(),
        mode,
        state: State::Invited,
        ending: None,
        players: [player(1), player(2)],
        problem_count: mode.default_problem_count(),
        time_limit: TIME_LIMIT,
        problems: Vec::new(),
        created_at: at(0),
        expires_at: Some(at(0) + INVITATION),
        started_at: None,
        ends_at: None,
        finished_at: None,
        draw_offer: None,
        void_reason: String::new(),
        rematch_of: None,
        matched: None,
        due_at: Some(at(0) + INVITATION),
    }
}

/// Started at second 0.
fn running(mode: Mode) -> Duel {
    let mut duel = invited(mode);
    let count = usize::try_from(duel.problem_count).unwrap();
    let problem = |index| Problem {
        problem_id: Uuid::from_u128(10 + index as u128),
        difficulty: 0,
        points: mode.points(index),
        reason: String::new(),
    };
    duel.start((0..count).map(problem).collect(), at(0));
    duel
}

fn attempt(side: Side, problem: usize, second: i64, verdict: Option<Verdict>) -> Attempt {
    Attempt { side, problem, time_us: second * 1_000_000, verdict }
}

const AC: Option<Verdict> = Some(Verdict::Accepted);
const WA: Option<Verdict> = Some(Verdict::WrongAnswer);

#[test]
fn an_invitation_is_answered_withdrawn_or_expires() {
    let duel = invited(Mode::Lockout);
    assert_eq!(duel.check_accept(B, at(10)), Ok(()));
    assert_eq!(duel.check_accept(A, at(10)), Err(Refusal::OtherPlayer));
    assert_eq!(duel.check_accept(B, at(5 * MINUTE)), Err(Refusal::NotInvited));
    for (made, side, state) in
        [(Move::Decline, B, State::Declined), (Move::Cancel, A, State::Canceled)]
    {
        let mut duel = invited(Mode::Lockout);
        assert_eq!(duel.make(made, side.other(), at(10)), Err(Refusal::OtherPlayer));
        assert_eq!(duel.make(made, side, at(10)), Ok(()));
        assert_eq!((duel.state, duel.due_at), (state, None));
        assert_eq!(duel.make(made, side, at(11)), Err(Refusal::NotInvited));
    }
    let mut duel = invited(Mode::Lockout);
    assert!(!duel.settle(&[], at(5 * MINUTE - 1)));
    assert!(duel.settle(&[], at(5 * MINUTE)));
    assert_eq!(duel.state, State::Expired);
}

#[test]
fn draws_need_both_players_and_ten_minutes() {
    let mut duel = running(Mode::Points);
    assert_eq!(duel.make(Move::OfferDraw, A, at(10 * MINUTE - 1)), Err(Refusal::TooEarly));
    assert_eq!(duel.make(Move::AcceptDraw, B, at(11 * MINUTE)), Err(Refusal::NoDrawOffer));
    assert_eq!(duel.make(Move::OfferDraw, A, at(11 * MINUTE)), Ok(()));
    assert_eq!(duel.make(Move::AcceptDraw, A, at(12 * MINUTE)), Err(Refusal::NoDrawOffer));
    assert_eq!(duel.make(Move::AcceptDraw, B, at(13 * MINUTE)), Err(Refusal::NoDrawOffer));
    assert_eq!(duel.make(Move::OfferDraw, A, at(14 * MINUTE)), Ok(()));
    let mut both = duel.clone();
    for (duel, made) in [(&mut duel, Move::AcceptDraw), (&mut both, Move::OfferDraw)] {
        assert_eq!(duel.make(made, B, at(15 * MINUTE)), Ok(()));
        assert_eq!((duel.state, duel.ending), (State::Finished, Some(Ending::Drawn)));
    }
}

#[test]
fn the_loser_of_a_forfeit_is_who_gives_up() {
    let mut duel = running(Mode::FirstToSolve);
    assert_eq!(duel.make(Move::Forfeit, A, at(1)), Ok(()));
    assert_eq!(duel.ending.and_then(Ending::winner), Some(B));
    assert_eq!(duel.make(Move::Forfeit, B, at(2)), Err(Refusal::NotRunning));
    assert_eq!(duel.void("problem is wrong", at(3)), Ok(()));
    assert_eq!(duel.ending, Some(Ending::Voided));
}

#[test]
fn the_earliest_accepted_submission_wins_even_if_its_verdict_is_late() {
    let mut duel = running(Mode::FirstToSolve);
    let late = [attempt(A, 0, 60, None), attempt(B, 0, 61, AC)];
    assert!(!duel.settle(&late, at(70)));
    // At the deadline the duel waits for the verdict, without a time to act.
    assert!(duel.settle(&late, at(45 * MINUTE)));
    assert_eq!((duel.state, duel.due_at), (State::Running, None));
    assert!(!duel.accepts_submissions(at(45 * MINUTE)));
    for (verdict, winner) in [(AC, A), (WA, B)] {
        let mut duel = duel.clone();
        assert!(duel.settle(&[attempt(A, 0, 60, verdict), late[1]], at(46 * MINUTE)));
        assert_eq!(duel.ending, Some(Ending::Won(winner)));
    }
    // A pending submission after the accepted one changes nothing.
    let first = [attempt(B, 0, 60, AC), attempt(A, 0, 61, None)];
    assert_eq!(decide(Mode::FirstToSolve, &[1], &first, false), Decision::Won(B));
    // Both accepted at the same time: the order of acknowledgement decides.
    let same = [attempt(B, 0, 60, AC), attempt(A, 0, 60, AC)];
    assert_eq!(decide(Mode::FirstToSolve, &[1], &same, false), Decision::Won(B));
}

#[test]
fn a_duel_without_points_times_out() {
    let mut duel = running(Mode::Lockout);
    assert!(!duel.settle(&[attempt(A, 0, 60, WA)], at(45 * MINUTE - 1)));
    assert!(duel.settle(&[attempt(A, 0, 60, WA)], at(45 * MINUTE)));
    assert_eq!(duel.ending, Some(Ending::TimedOut));
}

#[test]
fn a_lockout_ends_when_the_lead_is_out_of_reach() {
    let points = [1; 3];
    let mut attempts = vec![attempt(A, 0, 1, AC)];
    assert_eq!(decide(Mode::Lockout, &points, &attempts, false), Decision::Open);
    attempts.push(attempt(A, 2, 2, AC));
    assert_eq!(decide(Mode::Lockout, &points, &attempts, false), Decision::Won(A));
    let even = [attempt(A, 0, 1, AC), attempt(B, 1, 2, AC)];
    assert_eq!(decide(Mode::Lockout, &points, &even, true), Decision::Drawn);
    assert_eq!(decide(Mode::Lockout, &points[..2], &even, false), Decision::Drawn);
}

#[test]
fn with_equal_points_who_reached_them_first_wins() {
    let points = [100, 200];
    let attempts =
        [attempt(A, 0, 1, AC), attempt(B, 0, 2, AC), attempt(B, 1, 3, AC), attempt(A, 1, 4, AC)];
    assert_eq!(decide(Mode::Points, &points, &attempts[..2], true), Decision::Won(A));
    assert_eq!(decide(Mode::Points, &points, &attempts[..2], false), Decision::Open);
    // All that A can still do is to reach as many points later.
    assert_eq!(decide(Mode::Points, &points, &attempts[..3], false), Decision::Won(B));
    assert_eq!(decide(Mode::Points, &points, &attempts, true), Decision::Won(B));
}

#[test]
fn cells_count_attempts_and_show_what_is_undecided() {
    let attempts = [
        attempt(A, 0, 1, Some(Verdict::CompileError)),
        attempt(A, 0, 2, WA),
        attempt(A, 0, 3, None),
        attempt(B, 0, 4, AC),
        attempt(B, 0, 5, WA),
    ];
    let first = Cell { tries: 1, pending: 1, ..Cell::default() };
    let second =
        Cell { solved: true, scored: false, tries: 1, pending: 0, time_us: Some(4_000_000) };
    assert_eq!(cells(Mode::Lockout, 0, &attempts), [first, second]);
    let scored = Cell { scored: true, ..second };
    assert_eq!(cells(Mode::Points, 0, &attempts), [first, scored]);
    let judged: Vec<Attempt> =
        attempts.map(|it| Attempt { verdict: it.verdict.or(WA), ..it }).to_vec();
    assert_eq!(cells(Mode::Lockout, 0, &judged)[1], scored);
}

/// The winner by the rule itself, when every verdict is known and the time is over.
fn winner(mode: Mode, points: &[i64], attempts: &[Attempt]) -> Option<Side> {
    let mut sums = [(0, 0); 2];
    for (problem, worth) in points.iter().enumerate() {
        let solves = |side: Side| {
            let mut all = attempts.iter().enumerate();
            all.find(|(_, it)| it.side == side && it.problem == problem && it.verdict == AC)
                .map(|(position, _)| position)
        };
        let first = Side::BOTH
            .into_iter()
            .filter_map(|side| Some((solves(side)?, side)))
            .min_by_key(|it| it.0);
        for side in Side::BOTH {
            let Some(position) = solves(side) else { continue };
            if mode == Mode::Points || first.is_some_and(|(_, owner)| owner == side) {
                let sum = &mut sums[side.index()];
                *sum = (sum.0 + worth, sum.1.max(position));
            }
        }
    }
    let [a, b] = sums;
    if a.0 != b.0 {
        return Some(if a.0 > b.0 { A } else { B });
    }
    (mode == Mode::Points && a.0 > 0).then_some(if a.1 < b.1 { A } else { B })
}

fn verdicts() -> impl Strategy<Value = Option<Verdict>> {
    prop_oneof![2 => Just(AC), 3 => Just(WA), 2 => Just(None)]
}

fn attempts() -> impl Strategy<Value = Vec<(bool, usize, Option<Verdict>)>> {
    prop::collection::vec((any::<bool>(), 0_usize..3, verdicts()), 0..12)
}

proptest! {
    #[test]
    fn a_decision_is_final_and_is_the_rule(
        mode in prop::sample::select(Mode::ALL.to_vec()),
        list in attempts(),
        more in attempts(),
        luck: u64,
    ) {
        let points: Vec<i64> = (0..3).map(|index| mode.points(index)).collect();
        let make = |(index, (first, problem, verdict)): (usize, &(bool, usize, Option<Verdict>))| {
            let side = if *first { A } else { B };
            attempt(side, *problem, i64::try_from(index).unwrap(), *verdict)
        };
        let early: Vec<Attempt> = list.iter().enumerate().map(make).collect();
        let decided = decide(mode, &points, &early, false);
        let at_end = decide(mode, &points, &early, true);
        // Whatever the open verdicts are, and whatever follows.
        let judged = |attempts: &[Attempt]| -> Vec<Attempt> {
            let verdict = |index: usize| if luck >> (index % 64) & 1 == 1 { AC } else { WA };
            let all = attempts.iter().enumerate();
            all.map(|(index, it)| Attempt { verdict: it.verdict.or(verdict(index)), ..*it }).collect()
        };
        let later = list.iter().chain(&more).enumerate().map(make).collect::<Vec<_>>();
        for (decision, attempts) in [(decided, judged(&later)), (at_end, judged(&early))] {
            let expected = winner(mode, &points, &attempts);
            match decision {
                Decision::Won(side) => prop_assert_eq!(Some(side), expected),
                Decision::Drawn | Decision::NoPoints => prop_assert_eq!(None, expected),
                Decision::Open => {}
            }
        }
        let complete = decide(mode, &points, &judged(&later), true);
        prop_assert!(complete != Decision::Open);
    }

    #[test]
    fn every_duel_ends_and_ends_once(
        mode in prop::sample::select(Mode::ALL.to_vec()),
        moves in prop::collection::vec((0_usize..7, any::<bool>(), 0_i64..600), 0..20),
        list in attempts(),
    ) {
        let mut duel = running(mode);
        let mut now = 0;
        let mut ended: Option<(Ending, DateTime<Utc>)> = None;
        let count = duel.problems.len();
        let attempts: Vec<Attempt> = list
            .iter()
            .enumerate()
            .map(|(index, (first, problem, verdict))| {
                let side = if *first { A } else { B };
                attempt(side, *problem % count, i64::try_from(index).unwrap(), *verdict)
            })
            .collect();
        for (made, first, wait) in moves {
            now += wait;
            let side = if first { A } else { B };
            let made = [Move::Decline, Move::Cancel, Move::Forfeit, Move::OfferDraw, Move::AcceptDraw]
                .get(made);
            match made {
                Some(made) => drop(duel.make(*made, side, at(now))),
                None => drop(duel.settle(&attempts, at(now))),
            }
            if let Some(before) = ended {
                prop_assert_eq!(Some(before), duel.ending.zip(duel.finished_at));
            }
            ended = duel.ending.zip(duel.finished_at);
            prop_assert_eq!(duel.state == State::Finished, ended.is_some());
        }
        // The time and the verdicts end what the players did not.
        duel.settle(&attempts, at(now + 3600));
        let judged: Vec<Attempt> =
            attempts.iter().map(|it| Attempt { verdict: it.verdict.or(WA), ..*it }).collect();
        duel.settle(&judged, at(now + 3601));
        prop_assert_eq!(duel.state, State::Finished);
        prop_assert_eq!(duel.due_at, None);
    }
}
