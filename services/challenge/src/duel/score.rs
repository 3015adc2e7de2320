//! Who wins a duel. Pure.
//!
//! A duel is decided as soon as no verdict and no further submission can change its winner. The rules therefore look at
//! the best that can still happen for each player.

use proto::Verdict;

use super::{Mode, Side};

/// A submission of a duel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub side: Side,
    /// The index of the problem.
    pub problem: usize,
    /// From the start to the acknowledgement, in microseconds.
    pub time_us: i64,
    /// `None` until it is judged.
    pub verdict: Option<Verdict>,
}

impl Attempt {
    fn is_accepted(&self) -> bool {
        self.verdict.is_some_and(Verdict::is_accepted)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Verdicts or submissions can change it.
    Open,
    Won(Side),
    /// Equal, with points.
    Drawn,
    /// Neither player has points, and the time is over.
    NoPoints,
}

/// Attempts are in the order of their acknowledgement. `over` tells that none will follow.
pub fn decide(mode: Mode, points: &[i64], attempts: &[Attempt], over: bool) -> Decision {
    let [first, second] = Side::BOTH.map(|side| best_case(mode, points, attempts, side, over));
    match (leader(mode, &first), leader(mode, &second)) {
        // The first player wins even at the best of the second.
        (_, Some(Side::First)) => Decision::Won(Side::First),
        (Some(Side::Second), _) => Decision::Won(Side::Second),
        (None, None) if first[0].points > 0 => Decision::Drawn,
        (None, None) => Decision::NoPoints,
        _ => Decision::Open,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    points: i64,
    /// The position of the submission that brought the last points.
    reached: usize,
}

/// The tallies if all that is open turns out well for one player and badly for the other.
fn best_case(
    mode: Mode,
    points: &[i64],
    attempts: &[Attempt],
    lucky: Side,
    over: bool,
) -> [Tally; 2] {
    let mut owners = vec![[false; 2]; points.len()];
    let mut tallies = [Tally::default(); 2];
    let mut solve = |problem: usize, side: Side, position: usize| {
        let owned = owners[problem];
        let taken = match mode {
            Mode::FirstToSolve | Mode::Lockout => owned[0] || owned[1],
            Mode::Points => owned[side.index()],
        };
        if !taken {
            owners[problem][side.index()] = true;
            let tally = &mut tallies[side.index()];
            *tally = Tally { points: tally.points + points[problem], reached: position };
        }
    };
    for (position, attempt) in attempts.iter().enumerate() {
        let lucky = attempt.verdict.is_none() && attempt.side == lucky;
        if attempt.is_accepted() || lucky {
            solve(attempt.problem, attempt.side, position);
        }
    }
    if !over {
        for problem in 0..points.len() {
            solve(problem, lucky, usize::MAX);
        }
    }
    tallies
}

/// `None` if the tallies are equal.
fn leader(mode: Mode, [first, second]: &[Tally; 2]) -> Option<Side> {
    let by_points = first.points.cmp(&second.points);
    let by_time = match mode {
        Mode::FirstToSolve | Mode::Lockout => std::cmp::Ordering::Equal,
        Mode::Points => second.reached.cmp(&first.reached),
    };
    match by_points.then(by_time) {
        std::cmp::Ordering::Greater => Some(Side::First),
        std::cmp::Ordering::Less => Some(Side::Second),
        std::cmp::Ordering::Equal => None,
    }
}

/// The attempts of one player at one problem, as they are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub solved: bool,
    /// The points are the player's, whatever verdicts follow.
    pub scored: bool,
    /// Verdicts that count, up to the accepted one.
    pub tries: i32,
    pub pending: i32,
    /// The time of the accepted submission.
    pub time_us: Option<i64>,
}

/// The cells of a problem, in the order of the players.
pub fn cells(mode: Mode, problem: usize, attempts: &[Attempt]) -> [Cell; 2] {
    let attempts = || attempts.iter().enumerate().filter(|(_, it)| it.problem == problem);
    Side::BOTH.map(|side| {
        let own = || attempts().filter(|(_, attempt)| attempt.side == side);
        let solve = own().find(|(_, attempt)| attempt.is_accepted());
        let solved_at = solve.map_or(usize::MAX, |(position, _)| position);
        let counts =
            |verdict: Verdict| !matches!(verdict, Verdict::CompileError | Verdict::JudgeError);
        let tries =
            own().filter(|(position, it)| *position <= solved_at && it.verdict.is_some_and(counts));
        let contested = attempts().any(|(position, attempt)| {
            let may_count = attempt.is_accepted() || attempt.verdict.is_none();
            attempt.side != side && position < solved_at && may_count
        });
        Cell {
            solved: solve.is_some(),
            scored: solve.is_some() && (mode == Mode::Points || !contested),
            tries: count(tries),
            pending: count(own().filter(|(_, attempt)| attempt.verdict.is_none())),
            time_us: solve.map(|(_, attempt)| attempt.time_us),
        }
    })
}

fn count<T>(items: impl Iterator<Item = T>) -> i32 {
    i32::try_from(items.count()).unwrap_or(i32::MAX)
}
