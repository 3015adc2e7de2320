//! Worked examples of the standings. A view is compared as text, one line a row: rank, participant, solved, penalty and last
//! accepted minute; then each cell as `problem:+tries@minute` when solved and `problem:-tries` otherwise, with `?n` for n
//! pending attempts.

use super::*;
use crate::format::{Icpc, Score, Settings};
use proto::Verdict::{self, Accepted, CompileError, JudgeError, WrongAnswer};

mod naive;
mod parts;
mod properties;

const MINUTE: i64 = 60_000_000;

/// Three problems, 1 to 3.
fn rules(freeze_minute: Option<i64>) -> Rules {
    Rules {
        format: Settings::Icpc(Icpc::default()),
        freeze_us: freeze_minute.map(|minute| minute * MINUTE),
        problems: (1..=3).map(id).collect(),
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn added(participant: u128) -> Entry {
    Entry::ParticipantAdded { participant: id(participant), hidden: false, unofficial: false }
}

fn attempt(submission: u128, participant: u128, problem: u128, at_us: i64) -> Entry {
    let (submission, participant, problem) = (id(submission), id(participant), id(problem));
    Entry::Attempt { submission, participant, problem, at_us }
}

fn judged(submission: u128, verdict: Verdict) -> Entry {
    Entry::Judged { submission: id(submission), verdict }
}

fn ignored(submission: u128, ignored: bool) -> Entry {
    Entry::Ignored { submission: id(submission), ignored }
}

fn removed(interval: u128, from_minute: i64, to_minute: i64) -> Entry {
    let (from_us, to_us) = (from_minute * MINUTE, to_minute * MINUTE);
    Entry::IntervalRemoved { id: id(interval), from_us, to_us }
}

/// A board with participants 1 to `count` and one attempt for each (participant, problem, minute, verdict), as submissions
/// 1, 2 and so on.
fn board(rules: Rules, count: u128, attempts: &[(u128, u128, i64, Option<Verdict>)]) -> Board {
    let mut board = Board::new(rules);
    for participant in 1..=count {
        board.apply(added(participant));
    }
    for (submission, &(participant, problem, minute, verdict)) in (1..).zip(attempts) {
        board.apply(attempt(submission, participant, problem, minute * MINUTE));
        if let Some(verdict) = verdict {
            board.apply(judged(submission, verdict));
        }
    }
    board
}

fn text(row: &Row) -> String {
    let Score { points, penalty, last } = row.score;
    let rank = row.rank.map_or("-".to_owned(), |rank| rank.to_string());
    let mut text = format!("{rank} #{} {points} {penalty} {last} |", row.participant.as_u128());
    for (problem, cell) in &row.cells {
        text += &match cell.at_us {
            Some(at_us) => format!(" {}:+{}@{}", problem.as_u128(), cell.tries, at_us / MINUTE),
            None => format!(" {}:-{}", problem.as_u128(), cell.tries),
        };
        if cell.pending > 0 {
            text += &format!("?{}", cell.pending);
        }
    }
    text
}

#[track_caller]
fn check(board: &Board, view: View, expected: &[&str]) {
    let lines: Vec<String> = board.page(view, None, usize::MAX).iter().map(text).collect();
    assert_eq!(lines, expected);
    assert_eq!(board.count(view), expected.len());
}

/// The first solver of problem 1 as (participant, submission, minute).
fn first(board: &Board, view: View) -> Option<(u128, u128, i64)> {
    let FirstSolve { participant, submission, at_us } = board.first_to_solve(view, id(1))?;
    Some((participant.as_u128(), submission.as_u128(), at_us / MINUTE))
}

#[test]
fn equal_scores_share_a_rank_and_leave_a_gap() {
    let attempts = [
        (1, 1, 50, Some(Accepted)),
        (2, 2, 30, Some(Accepted)),
        (3, 1, 30, Some(Accepted)),
        (4, 1, 10, Some(WrongAnswer)),
        (4, 1, 30, Some(Accepted)),
        (5, 1, 10, Some(Accepted)),
        (5, 2, 40, Some(Accepted)),
    ];
    // Participants 1 and 4 have the same penalty, but 4 was accepted earlier.
    let expected = [
        "1 #5 2 50 40 | 1:+1@10 2:+1@40",
        "2 #2 1 30 30 | 2:+1@30",
        "2 #3 1 30 30 | 1:+1@30",
        "4 #4 1 50 30 | 1:+2@30",
        "5 #1 1 50 50 | 1:+1@50",
        "6 #6 0 0 0 |",
    ];
    check(&board(rules(None), 6, &attempts), View::Public, &expected);
}

#[test]
fn an_attempt_at_the_freeze_stays_pending_until_the_thaw() {
    let mut board = board(rules(Some(60)), 2, &[(1, 1, 60, Some(Accepted)), (2, 1, 59, None)]);
    check(&board, View::Jury, &["1 #1 1 60 60 | 1:+1@60", "2 #2 0 0 0 | 1:-0?1"]);
    check(&board, View::Public, &["1 #1 0 0 0 | 1:-0?1", "1 #2 0 0 0 | 1:-0?1"]);

    // The other attempt is before the freeze, so its verdict becomes visible whenever it arrives.
    let change = board.apply(judged(2, Accepted));
    assert_eq!(change, Change { jury: Rows::One(id(2)), public: Rows::One(id(2)) });
    let thawed = ["1 #2 1 59 59 | 1:+1@59", "2 #1 1 60 60 | 1:+1@60"];
    check(&board, View::Jury, &thawed);
    check(&board, View::Public, &["1 #2 1 59 59 | 1:+1@59", "2 #1 0 0 0 | 1:-0?1"]);

    let change = board.apply(judged(1, WrongAnswer));
    assert_eq!(change, Change { jury: Rows::One(id(1)), public: Rows::None });
    board.apply(judged(1, Accepted));
    assert_eq!(board.apply(Entry::Thawed), Change { jury: Rows::None, public: Rows::All });
    assert_eq!(board.apply(Entry::Thawed), Change::default());
    check(&board, View::Public, &thawed);
}

#[test]
fn an_extension_moves_the_freeze() {
    let mut board = board(rules(Some(60)), 1, &[(1, 1, 60, Some(Accepted))]);
    board.apply(Entry::RulesChanged(rules(Some(61))));
    check(&board, View::Public, &["1 #1 1 60 60 | 1:+1@60"]);
}

#[test]
fn verdicts_arrive_in_any_order_and_may_be_replaced() {
    let mut board = board(rules(None), 1, &[(1, 1, 5, None), (1, 1, 10, None), (1, 1, 15, None)]);
    board.apply(judged(3, Accepted));
    check(&board, View::Jury, &["1 #1 1 15 15 | 1:+1@15?2"]);
    board.apply(judged(1, WrongAnswer));
    check(&board, View::Jury, &["1 #1 1 35 15 | 1:+2@15?1"]);
    board.apply(judged(2, Accepted));
    check(&board, View::Jury, &["1 #1 1 30 10 | 1:+2@10"]);
    board.apply(judged(2, WrongAnswer));
    check(&board, View::Jury, &["1 #1 1 55 15 | 1:+3@15"]);
    board.apply(judged(1, CompileError));
    board.apply(judged(2, JudgeError));
    check(&board, View::Jury, &["1 #1 1 15 15 | 1:+1@15"]);
}

#[test]
fn an_ignored_submission_does_not_exist_until_it_is_restored() {
    let attempts = [(1, 1, 5, Some(WrongAnswer)), (1, 1, 10, Some(Accepted))];
    let mut board = board(rules(None), 1, &attempts);
    board.apply(ignored(1, true));
    check(&board, View::Jury, &["1 #1 1 10 10 | 1:+1@10"]);
    board.apply(ignored(2, true));
    check(&board, View::Jury, &["1 #1 0 0 0 |"]);
    board.apply(ignored(1, false));
    board.apply(ignored(2, false));
    check(&board, View::Jury, &["1 #1 1 30 10 | 1:+2@10"]);
}

#[test]
fn penalty_adjustments_add_up() {
    let mut board = board(rules(None), 2, &[(1, 1, 10, Some(Accepted))]);
    for (participant, minutes) in [(1, -15), (1, 3), (2, 5)] {
        board.apply(Entry::PenaltyAdjusted { participant: id(participant), minutes });
    }
    check(&board, View::Public, &["1 #1 1 -2 10 | 1:+1@10", "2 #2 0 5 0 |"]);
}

#[test]
fn removed_intervals_shift_contest_time_and_the_freeze() {
    let attempts =
        [(1, 1, 35, Some(Accepted)), (1, 2, 70, Some(Accepted)), (2, 1, 90, Some(Accepted))];
    let mut board = board(rules(Some(60)), 2, &attempts);
    let before = ["1 #1 1 35 35 | 1:+1@35 2:-0?1", "2 #2 0 0 0 | 1:-0?1"];
    check(&board, View::Public, &before);
    assert_eq!(board.apply(removed(9, 30, 50)), Change::ALL);
    check(&board, View::Public, &["1 #1 2 80 50 | 1:+1@30 2:+1@50", "2 #2 0 0 0 | 1:-0?1"]);
    assert_eq!(board.apply(Entry::IntervalRestored { id: id(9) }), Change::ALL);
    check(&board, View::Public, &before);
}

#[test]
fn only_official_participants_take_a_rank() {
    let attempts = [
        (1, 1, 10, Some(Accepted)),
        (2, 1, 20, Some(Accepted)),
        (3, 1, 30, Some(Accepted)),
        (4, 1, 40, Some(Accepted)),
        (5, 1, 50, Some(Accepted)),
    ];
    let mut board = board(rules(None), 6, &attempts);
    for (participant, hidden, unofficial, disqualified) in
        [(1, true, false, false), (2, false, true, false), (3, false, false, true)]
    {
        let participant = id(participant);
        board.apply(Entry::ParticipantUpdated { participant, hidden, unofficial, disqualified });
    }
    board.apply(Entry::ParticipantWithdrawn { participant: id(4) });
    board.apply(Entry::ParticipantWithdrawn { participant: id(6) });
    let others = [
        "- #2 1 20 20 | 1:+1@20",
        "- #4 1 40 40 | 1:+1@40",
        "1 #5 1 50 50 | 1:+1@50",
        "- #3 1 30 30 | 1:+1@30",
    ];
    check(&board, View::Public, &others);
    assert_eq!(first(&board, View::Public), Some((5, 5, 50)));
    assert_eq!(board.row(View::Public, id(1)), None);
    assert_eq!(board.row(View::Jury, id(1)).map(|row| row.rank), Some(Some(1)));

    board.apply(added(4));
    let row = board.row(View::Public, id(4));
    assert_eq!(row.map(|row| row.rank), Some(Some(1)));
}

#[test]
fn cells_follow_the_problems_of_the_rules() {
    let attempts =
        [(1, 1, 10, Some(Accepted)), (1, 2, 20, Some(Accepted)), (1, 9, 30, Some(Accepted))];
    let mut board = board(rules(None), 1, &attempts);
    check(&board, View::Public, &["1 #1 2 30 20 | 1:+1@10 2:+1@20"]);
    let problems = vec![id(9), id(3), id(1)];
    board.apply(Entry::RulesChanged(Rules { problems, ..rules(None) }));
    check(&board, View::Public, &["1 #1 2 40 30 | 9:+1@30 1:+1@10"]);
}

#[test]
fn first_to_solve_is_certain_once_no_earlier_attempt_is_pending() {
    let attempts = [(1, 1, 30, Some(Accepted)), (2, 1, 20, None), (3, 1, 40, None)];
    let mut board = board(rules(Some(60)), 3, &attempts);
    assert_eq!(first(&board, View::Jury), None);
    board.apply(judged(2, WrongAnswer));
    assert_eq!(first(&board, View::Jury), Some((1, 1, 30)));
    board.apply(judged(2, Accepted));
    assert_eq!(first(&board, View::Public), Some((2, 2, 20)));
    board.apply(ignored(2, true));
    assert_eq!(first(&board, View::Public), Some((1, 1, 30)));
    board.apply(Entry::RulesChanged(rules(Some(30))));
    assert_eq!(first(&board, View::Public), None, "frozen");
    assert_eq!(first(&board, View::Jury), Some((1, 1, 30)));
}

#[test]
fn equal_times_are_ordered_by_submission() {
    let mut board = board(rules(None), 2, &[]);
    board.apply(attempt(8, 1, 1, MINUTE));
    board.apply(attempt(7, 2, 1, MINUTE));
    board.apply(judged(8, Accepted));
    board.apply(judged(7, Accepted));
    assert_eq!(first(&board, View::Public), Some((2, 7, 1)));
}

#[test]
fn a_cursor_survives_changes_of_its_row() {
    let attempts =
        [(1, 1, 10, Some(Accepted)), (2, 1, 20, Some(Accepted)), (3, 1, 30, Some(Accepted))];
    let mut board = board(rules(None), 3, &attempts);
    let cursor = board.page(View::Public, None, 2)[1].cursor();
    let rest = |board: &Board| {
        let page = board.page(View::Public, Some(&cursor), 10);
        page.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(rest(&board), ["3 #3 1 30 30 | 1:+1@30"]);
    board.apply(judged(2, WrongAnswer));
    assert_eq!(rest(&board), ["2 #3 1 30 30 | 1:+1@30", "3 #2 0 0 0 | 1:-1"]);
}

#[test]
fn entries_about_unknown_participants_and_submissions_change_nothing() {
    let mut board = board(rules(None), 1, &[(1, 1, 10, Some(Accepted))]);
    for entry in [
        attempt(1, 1, 2, 0),
        attempt(2, 7, 1, 0),
        judged(2, Accepted),
        ignored(2, true),
        Entry::ParticipantWithdrawn { participant: id(7) },
        Entry::PenaltyAdjusted { participant: id(7), minutes: 1 },
        Entry::IntervalRestored { id: id(1) },
        Entry::RulesChanged(rules(None)),
    ] {
        assert_eq!(board.apply(entry), Change::default());
    }
    check(&board, View::Jury, &["1 #1 1 10 10 | 1:+1@10"]);
}

#[test]
fn lines_are_the_rows_without_cells() {
    let attempts =
        [(1, 1, 10, Some(Accepted)), (2, 1, 10, Some(Accepted)), (3, 2, 70, Some(Accepted))];
    let mut board = board(rules(Some(60)), 4, &attempts);
    board.apply(Entry::ParticipantAdded { participant: id(4), hidden: true, unofficial: false });
    for view in [View::Jury, View::Public] {
        let rows = board.page(view, None, usize::MAX);
        let lines = rows.iter().map(|row| Line {
            participant: row.participant,
            standing: row.standing,
            rank: row.rank,
            score: row.score,
        });
        assert_eq!(board.lines(view), lines.collect::<Vec<_>>());
        assert_eq!(board.lines(view).len(), board.count(view));
    }
}

#[test]
fn the_freeze_begins_later_with_a_removed_interval_before_it() {
    let check = |board: &Board, minute: Option<i64>| {
        assert_eq!(board.frozen_from(), minute.map(|minute| minute * MINUTE));
    };
    check(&board(rules(None), 1, &[]), None);
    check(&board(rules(Some(0)), 1, &[]), Some(0));
    let mut board = board(rules(Some(60)), 1, &[]);
    check(&board, Some(60));
    for (interval, from, to, expected) in
        [(1, 10, 15, 65), (2, 65, 70, 65), (3, 60, 80, 85), (4, 200, 300, 85)]
    {
        board.apply(removed(interval, from, to));
        check(&board, Some(expected));
    }
    board.apply(Entry::Thawed);
    check(&board, None);
}
