//! Which problems a duel gets. Pure.
//!
//! A problem should be solvable by the weaker player in the time of a duel: its difficulty is near the lower rating minus
//! 400. Newer problems are preferred, because fewer people know them.

use std::ops::Range;

use uuid::Uuid;

/// How far below the lower rating the difficulty is.
const EASIER: i64 = 400;
const LOWEST_TARGET: i64 = 500;
const HIGHEST: i64 = 4000;
const STEP: i64 = 100;

/// A problem that suits both players.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub problem_id: Uuid,
    /// 0 = unknown.
    pub difficulty: i64,
}

/// The difficulty of the problem with this index: each is harder than the one before.
pub fn target(lower_rating: i64, index: usize) -> i64 {
    let harder = i64::try_from(index).unwrap_or(0) * STEP;
    ((lower_rating - EASIER).max(LOWEST_TARGET) + harder).min(HIGHEST)
}

/// The ranges of difficulty to look in, the best first: down from the target, last the unknown difficulties, and up if
/// nothing easier is left.
pub fn bands(target: i64) -> impl Iterator<Item = Range<i64>> {
    let base = target / STEP;
    let down = (0..=base).rev();
    let up = base + 1..=HIGHEST / STEP;
    down.chain(up).map(|band| band * STEP..(band + 1) * STEP)
}

/// One of the candidates, which are the newest first: of n, the first is chosen with the probability 1/√n, and each
/// next one less often. The same seed chooses the same.
pub fn pick(candidates: &[Candidate], seed: u128, index: usize) -> Option<&Candidate> {
    const HALF: u32 = 32;
    let mixed = mix(fold(seed) ^ u64::try_from(index).unwrap_or(0));
    let uniform = u128::from(mixed >> HALF);
    let squared = (uniform * uniform) >> HALF;
    let chosen = (squared * u128::try_from(candidates.len()).ok()?) >> HALF;
    candidates.get(usize::try_from(chosen).ok()?)
}

/// A random number from 64 bits (the finalizer of SplitMix64).
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn fold(seed: u128) -> u64 {
    let bytes = seed.to_be_bytes();
    let half = |range: Range<usize>| bytes[range].iter().fold(0, |sum, b| sum << 8 | u64::from(*b));
    half(0..8) ^ half(8..16)
}

/// The reason of a choice, in words.
pub fn reason(lower_rating: i64, target: i64, chosen: &Candidate, count: usize) -> String {
    let difficulty = match chosen.difficulty {
        0 => "unknown difficulty".to_owned(),
        difficulty => format!("difficulty {difficulty}"),
    };
    format!(
        "{difficulty}, wanted {target} for the lower rating {lower_rating}; one of {count} that neither player has \
         attempted, owned or met in a duel"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_follow_the_lower_rating_and_rise() {
        assert_eq!(target(1500, 0), 1100);
        assert_eq!(target(1500, 2), 1300);
        assert_eq!(target(600, 0), 500);
        assert_eq!(target(9000, 4), 4000);
    }

    #[test]
    fn bands_step_down_before_they_step_up() {
        let bands: Vec<i64> = bands(250).map(|band| band.start).collect();
        assert_eq!(bands[..5], [200, 100, 0, 300, 400]);
        assert_eq!(bands.last(), Some(&4000));
    }

    #[test]
    fn newer_problems_are_chosen_more_often_and_a_seed_repeats_its_choice() {
        let candidates: Vec<Candidate> = (0..16)
            .map(|n| Candidate { problem_id: Uuid::from_u128(n), difficulty: 800 })
            .collect();
        let mut counts = [0; 16];
        for seed in 0..4000 {
            let picked = pick(&candidates, seed, 0).unwrap();
            assert_eq!(pick(&candidates, seed, 0), Some(picked));
            counts[usize::try_from(picked.problem_id.as_u128()).unwrap()] += 1;
        }
        // 1/√16 of the choices.
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
        assert!(counts[15] > 60 && counts[15] < 200, "{counts:?}");
        assert_eq!(pick(&[], 1, 0), None);
    }
}
