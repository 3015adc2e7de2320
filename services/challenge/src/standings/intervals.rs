//! Intervals that the jury removed from the contest time, for example an outage.

use uuid::Uuid;

#[derive(Debug, Default)]
pub struct Intervals {
    /// As removed; they may overlap.
    removed: Vec<(Uuid, i64, i64)>,
    /// The union of `removed`, ascending and disjoint.
    union: Vec<(i64, i64)>,
}

impl Intervals {
    /// False when nothing changed.
    pub fn remove(&mut self, id: Uuid, from_us: i64, to_us: i64) -> bool {
        let interval = (id, from_us, to_us);
        if self.removed.contains(&interval) {
            return false;
        }
        self.removed.retain(|&(known, ..)| known != id);
        self.removed.push(interval);
        self.unite();
        true
    }

    /// False when the interval is not known.
    pub fn restore(&mut self, id: Uuid) -> bool {
        let count = self.removed.len();
        self.removed.retain(|&(known, ..)| known != id);
        self.unite();
        self.removed.len() < count
    }

    /// `at_us` without the removed time before it. Keeps the order of times, but not every difference: all times inside an
    /// interval become its start.
    pub fn contest_time(&self, at_us: i64) -> i64 {
        let before = self.union.iter().take_while(|&&(from_us, _)| from_us < at_us);
        before.fold(at_us, |time, &(from_us, to_us)| {
            time.saturating_sub(to_us.min(at_us).saturating_sub(from_us))
        })
    }

    fn unite(&mut self) {
        let mut sorted: Vec<(i64, i64)> =
            self.removed.iter().map(|&(_, from, to)| (from, to)).collect();
        sorted.retain(|(from, to)| from < to);
        sorted.sort_unstable();
        self.union.clear();
        for (from, to) in sorted {
            match self.union.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => self.union.push((from, to)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intervals(removed: &[(u128, i64, i64)]) -> Intervals {
        let mut intervals = Intervals::default();
        for &(id, from, to) in removed {
            intervals.remove(Uuid::from_u128(id), from, to);
        }
        intervals
    }

    #[track_caller]
    fn check(removed: &[(u128, i64, i64)], expected: &[(i64, i64)]) {
        let intervals = intervals(removed);
        for &(at, time) in expected {
            assert_eq!(intervals.contest_time(at), time, "at {at}");
        }
    }

    #[test]
    fn times_inside_count_at_the_start_and_later_ones_are_earlier_by_the_length() {
        check(
            &[(1, 100, 130)],
            &[(0, 0), (99, 99), (100, 100), (129, 100), (130, 100), (131, 101)],
        );
        check(&[(1, 100, 130), (2, 150, 160)], &[(140, 110), (155, 120), (170, 130)]);
    }

    #[test]
    fn overlapping_intervals_are_removed_once() {
        let expected = &[(100, 100), (139, 100), (150, 110)];
        check(&[(1, 100, 130), (2, 110, 140)], expected);
        check(&[(1, 110, 140), (2, 100, 130)], expected);
        check(&[(1, 100, 120), (2, 120, 140)], expected);
    }

    #[test]
    fn empty_intervals_change_no_time() {
        check(&[(1, 100, 100), (2, 130, 120)], &[(99, 99), (125, 125), (200, 200)]);
    }

    #[test]
    fn the_same_id_replaces_and_a_restored_interval_counts_again() {
        let mut intervals = intervals(&[(1, 100, 130), (1, 100, 110)]);
        assert_eq!(intervals.contest_time(200), 190);
        assert!(!intervals.remove(Uuid::from_u128(1), 100, 110));
        assert!(intervals.restore(Uuid::from_u128(1)));
        assert!(!intervals.restore(Uuid::from_u128(1)));
        assert_eq!(intervals.contest_time(200), 200);
    }
}
