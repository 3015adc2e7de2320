//! The standings computed from the whole log for every answer, without shared code: the meaning of the rules, to compare the
//! board with.

use super::*;

#[derive(Clone, Debug)]
pub struct Naive {
    rules: Rules,
    thawed: bool,
    intervals: Vec<(Uuid, i64, i64)>,
    /// In order of registration.
    people: Vec<Person>,
    attempts: Vec<Try>,
}

#[derive(Clone, Debug)]
struct Person {
    id: Uuid,
    hidden: bool,
    unofficial: bool,
    disqualified: bool,
    withdrawn: bool,
    minutes: i64,
}

#[derive(Clone, Debug)]
struct Try {
    submission: Uuid,
    participant: Uuid,
    problem: Uuid,
    at_us: i64,
    verdict: Option<Verdict>,
    ignored: bool,
}

impl Naive {
    pub fn new(rules: &Rules, log: &[Entry]) -> Self {
        let mut naive = Self {
            rules: rules.clone(),
            thawed: false,
            intervals: Vec::new(),
            people: Vec::new(),
            attempts: Vec::new(),
        };
        for entry in log {
            naive.apply(entry.clone());
        }
        naive
    }

    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::ParticipantAdded { participant: id, hidden, unofficial } => {
                if !self.people.iter().any(|person| person.id == id) {
                    let (disqualified, withdrawn) = (false, false);
                    let minutes = 0;
                    let person =
                        Person { id, hidden, unofficial, disqualified, withdrawn, minutes };
                    self.people.push(person);
                }
                self.person(id, |person| {
                    (person.hidden, person.unofficial, person.withdrawn) =
                        (hidden, unofficial, false);
                });
            }
            Entry::ParticipantUpdated { participant, hidden, unofficial, disqualified } => {
                self.person(participant, |person| {
                    person.hidden = hidden;
                    person.unofficial = unofficial;
                    person.disqualified = disqualified;
                });
            }
            Entry::ParticipantWithdrawn { participant } => {
                self.person(participant, |person| person.withdrawn = true);
            }
            // Changes no row of the whole standings.
            Entry::ParticipantTagged { .. } => {}
            Entry::PenaltyAdjusted { participant, minutes } => {
                self.person(participant, |person| person.minutes += i64::from(minutes));
            }
            Entry::Attempt { submission, participant, problem, at_us } => {
                let known = self.attempts.iter().any(|known| known.submission == submission);
                if !known && self.people.iter().any(|person| person.id == participant) {
                    let (verdict, ignored) = (None, false);
                    let attempt = Try { submission, participant, problem, at_us, verdict, ignored };
                    self.attempts.push(attempt);
                    self.attempts.sort_by_key(|attempt| (attempt.at_us, attempt.submission));
                }
            }
            Entry::Judged { submission, verdict } => {
                self.attempt(submission, |attempt| attempt.verdict = Some(verdict));
            }
            Entry::Unjudged { submission } => {
                self.attempt(submission, |attempt| attempt.verdict = None);
            }
            Entry::Ignored { submission, ignored } => {
                self.attempt(submission, |attempt| attempt.ignored = ignored);
            }
            Entry::IntervalRemoved { id, from_us, to_us } => {
                self.intervals.retain(|interval| interval.0 != id);
                self.intervals.push((id, from_us, to_us));
            }
            Entry::IntervalRestored { id } => self.intervals.retain(|interval| interval.0 != id),
            Entry::Thawed => self.thawed = true,
            Entry::RulesChanged(rules) => self.rules = rules,
        }
    }

    fn person(&mut self, id: Uuid, change: impl FnOnce(&mut Person)) {
        self.people.iter_mut().find(|person| person.id == id).map(change);
    }

    fn attempt(&mut self, id: Uuid, change: impl FnOnce(&mut Try)) {
        self.attempts.iter_mut().find(|attempt| attempt.submission == id).map(change);
    }

    /// Cuts the time before `at_us` into pieces that are inside or outside of each interval, and sums those outside of all.
    fn contest_time(&self, at_us: i64) -> i64 {
        let mut cuts = vec![0, at_us];
        cuts.extend(self.intervals.iter().flat_map(|&(_, from, to)| [from, to]));
        cuts.retain(|cut| (0..=at_us).contains(cut));
        cuts.sort_unstable();
        let inside =
            |cut: i64| self.intervals.iter().any(|&(_, from, to)| (from..to).contains(&cut));
        let pieces = cuts.windows(2).filter(|piece| !inside(piece[0]));
        pieces.map(|piece| piece[1] - piece[0]).sum()
    }

    /// Submissions whose verdict is not in the public view.
    pub fn frozen(&self) -> Vec<Uuid> {
        let frozen = self.attempts.iter().filter(|attempt| self.is_frozen(attempt));
        frozen.map(|attempt| attempt.submission).collect()
    }

    fn is_frozen(&self, attempt: &Try) -> bool {
        let Some(freeze_us) = self.rules.freeze_us else { return false };
        !self.thawed && self.contest_time(attempt.at_us) >= freeze_us
    }

    /// (problem, contest time, verdict, submission) of each counted attempt, in order.
    fn seen(&self, view: View, participant: Uuid) -> Vec<(Uuid, i64, Option<Verdict>, Uuid)> {
        let own = |attempt: &&Try| attempt.participant == participant && !attempt.ignored;
        let see = |attempt: &Try| {
            let secret = view == View::Public && self.is_frozen(attempt);
            let verdict = attempt.verdict.filter(|_| !secret);
            (attempt.problem, self.contest_time(attempt.at_us), verdict, attempt.submission)
        };
        self.attempts.iter().filter(own).map(see).collect()
    }

    fn standing(&self, view: View, person: &Person) -> Option<Standing> {
        let attempted = self.attempts.iter().any(|attempt| attempt.participant == person.id);
        match person {
            Person { hidden: true, .. } if view == View::Public => None,
            Person { withdrawn: true, .. } if !attempted => None,
            Person { disqualified: true, .. } => Some(Standing::Disqualified),
            Person { withdrawn: true, .. } | Person { unofficial: true, .. } => {
                Some(Standing::Unofficial)
            }
            _ => Some(Standing::Ranked),
        }
    }

    fn cell(&self, view: View, participant: Uuid, problem: Uuid) -> Cell {
        let mut attempts = self.seen(view, participant);
        attempts.retain(|attempt| attempt.0 == problem);
        let accepted = attempts.iter().position(|attempt| attempt.2 == Some(Accepted));
        let before = &attempts[..accepted.unwrap_or(attempts.len())];
        let free = [None, Some(CompileError), Some(JudgeError)];
        let rejected = before.iter().filter(|attempt| !free.contains(&attempt.2)).count() as u32;
        let pending = before.iter().filter(|attempt| attempt.2.is_none()).count() as u32;
        let Some(accepted) = accepted else {
            return Cell { tries: rejected, pending, ..Cell::default() };
        };
        let at_us = attempts[accepted].1;
        let Settings::Icpc(icpc) = self.rules.format;
        let penalty = at_us / MINUTE + i64::from(rejected * icpc.penalty_minutes);
        let at_us = Some(at_us);
        Cell { points: 1, solved: true, penalty, at_us, tries: rejected + 1, pending }
    }

    pub fn rows(&self, view: View) -> Vec<Row> {
        let mut rows = Vec::new();
        for person in &self.people {
            let Some(standing) = self.standing(view, person) else { continue };
            let problems = self.rules.problems.iter();
            let mut cells: Vec<(Uuid, Cell)> =
                problems.map(|&problem| (problem, self.cell(view, person.id, problem))).collect();
            let solved = cells.iter().filter(|(_, cell)| cell.solved);
            let score = Score {
                points: solved.clone().count() as i64,
                penalty: person.minutes + solved.clone().map(|(_, cell)| cell.penalty).sum::<i64>(),
                last: solved.filter_map(|(_, cell)| cell.at_us).max().unwrap_or(0) / MINUTE,
            };
            cells.retain(|(_, cell)| *cell != Cell::default());
            rows.push(Row { participant: person.id, standing, rank: None, score, cells });
        }
        let key = |row: &Row| (-row.score.points, row.score.penalty, row.score.last);
        rows.sort_by_key(|row| (row.standing == Standing::Disqualified, key(row)));
        let mut ranked = rows.clone();
        ranked.retain(|row| row.standing == Standing::Ranked);
        for row in rows.iter_mut().filter(|row| row.standing == Standing::Ranked) {
            let better = ranked.iter().filter(|other| key(other) < key(row)).count();
            row.rank = Some(better as u32 + 1);
        }
        rows
    }

    pub fn first_to_solve(&self, view: View, problem: Uuid) -> Option<FirstSolve> {
        if !self.rules.problems.contains(&problem) {
            return None;
        }
        for attempt in &self.attempts {
            let person = self.people.iter().find(|person| person.id == attempt.participant)?;
            let can_be_first = self.standing(View::Public, person) == Some(Standing::Ranked);
            if attempt.problem != problem || attempt.ignored || !can_be_first {
                continue;
            }
            let secret = view == View::Public && self.is_frozen(attempt);
            match attempt.verdict.filter(|_| !secret) {
                None => return None,
                Some(Accepted) => {
                    let at_us = self.contest_time(attempt.at_us);
                    let (participant, submission) = (person.id, attempt.submission);
                    return Some(FirstSolve { participant, submission, at_us });
                }
                Some(_) => {}
            }
        }
        None
    }
}
