//! Random logs: the board agrees with the naive standings, and frozen verdicts are invisible.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use super::naive::Naive;
use super::*;

const VIEWS: [View; 2] = [View::Jury, View::Public];
const SUBMISSIONS: u128 = 14;

fn any_id(count: u128) -> impl Strategy<Value = Uuid> {
    (1..=count).prop_map(id)
}

/// Around the boundaries of the first minutes.
fn any_time() -> impl Strategy<Value = i64> {
    (0..10_i64, select(vec![0, 0, 1, MINUTE / 2, MINUTE - 1])).prop_map(|(m, us)| m * MINUTE + us)
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    let rejected = [WrongAnswer, Verdict::Partial, CompileError, JudgeError];
    prop_oneof![Just(Accepted), select(rejected.to_vec())]
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let problems = select(vec![vec![1, 2, 3], vec![1, 2, 3], vec![3, 1], vec![4, 2, 1, 3]]);
    (problems, option::weighted(0.8, 3..10_i64)).prop_map(|(problems, freeze)| Rules {
        problems: problems.into_iter().map(id).collect(),
        ..rules(freeze)
    })
}

fn any_attempt() -> impl Strategy<Value = Entry> {
    (any_id(SUBMISSIONS), any_id(6), any_id(4), any_time()).prop_map(
        |(submission, participant, problem, at_us)| Entry::Attempt {
            submission,
            participant,
            problem,
            at_us,
        },
    )
}

fn any_judged() -> impl Strategy<Value = Entry> {
    (any_id(SUBMISSIONS), any_verdict())
        .prop_map(|(submission, verdict)| Entry::Judged { submission, verdict })
}

fn any_interval() -> impl Strategy<Value = Entry> {
    (any_id(2), any_time(), -1..8_i64).prop_map(|(id, from_us, half_minutes)| {
        let to_us = from_us + half_minutes * MINUTE / 2;
        Entry::IntervalRemoved { id, from_us, to_us }
    })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let flags = || prop::bool::weighted(0.2);
    prop_oneof![
        2 => (any_id(6), flags(), flags()).prop_map(|(participant, hidden, unofficial)| {
            Entry::ParticipantAdded { participant, hidden, unofficial }
        }),
        2 => (any_id(6), flags(), flags(), flags()).prop_map(
            |(participant, hidden, unofficial, disqualified)| {
                Entry::ParticipantUpdated { participant, hidden, unofficial, disqualified }
            },
        ),
        1 => any_id(6).prop_map(|participant| Entry::ParticipantWithdrawn { participant }),
        12 => any_attempt(),
        12 => any_judged(),
        2 => any_id(SUBMISSIONS).prop_map(|submission| Entry::Unjudged { submission }),
        2 => (any_id(SUBMISSIONS), any::<bool>())
            .prop_map(|(submission, ignored)| Entry::Ignored { submission, ignored }),
        2 => (any_id(6), -30..30_i32)
            .prop_map(|(participant, minutes)| Entry::PenaltyAdjusted { participant, minutes }),
        3 => any_interval(),
        1 => any_id(2).prop_map(|id| Entry::IntervalRestored { id }),
        1 => any_rules().prop_map(Entry::RulesChanged),
    ]
}

/// A log that begins with four participants, and has no `Thawed`.
pub fn any_log() -> impl Strategy<Value = Vec<Entry>> {
    vec(any_entry(), 0..70).prop_map(|entries| (1..=4).map(added).chain(entries).collect())
}

/// Everything that a view returns.
#[derive(Debug, PartialEq)]
struct Answers {
    rows: Vec<Row>,
    first: Vec<Option<FirstSolve>>,
}

/// Also checks that pages and single rows agree with each other.
fn answers(board: &Board, view: View) -> Answers {
    let rows = board.page(view, None, usize::MAX);
    let mut paged: Vec<Row> = Vec::new();
    // Bounded, so that a cursor that does not advance fails the test.
    for _ in 0..=rows.len() {
        paged.extend(board.page(view, paged.last().map(Row::cursor).as_ref(), 2));
    }
    assert_eq!(paged, rows);
    assert_eq!(board.count(view), rows.len());
    for participant in (1..=7).map(id) {
        let listed = rows.iter().find(|row| row.participant == participant);
        assert_eq!(board.row(view, participant).as_ref(), listed);
    }
    let first = (1..=5).map(|problem| board.first_to_solve(view, id(problem))).collect();
    Answers { rows, first }
}

fn expected(naive: &Naive, view: View) -> Answers {
    let first = (1..=5).map(|problem| naive.first_to_solve(view, id(problem))).collect();
    Answers { rows: naive.rows(view), first }
}

/// The participants whose rows differ in anything but their rank.
fn changed(before: &[Row], after: &[Row]) -> Vec<Uuid> {
    let find = |rows: &[Row], participant: Uuid| {
        let row = rows.iter().find(|row| row.participant == participant);
        row.map(|row| Row { rank: None, ..row.clone() })
    };
    let differs = |&participant: &Uuid| find(before, participant) != find(after, participant);
    (1..=6).map(id).filter(differs).collect()
}

/// Applies `entry`, and checks the change and both views.
fn apply_and_check(board: &mut Board, entry: &Entry, naive: &Naive) {
    let before = VIEWS.map(|view| board.page(view, None, usize::MAX));
    let change = board.apply(entry.clone());
    for (view, before, rows) in
        [(View::Jury, &before[0], change.jury), (View::Public, &before[1], change.public)]
    {
        let answers = answers(board, view);
        assert_eq!(answers, expected(naive, view), "{view:?} after {entry:?}");
        match rows {
            Rows::None => assert_eq!(*before, answers.rows),
            Rows::One(participant) => assert_eq!(changed(before, &answers.rows), [participant]),
            Rows::All => {}
        }
    }
}

