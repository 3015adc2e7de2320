//! Pages of a part of the standings, or of an earlier minute.

use super::order::{Order, Place};
use super::roster::{Index, Participant};
use super::row::{Cursor, Row, Standing, View};
use super::{Board, Format};

/// The participants of a page; `None` is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub group: Option<String>,
    pub country: Option<String>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn includes(&self, participant: &Participant) -> bool {
        let matches = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        matches(&self.group, &participant.group) && matches(&self.country, &participant.country)
    }
}

/// The standings of one view at an earlier time. It becomes outdated with the next entry of the log.
#[derive(Debug)]
pub struct Past {
    view: View,
    /// Contest time without removed intervals, in microseconds.
    until_us: i64,
    order: Order,
}

impl Past {
    pub fn is_of(&self, view: View, until_us: i64) -> bool {
        self.view == view && self.until_us == until_us
    }
}

/// A page, and the number of rows on all pages.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    pub rows: Vec<Row>,
    pub count: usize,
}

impl Board {
    /// The standings without the attempts from a contest time on. Sorts every row, as the thaw does.
    pub fn past(&self, view: View, until_us: i64) -> Past {
        let mut order = Order::default();
        order.rebuild(self.format(), self.places(view, until_us));
        Past { view, until_us, order }
    }

    /// At most `limit` rows after the cursor, or from the first. Ranks are those among the rows of the filter; with a
    /// filter, this reads the places of all rows once.
    pub fn part(
        &self,
        view: View,
        past: Option<&Past>,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Part {
        let order = past.map_or_else(|| self.order(view), |past| &past.order);
        let until_us = past.map_or(i64::MAX, |past| past.until_us);
        let listed = order.listed();
        let start = after.map_or(0, |cursor| {
            let place = Place { standing: Some(cursor.standing), score: cursor.score };
            let index = self.roster.index(cursor.participant).unwrap_or(Index::MAX);
            order.count_to(self.format(), &place, index)
        });
        let row = |index: Index, rank: Option<u32>| {
            let (place, participant) = (order.place(index), self.roster.get(index));
            let cells = self.cells(view, participant, until_us).into_iter();
            Some(Row {
                participant: participant.id,
                standing: place.standing?,
                rank,
                score: place.score,
                cells: cells.map(|(at, cell)| (self.rules.problems[at], cell)).collect(),
            })
        };
        if filter.is_empty() {
            let rows = listed[start..].iter().take(limit);
            let rank = |index: Index| order.rank(self.format(), order.place(index));
            let rows = rows.filter_map(|&index| row(index, rank(index))).collect();
            return Part { rows, count: listed.len() };
        }
        let mut part = Part { rows: Vec::new(), count: 0 };
        let mut ranks = Ranks::default();
        for (at, &index) in listed.iter().enumerate() {
            if !filter.includes(self.roster.get(index)) {
                continue;
            }
            let rank = ranks.next(self.format(), order.place(index));
            part.count += 1;
            if at >= start && part.rows.len() < limit {
                part.rows.extend(row(index, rank));
            }
        }
        part
    }
}

/// Ranks of rows that are read in order.
#[derive(Default)]
struct Ranks {
    count: u32,
    /// The last place with a rank, and its rank.
    last: Option<(Place, u32)>,
}

impl Ranks {
    fn next(&mut self, format: &dyn Format, place: &Place) -> Option<u32> {
        if place.standing != Some(Standing::Ranked) {
            return None;
        }
        self.count += 1;
        let shared = self.last.filter(|(last, _)| format.order(&last.score, &place.score).is_eq());
        let rank = shared.map_or(self.count, |(_, rank)| rank);
        self.last = Some((*place, rank));
        Some(rank)
    }
}
