//! The standings of one contest, in memory, for the jury and for the public.
//!
//! Owns: a projection of the contest's log, updated by each entry and never recomputed by a request. Must not know: how the
//! log is stored, who a viewer is, and what a verdict is worth, which is the format's.
//!
//! Invariants: both views are a function of the log alone. Nothing that the public view returns depends on the verdict of a
//! frozen attempt, or on whether it has one. Attempts are ordered by their time of acknowledgement, then by id; removed
//! intervals never change that order.

use uuid::Uuid;

use crate::format::{self, Cell, Format};

mod entry;
mod filter;
mod intervals;
mod order;
mod roster;
mod row;
mod solves;

pub use entry::{Change, Entry, Rows, Rules};
pub use filter::{Filter, Part, Past};
pub use row::{Cursor, FirstSolve, Line, Row, Standing, View};

use intervals::Intervals;
use order::{Order, Place};
use roster::{Attempt, Index, Participant, Roster};
use solves::Solves;

#[derive(Debug)]
pub struct Board {
    rules: Rules,
    thawed: bool,
    intervals: Intervals,
    roster: Roster,
    jury: Order,
    public: Order,
    solves: Solves,
}

/// A row without its rank; the first element of a cell is its position in the rules. `None` if the view does not list it.
type Content = Option<(Place, Vec<(usize, Cell)>)>;

