//! Awards by the rules of ICPC. Pure.

use uuid::Uuid;

use crate::standings::{Line, Standing};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medal {
    Gold,
    Silver,
    Bronze,
}

impl Medal {
    /// The medal of a rank; `extra_bronze` ranks after the twelfth have bronze too.
    fn of(rank: u32, extra_bronze: u32) -> Option<Self> {
        match rank {
            1..=4 => Some(Self::Gold),
            5..=8 => Some(Self::Silver),
            _ if rank > 0 && rank <= 12 + extra_bronze => Some(Self::Bronze),
            _ => None,
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Gold => "Gold Medal",
            Self::Silver => "Silver Medal",
            Self::Bronze => "Bronze Medal",
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::Gold => "gold-medal",
            Self::Silver => "silver-medal",
            Self::Bronze => "bronze-medal",
        }
    }
}

/// The honour of a participant with a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honour {
    Medal(Medal),
    /// Solved at least as many problems as the median, and at least one.
    Ranked,
    /// Solved fewer.
    Honorable,
}

/// The honours of the lines, which are in the order of the standings: `None` for participants without a rank.
pub fn honours(lines: &[Line], extra_bronze: u32) -> Vec<Option<Honour>> {
    let median = twice_median(lines);
    let honour = |line: &Line| {
        let (rank, solved) = (line.rank?, line.score.points);
        let medal = Medal::of(rank, extra_bronze).filter(|_| solved > 0);
        Some(match medal {
            Some(medal) => Honour::Medal(medal),
            None if solved > 0 && 2 * solved >= median => Honour::Ranked,
            None => Honour::Honorable,
        })
    };
    lines.iter().map(honour).collect()
}

/// Twice the median of the solved problems, over the participants with a rank.
fn twice_median(lines: &[Line]) -> i64 {
    let ranked = lines.iter().filter(|line| line.standing == Standing::Ranked);
    // Descending, as the lines are.
    let solved: Vec<i64> = ranked.map(|line| line.score.points).collect();
    match solved.len() {
        0 => 0,
        count => solved[(count - 1) / 2] + solved[count / 2],
    }
}

/// An award of one participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Award {
    pub kind: Kind,
    pub participant: Uuid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Winner,
    Medal(Medal),
    /// With the label of the problem.
    FirstToSolve(String),
    Honors,
}

impl Kind {
    pub fn id(&self) -> String {
        match self {
            Self::Winner => "winner".into(),
            Self::Medal(medal) => medal.id().into(),
            Self::FirstToSolve(label) => format!("first-to-solve-{label}"),
            Self::Honors => "honors".into(),
        }
    }

    pub fn citation(&self) -> String {
        match self {
            Self::Winner => "Contest winner".into(),
            Self::Medal(medal) => medal.title().into(),
            Self::FirstToSolve(label) => format!("First to solve problem {label}"),
            Self::Honors => "Honors".into(),
        }
    }
}

/// The winner, medals, first to solve and honors. `firsts` are label and participant, in the order of the problems.
pub fn awards(lines: &[Line], firsts: &[(String, Uuid)], extra_bronze: u32) -> Vec<Award> {
    let honours = honours(lines, extra_bronze);
    let rows = || lines.iter().zip(&honours);
    let award = |kind, participant| Award { kind, participant };
    let winners = lines.iter().filter(|line| line.rank == Some(1) && line.score.points > 0);
    let winners = winners.map(|line| award(Kind::Winner, line.participant));
    let medals = rows().filter_map(|(line, honour)| match honour {
        Some(Honour::Medal(medal)) => Some(award(Kind::Medal(*medal), line.participant)),
        _ => None,
    });
    let firsts = firsts.iter();
    let firsts = firsts.map(|(label, first)| award(Kind::FirstToSolve(label.clone()), *first));
    let honors = rows().filter(|(_, honour)| **honour == Some(Honour::Ranked));
    let honors = honors.map(|(line, _)| award(Kind::Honors, line.participant));
    winners.chain(medals).chain(firsts).chain(honors).collect()
}

#[cfg(test)]
mod tests;
