//! Suggestions for misspelt keys.

/// The candidate with the smallest edit distance, if it is similar enough.
pub(super) fn nearest<'a>(
    typed: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let scored = candidates.map(|candidate| (distance(typed, candidate), candidate));
    scored.min().filter(|(score, _)| *score <= typed.len() / 3 + 1).map(|(_, best)| best)
}

/// The Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_keys_are_suggested() {
        let keys = ["grpc.listen", "rest.listen", "data"];
        assert_eq!(nearest("grpc.lisen", keys.into_iter()), Some("grpc.listen"));
        assert_eq!(nearest("dta", keys.into_iter()), Some("data"));
        assert_eq!(nearest("moonphase", keys.into_iter()), None);
    }
}
