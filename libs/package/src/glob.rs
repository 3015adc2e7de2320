//! Glob patterns of the format: `*` within a name and `{a,b}` alternatives. A pattern matches a path if it
//! matches the path itself or one of its parent directories.

/// Alternatives that one pattern may expand to.
const MAX_ALTERNATIVES: usize = 256;

pub fn matches(pattern: &str, path: &str) -> bool {
    let Some(alternatives) = expand(pattern) else { return false };
    alternatives.iter().any(|pattern| matches_path(pattern.trim_end_matches('/'), path))
}

pub fn is_valid(pattern: &str) -> bool {
    expand(pattern).is_some() && !pattern.contains("**") && !pattern.contains(['[', ']'])
}

fn matches_path(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    pattern.split('/').all(|pattern| parts.next().is_some_and(|part| matches_name(pattern, part)))
}

/// Matches one name without backtracking.
fn matches_name(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = name.find(piece) else { return false };
        name = &name[at + piece.len()..];
    }
    name.ends_with(last)
}

/// Expands braces; `None` if they are unbalanced or expand to too many patterns.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let Some(open) = pattern.find('{') else {
        return (!pattern.contains('}')).then(|| vec![pattern.to_owned()]);
    };
    let (mut depth, mut start, mut choices) = (0, open + 1, Vec::new());
    let mut close = None;
    for (at, c) in pattern.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                choices.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            choices.push(&pattern[start..at]);
            close = Some(at);
            break;
        }
    }
    let tail = &pattern[close? + 1..];
    let mut all = Vec::new();
    for choice in choices {
        all.extend(expand(&format!("{}{choice}{tail}", &pattern[..open]))?);
        if all.len() > MAX_ALTERNATIVES {
            return None;
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_paths_and_their_parents() {
        let yes = |pattern, path| assert!(matches(pattern, path), "{pattern} {path}");
        let no = |pattern, path| assert!(!matches(pattern, path), "{pattern} {path}");
        yes("accepted", "accepted/a.py");
        yes("accepted/*", "accepted/a.py");
        yes("accepted/*.py", "accepted/a.py");
        yes("*/a.*", "accepted/a.py");
        no("accept", "accepted/a.py");
        no("accepted/*/x", "accepted/a.py");
        no("*.py", "accepted/a.py");
        yes("secret/*-easy", "secret/01-easy");
        no("secret/*-easy", "secret/01-hard");
        yes("secret/group1", "secret/group1/deep/01");
        yes("accepted/{a,b}.{py,cpp}", "accepted/b.cpp");
        yes("{accepted,rejected{,_too}}/x", "rejected_too/x");
        no("{a", "a");
        yes("a*b*c", "aXbbYc");
        no("a*b*c", "aXYc");
        no("a*a", "a");
    }

    #[test]
    fn invalid_and_exploding_patterns_are_refused() {
        assert!(!is_valid(&"{a,b}".repeat(30)));
        assert!(!is_valid("a**") && !is_valid("[ab]") && !is_valid("a}"));
        assert!(is_valid("{a,b}/*.py"));
    }
}