/// The log with other verdicts for `submissions`: each existing one is dropped, kept or replaced, and `more` are appended.
fn with_other_verdicts(
    log: &[Entry],
    submissions: &[Uuid],
    choices: &[Option<Option<Verdict>>],
    more: &[(Pick, Verdict)],
) -> Vec<Entry> {
    let mut choices = choices.iter().cycle();
    let mut other: Vec<Entry> = Vec::new();
    for entry in log {
        match entry {
            Entry::Judged { submission, .. } if submissions.contains(submission) => {
                match choices.next().copied().flatten() {
                    None => {}
                    Some(None) => other.push(entry.clone()),
                    Some(Some(verdict)) => {
                        other.push(Entry::Judged { submission: *submission, verdict });
                    }
                }
            }
            _ => other.push(entry.clone()),
        }
    }
    if !submissions.is_empty() {
        let judged = |(pick, verdict): &(Pick, Verdict)| Entry::Judged {
            submission: *pick.get(submissions),
            verdict: *verdict,
        };
        other.extend(more.iter().map(judged));
    }
    other
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_board_agrees_with_the_naive_standings_after_every_entry(
        rules in any_rules(), mut log in any_log(), thaw in option::of(0..70_usize),
    ) {
        if let Some(at) = thaw {
            log.insert(at.min(log.len()), Entry::Thawed);
        }
        let mut board = Board::new(rules.clone());
        for (count, entry) in (1..).zip(&log) {
            apply_and_check(&mut board, entry, &Naive::new(&rules, &log[..count]));
        }
        let mut loaded = Board::load(rules, log);
        for view in VIEWS {
            prop_assert_eq!(answers(&board, view), answers(&loaded, view));
        }
        // A loaded board is updated like any other.
        for entry in [attempt(99, 1, 1, 0), judged(99, Accepted), added(6)] {
            board.apply(entry.clone());
            loaded.apply(entry);
        }
        for view in VIEWS {
            prop_assert_eq!(answers(&board, view), answers(&loaded, view));
        }
    }

    #[test]
    fn frozen_verdicts_change_nothing_in_the_public_view(
        rules in any_rules(),
        log in any_log(),
        choices in vec(option::of(option::of(any_verdict())), 1..10),
        more in vec((any::<Pick>(), any_verdict()), 0..10),
    ) {
        let frozen = Naive::new(&rules, &log).frozen();
        let other = with_other_verdicts(&log, &frozen, &choices, &more);
        let mut board = Board::load(rules.clone(), log);
        let public = answers(&board, View::Public);
        prop_assert_eq!(&public, &answers(&Board::load(rules.clone(), other.clone()), View::Public));
        let mut applied = Board::new(rules);
        for entry in other {
            applied.apply(entry);
        }
        prop_assert_eq!(&public, &answers(&applied, View::Public));

        for (submission, verdict) in frozen.iter().zip(more.iter().map(|(_, verdict)| *verdict)) {
            let change = board.apply(Entry::Judged { submission: *submission, verdict });
            prop_assert_eq!(change.public, Rows::None);
        }
        prop_assert_eq!(&public, &answers(&board, View::Public));
    }

    #[test]
    fn verdicts_of_different_submissions_commute(
        rules in any_rules(),
        log in any_log(),
        verdicts in Just((1..=SUBMISSIONS).collect::<Vec<_>>())
            .prop_shuffle()
            .prop_flat_map(|ids| ids.into_iter()
                .map(|number| any_verdict().prop_map(move |verdict| judged(number, verdict)))
                .collect::<Vec<_>>()),
    ) {
        let mut log = log;
        log.retain(|entry| !matches!(entry, Entry::Judged { .. } | Entry::Unjudged { .. }));
        let mut late = Board::new(rules.clone());
        let mut early = Board::new(rules);
        for entry in &log {
            late.apply(entry.clone());
            early.apply(entry.clone());
            // A verdict for an unknown submission changes nothing, so only the one of this attempt counts.
            let Entry::Attempt { submission, .. } = entry else { continue };
            let own = |verdict: &&Entry| {
                matches!(verdict, Entry::Judged { submission: other, .. } if other == submission)
            };
            for verdict in verdicts.iter().filter(own) {
                early.apply(verdict.clone());
            }
        }
        for verdict in verdicts {
            late.apply(verdict);
        }
        for view in VIEWS {
            prop_assert_eq!(answers(&late, view), answers(&early, view));
        }
    }

    #[test]
    fn reversed_jury_actions_change_nothing(
        rules in any_rules(),
        log in any_log(),
        submission in any_id(SUBMISSIONS),
        from_us in any_time(),
        minutes in -90..90_i32,
    ) {
        let mut board = Board::load(rules, log);
        board.apply(Entry::Ignored { submission, ignored: false });
        let before = VIEWS.map(|view| answers(&board, view));
        let (interval, participant) = (id(9), id(1));
        for entry in [
            Entry::Ignored { submission, ignored: true },
            Entry::IntervalRemoved { id: interval, from_us, to_us: from_us + 2 * MINUTE },
            Entry::PenaltyAdjusted { participant, minutes },
            Entry::Ignored { submission, ignored: false },
            Entry::PenaltyAdjusted { participant, minutes: -minutes },
            Entry::IntervalRestored { id: interval },
        ] {
            board.apply(entry);
        }
        prop_assert_eq!(before, VIEWS.map(|view| answers(&board, view)));
    }
}
