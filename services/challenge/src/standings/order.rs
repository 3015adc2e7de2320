//! The rows of one view in order.

use std::cmp::Ordering;

use super::roster::Index;
use super::row::Standing;
use crate::format::{Format, Score};

/// What decides the position of a row. Rows with equal scores are in order of registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `None` if the view does not list the participant.
    pub standing: Option<Standing>,
    pub score: Score,
}

impl Place {
    fn is_listed(&self) -> bool {
        self.standing.is_some()
    }

    fn is_ranked(&self) -> bool {
        self.standing == Some(Standing::Ranked)
    }
}

/// Sorted vectors of 4 bytes a row: moving a row costs a binary search and a memmove of at most 400 kB for 100,000
/// participants.
#[derive(Debug, Default)]
pub struct Order {
    /// By participant.
    places: Vec<Place>,
    /// Every row of the view, in order.
    listed: Vec<Index>,
    /// The rows with a rank, in order.
    ranked: Vec<Index>,
}

impl Order {
    /// Sorts all rows; `places` are those of all participants by index.
    pub fn rebuild(&mut self, format: &dyn Format, places: Vec<Place>) {
        let mut rows: Vec<(Index, Place)> = (0..).zip(places.iter().copied()).collect();
        rows.retain(|(_, place)| place.is_listed());
        rows.sort_unstable_by(|left, right| {
            compare(format, (&left.1, left.0), (&right.1, right.0))
        });
        self.listed = rows.iter().map(|&(index, _)| index).collect();
        rows.retain(|(_, place)| place.is_ranked());
        self.ranked = rows.iter().map(|&(index, _)| index).collect();
        self.places = places;
    }

    /// Moves the row of one participant; the index may be the next new one.
    pub fn set(&mut self, format: &dyn Format, index: Index, place: Place) {
        let slot = index as usize;
        if slot == self.places.len() {
            self.places.push(Place::default());
        }
        let before = self.places[slot];
        if before == place {
            return;
        }
        let Self { places, listed, ranked } = self;
        let position = |list: &[Index], place: &Place| {
            let key = |other: &Index| (&places[*other as usize], *other);
            list.partition_point(|other| compare(format, key(other), (place, index)).is_lt())
        };
        if before.is_listed() {
            listed.remove(position(listed, &before));
        }
        if place.is_listed() {
            listed.insert(position(listed, &place), index);
        }
        if before.is_ranked() {
            ranked.remove(position(ranked, &before));
        }
        if place.is_ranked() {
            ranked.insert(position(ranked, &place), index);
        }
        places[slot] = place;
    }

    pub fn place(&self, index: Index) -> &Place {
        &self.places[index as usize]
    }

    pub fn listed(&self) -> &[Index] {
        &self.listed
    }

    /// The number of rows up to and including the place, whether or not it is still taken.
    pub fn count_to(&self, format: &dyn Format, place: &Place, index: Index) -> usize {
        let key = |other: &Index| (&self.places[*other as usize], *other);
        self.listed.partition_point(|other| compare(format, key(other), (place, index)).is_le())
    }

    /// From 1; equal scores share a rank and leave a gap.
    pub fn rank(&self, format: &dyn Format, place: &Place) -> Option<u32> {
        if !place.is_ranked() {
            return None;
        }
        let score = |other: &Index| &self.places[*other as usize].score;
        let better =
            self.ranked.partition_point(|other| format.order(score(other), &place.score).is_lt());
        u32::try_from(better + 1).ok()
    }
}

fn compare(format: &dyn Format, left: (&Place, Index), right: (&Place, Index)) -> Ordering {
    let last = |place: &Place| place.standing == Some(Standing::Disqualified);
    last(left.0)
        .cmp(&last(right.0))
        .then_with(|| format.order(&left.0.score, &right.0.score))
        .then(left.1.cmp(&right.1))
}