impl Board {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            thawed: false,
            intervals: Intervals::default(),
            roster: Roster::default(),
            jury: Order::default(),
            public: Order::default(),
            solves: Solves::default(),
        }
    }

    /// The same as applying each entry, but sorts once.
    pub fn load(rules: Rules, entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut board = Self::new(rules);
        for entry in entries {
            match board.roster.locate(&entry) {
                Some(index) => board.roster.apply(index, &entry),
                None => {
                    board.apply_to_contest(entry);
                }
            }
        }
        board.sort();
        board.solves.rebuild(&board.roster.participants);
        board
    }

    /// Entries must be applied in the order of the log. An entry that may change all rows (an interval, the thaw, the rules)
    /// sorts them again, which takes about 0.1 s for 100,000 participants; any other takes microseconds.
    pub fn apply(&mut self, entry: Entry) -> Change {
        let Some(index) = self.roster.locate(&entry) else {
            let change = self.apply_to_contest(entry);
            if change != Change::default() {
                self.sort();
            }
            return change;
        };
        let before = [View::Jury, View::Public].map(|view| self.content(view, index, i64::MAX));
        let solves = solves::Part::all_of(index, self.roster.get(index));
        self.roster.apply(index, &entry);
        self.solves.replace(&solves, &solves::Part::all_of(index, self.roster.get(index)));
        let after = [View::Jury, View::Public].map(|view| self.content(view, index, i64::MAX));

        let place =
            |content: &Content| content.as_ref().map(|(place, _)| *place).unwrap_or_default();
        let format = self.rules.format.format();
        self.jury.set(format, index, place(&after[0]));
        self.public.set(format, index, place(&after[1]));
        let row = Rows::One(self.roster.get(index).id);
        let rows = |view: usize| if before[view] == after[view] { Rows::None } else { row };
        Change { jury: rows(0), public: rows(1) }
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// At most `limit` rows after the cursor, or from the first.
    pub fn page(&self, view: View, after: Option<&Cursor>, limit: usize) -> Vec<Row> {
        self.part(view, None, &Filter::default(), after, limit).rows
    }

    /// `None` if the view does not list the participant.
    pub fn row(&self, view: View, participant: Uuid) -> Option<Row> {
        self.row_at(view, self.roster.index(participant)?)
    }

    /// Every row without its cells, in order.
    pub fn lines(&self, view: View) -> Vec<Line> {
        let order = self.order(view);
        let line = |&index: &Index| {
            let place = order.place(index);
            Some(Line {
                participant: self.roster.get(index).id,
                standing: place.standing?,
                rank: order.rank(self.format(), place),
                score: place.score,
            })
        };
        order.listed().iter().filter_map(line).collect()
    }

    /// The first contest time, with removed intervals, whose verdicts the public view does not have; `None` if it has all.
    pub fn frozen_from(&self) -> Option<i64> {
        self.rules.freeze_us.filter(|_| !self.thawed)?;
        // Binary search: later times are frozen too.
        let (mut open, mut frozen) = (-1, i64::MAX / 2);
        while frozen - open > 1 {
            let middle = open + (frozen - open) / 2;
            if self.is_frozen(middle) { frozen = middle } else { open = middle }
        }
        Some(frozen)
    }

    /// The number of rows.
    pub fn count(&self, view: View) -> usize {
        self.order(view).listed().len()
    }

    /// The first accepted attempt, by time and then id, of a participant with a rank in the public view. `None` while an
    /// earlier attempt of such a participant is pending.
    pub fn first_to_solve(&self, view: View, problem: Uuid) -> Option<FirstSolve> {
        if !self.rules.problems.contains(&problem) {
            return None;
        }
        let problem = self.roster.problems.iter().position(|&known| known == problem)?;
        // Every frozen attempt is later than every other one. If the first accepted attempt is frozen, the public sees none;
        // otherwise, no frozen attempt is pending before it.
        let (at_us, submission, index) = self.solves.first(problem)?;
        if view == View::Public && self.is_frozen(at_us) {
            return None;
        }
        let at_us = self.intervals.contest_time(at_us);
        Some(FirstSolve { participant: self.roster.get(index).id, submission, at_us })
    }

    /// Applies an entry that is about no participant, without sorting.
    fn apply_to_contest(&mut self, entry: Entry) -> Change {
        let changed = match entry {
            Entry::Thawed if !self.thawed => {
                self.thawed = true;
                return Change::PUBLIC;
            }
            Entry::IntervalRemoved { id, from_us, to_us } => {
                self.intervals.remove(id, from_us, to_us)
            }
            Entry::IntervalRestored { id } => self.intervals.restore(id),
            Entry::RulesChanged(rules) => {
                let before = std::mem::replace(&mut self.rules, rules);
                before != self.rules
            }
            _ => false,
        };
        if changed { Change::ALL } else { Change::default() }
    }

    /// Computes and sorts every row of both views.
    fn sort(&mut self) {
        let (jury, public) =
            (self.places(View::Jury, i64::MAX), self.places(View::Public, i64::MAX));
        let format = self.rules.format.format();
        self.jury.rebuild(format, jury);
        self.public.rebuild(format, public);
    }

    /// The place of every participant, without the attempts from a contest time on.
    fn places(&self, view: View, until_us: i64) -> Vec<Place> {
        let count = Index::try_from(self.roster.participants.len()).unwrap_or(Index::MAX);
        let content = (0..count).map(|index| self.content(view, index, until_us));
        content.map(|content| content.map(|(place, _)| place).unwrap_or_default()).collect()
    }

    fn order(&self, view: View) -> &Order {
        match view {
            View::Jury => &self.jury,
            View::Public => &self.public,
        }
    }

    fn format(&self) -> &dyn Format {
        self.rules.format.format()
    }

    fn row_at(&self, view: View, index: Index) -> Option<Row> {
        let order = self.order(view);
        let (place, participant) = (order.place(index), self.roster.get(index));
        let cells = self.cells(view, participant, i64::MAX);
        Some(Row {
            participant: participant.id,
            standing: place.standing?,
            rank: order.rank(self.format(), place),
            score: place.score,
            cells: cells.into_iter().map(|(at, cell)| (self.rules.problems[at], cell)).collect(),
        })
    }

    fn content(&self, view: View, index: Index, until_us: i64) -> Content {
        let participant = self.roster.get(index);
        let standing = Some(participant.standing(view)?);
        let cells = self.cells(view, participant, until_us);
        let mut values = cells.iter().map(|&(_, cell)| cell);
        let score = self.format().score(&mut values, participant.adjustment_minutes);
        Some((Place { standing, score }, cells))
    }

    /// In the order of the rules. Cells are not kept: computing those of a page costs less than the memory of all.
    fn cells(&self, view: View, participant: &Participant, until_us: i64) -> Vec<(usize, Cell)> {
        let mut cells = Vec::new();
        let mut visible = Vec::new();
        for attempts in participant.by_problem() {
            let problem = self.roster.problems[attempts[0].problem as usize];
            let Some(at) = self.rules.problems.iter().position(|&id| id == problem) else {
                continue;
            };
            let counted = attempts.iter().filter(|attempt| !attempt.ignored);
            visible.clear();
            let shown = counted.map(|attempt| self.visible(view, attempt));
            visible.extend(shown.filter(|attempt| attempt.at_us < until_us));
            let cell = self.format().cell(&visible);
            if cell != Cell::default() {
                cells.push((at, cell));
            }
        }
        cells.sort_unstable_by_key(|&(at, _)| at);
        cells
    }

    /// The only place that decides which verdicts a view contains.
    fn visible(&self, view: View, attempt: &Attempt) -> format::Attempt {
        let secret = view == View::Public && self.is_frozen(attempt.at_us);
        let verdict = if secret { None } else { attempt.verdict };
        format::Attempt { at_us: self.intervals.contest_time(attempt.at_us), verdict }
    }

    /// `at_us` is with removed intervals, the freeze is without.
    fn is_frozen(&self, at_us: i64) -> bool {
        let from = self.rules.freeze_us.filter(|_| !self.thawed);
        from.is_some_and(|from| self.intervals.contest_time(at_us) >= from)
    }
}

#[cfg(test)]
mod tests;
