//! The ICPC format: more problems first, then less penalty, then the earlier last accepted attempt.

use std::cmp::{Ordering, Reverse};

use super::{Attempt, Cell, Format, Score};
use proto::Verdict;

const MINUTE_US: i64 = 60_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icpc {
    /// Added to a solved problem for each earlier rejected attempt.
    pub penalty_minutes: u32,
}

impl Default for Icpc {
    fn default() -> Self {
        Self { penalty_minutes: 20 }
    }
}

impl Format for Icpc {
    fn cell(&self, attempts: &[Attempt]) -> Cell {
        let mut cell = Cell::default();
        for attempt in attempts {
            match attempt.verdict {
                None => cell.pending += 1,
                Some(Verdict::Accepted) => return self.solved(cell, attempt.at_us),
                // The program did not run, or the judge failed.
                Some(Verdict::CompileError | Verdict::JudgeError) => {}
                Some(_) => cell.tries += 1,
            }
        }
        cell
    }

    fn score(&self, cells: &mut dyn Iterator<Item = Cell>, adjustment_minutes: i64) -> Score {
        let mut score = Score { penalty: adjustment_minutes, ..Score::default() };
        for cell in cells {
            score.points += cell.points;
            score.penalty += cell.penalty;
            if let Some(at_us) = cell.at_us {
                score.last = score.last.max(minute(at_us));
            }
        }
        score
    }

    fn order(&self, left: &Score, right: &Score) -> Ordering {
        let key = |score: &Score| (Reverse(score.points), score.penalty, score.last);
        key(left).cmp(&key(right))
    }
}

impl Icpc {
    /// `rejected` is the cell of the attempts before the accepted one.
    fn solved(self, rejected: Cell, at_us: i64) -> Cell {
        let penalty = i64::from(rejected.tries) * i64::from(self.penalty_minutes);
        Cell {
            points: 1,
            solved: true,
            penalty: minute(at_us) + penalty,
            at_us: Some(at_us),
            tries: rejected.tries + 1,
            pending: rejected.pending,
        }
    }
}

fn minute(at_us: i64) -> i64 {
    at_us.div_euclid(MINUTE_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Accepted, CompileError, JudgeError, Partial, TimeLimitExceeded, WrongAnswer};

    const PENDING: Option<Verdict> = None;
    const AC: Option<Verdict> = Some(Accepted);
    const WA: Option<Verdict> = Some(WrongAnswer);
    const CE: Option<Verdict> = Some(CompileError);
    const JE: Option<Verdict> = Some(JudgeError);

    /// Attempts are in seconds of contest time.
    fn cell(attempts: &[(i64, Option<Verdict>)]) -> Cell {
        let attempts: Vec<Attempt> = attempts
            .iter()
            .map(|&(seconds, verdict)| Attempt { at_us: seconds * 1_000_000, verdict })
            .collect();
        Icpc::default().cell(&attempts)
    }

    /// `expected` is (solved, penalty, tries, pending).
    #[track_caller]
    fn check(attempts: &[(i64, Option<Verdict>)], expected: (bool, i64, u32, u32)) {
        let cell = cell(attempts);
        assert_eq!((cell.solved, cell.penalty, cell.tries, cell.pending), expected);
        assert_eq!(cell.points, i64::from(cell.solved));
        assert_eq!(cell.at_us.is_some(), cell.solved);
    }

    #[test]
    fn a_solved_problem_costs_its_minute_and_earlier_rejections() {
        check(&[], (false, 0, 0, 0));
        check(&[(59, AC)], (true, 0, 1, 0));
        check(&[(60, AC)], (true, 1, 1, 0));
        check(&[(119, AC)], (true, 1, 1, 0));
        check(&[(120, AC)], (true, 2, 1, 0));
        check(&[(10, WA), (20, Some(TimeLimitExceeded)), (600, AC)], (true, 50, 3, 0));
        check(&[(10, Some(Partial)), (600, AC)], (true, 30, 2, 0));
    }

    #[test]
    fn an_unsolved_problem_costs_nothing() {
        check(&[(10, WA), (20, WA)], (false, 0, 2, 0));
    }

    #[test]
    fn compile_and_judge_errors_do_not_count() {
        check(&[(10, CE), (20, JE), (600, AC)], (true, 10, 1, 0));
        check(&[(10, CE), (20, JE)], (false, 0, 0, 0));
    }

    #[test]
    fn attempts_after_the_first_accepted_one_do_not_count() {
        check(&[(60, AC), (70, WA), (80, PENDING), (300, AC)], (true, 1, 1, 0));
    }

    #[test]
    fn pending_attempts_are_counted_apart() {
        check(&[(10, PENDING), (20, WA), (30, PENDING)], (false, 0, 1, 2));
        check(&[(10, PENDING), (20, WA), (60, AC)], (true, 21, 2, 1));
    }

    #[test]
    fn scores_are_ordered_by_solved_then_penalty_then_last_accepted() {
        let score = |points, penalty, last| Score { points, penalty, last };
        let sorted = [
            score(3, 300, 200),
            score(2, 100, 60),
            score(2, 100, 61),
            score(2, 101, 5),
            score(0, 0, 0),
        ];
        for pair in sorted.windows(2) {
            assert_eq!(Icpc::default().order(&pair[0], &pair[1]), Ordering::Less);
            assert_eq!(Icpc::default().order(&pair[1], &pair[0]), Ordering::Greater);
        }
        assert_eq!(Icpc::default().order(&sorted[1], &sorted[1]), Ordering::Equal);
    }

    #[test]
    fn a_score_sums_cells_and_adjustments() {
        let cells = [cell(&[(600, AC)]), cell(&[(60, WA), (1_259, AC)]), cell(&[(5_000, WA)])];
        let score = |minutes| Icpc::default().score(&mut cells.into_iter(), minutes);
        assert_eq!(score(0), Score { points: 2, penalty: 50, last: 20 });
        assert_eq!(score(-60), Score { points: 2, penalty: -10, last: 20 });
    }
}
