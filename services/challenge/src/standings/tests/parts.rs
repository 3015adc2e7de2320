//! Filtered pages and earlier minutes agree with the whole standings.

use std::collections::HashSet;

use proptest::prelude::*;

use super::properties::any_log;
use super::*;

fn tagged(participant: u128, group: &str, country: &str) -> Entry {
    let (group, country) = (group.to_owned(), country.to_owned());
    Entry::ParticipantTagged { participant: id(participant), group, country }
}

fn group(name: &str) -> Filter {
    Filter { group: Some(name.to_owned()), country: None }
}

/// The rows of some participants, with the ranks that they have among each other.
fn ranked(rows: Vec<Row>, wanted: impl Fn(Uuid) -> bool) -> Vec<Row> {
    let mut rows: Vec<Row> = rows.into_iter().filter(|row| wanted(row.participant)).collect();
    let scores: Vec<Score> =
        rows.iter().filter(|row| row.rank.is_some()).map(|row| row.score).collect();
    let format = Icpc { penalty_minutes: 20 };
    for row in rows.iter_mut().filter(|row| row.rank.is_some()) {
        let better = scores.iter().filter(|it| format.order(it, &row.score).is_lt()).count();
        row.rank = u32::try_from(better + 1).ok();
    }
    rows
}

/// All pages of two rows.
fn pages(board: &Board, view: View, past: Option<&Past>, filter: &Filter) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let count = board.part(view, past, filter, None, 0).count;
    for _ in 0..=count {
        let after = rows.last().map(Row::cursor);
        rows.extend(board.part(view, past, filter, after.as_ref(), 2).rows);
    }
    assert_eq!(rows.len(), count);
    rows
}

#[test]
fn filters_combine() {
    let mut board = board(rules(None), 3, &[(2, 1, 10, Some(Accepted))]);
    board.apply(tagged(1, "north", "NZL"));
    board.apply(tagged(2, "north", "DEU"));
    board.apply(tagged(3, "south", "NZL"));
    let found = |filter: &Filter| {
        let rows = board.part(View::Public, None, filter, None, 9).rows;
        rows.iter().map(|row| (row.participant.as_u128(), row.rank)).collect::<Vec<_>>()
    };
    assert_eq!(found(&group("north")), [(2, Some(1)), (1, Some(2))]);
    assert_eq!(
        found(&Filter { country: Some("NZL".into()), group: None }),
        [(1, Some(1)), (3, Some(1))]
    );
    let both = Filter { country: Some("NZL".into()), ..group("north") };
    assert_eq!(found(&both), [(1, Some(1))]);
    assert_eq!(found(&group("")), []);
}

proptest! {
    #[test]
    fn a_filter_ranks_its_own_rows(log in any_log()) {
        let tags = (1..=6).map(|n| tagged(n, if n % 2 == 0 { "even" } else { "odd" }, ""));
        let board = Board::load(rules(Some(5)), log.into_iter().chain(tags));
        for view in [View::Jury, View::Public] {
            let all = board.page(view, None, usize::MAX);
            let expected = ranked(all, |participant| participant.as_u128() % 2 == 0);
            prop_assert_eq!(pages(&board, view, None, &group("even")), expected);
        }
    }

    #[test]
    fn the_past_has_no_later_attempts(log in any_log(), minute in 0..10_i64) {
        let mut seen = HashSet::new();
        let log: Vec<Entry> = log.into_iter().filter(|entry| match entry {
            Entry::Attempt { submission, participant, .. } => {
                participant.as_u128() <= 4 && seen.insert(*submission)
            }
            Entry::IntervalRemoved { .. } | Entry::ParticipantWithdrawn { .. } => false,
            _ => true,
        }).collect();
        let until_us = minute * MINUTE;
        let earlier = log.iter().filter(|entry| {
            !matches!(entry, Entry::Attempt { at_us, .. } if *at_us >= until_us)
        });
        let earlier = Board::load(rules(Some(5)), earlier.cloned());
        let board = Board::load(rules(Some(5)), log.clone());
        for view in [View::Jury, View::Public] {
            let past = board.past(view, until_us);
            let rows = pages(&board, view, Some(&past), &Filter::default());
            prop_assert_eq!(rows, earlier.page(view, None, usize::MAX));
        }
    }
}
