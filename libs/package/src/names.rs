//! Names of archive entries: which are paths of the package, which are ignored and which are refused.
//!
//! The format allows only some characters in names, and behaves as if other files did not exist. Their content is not
//! read, so that devices, damaged entries or large caches among them do no harm.

/// Components of a path.
const MAX_DEPTH: usize = 32;
/// Bytes of a path.
const MAX_LENGTH: usize = 4096;

/// `^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,254}$`
pub fn is_allowed(part: &[u8]) -> bool {
    let is_allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let first = part.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    first && part.len() <= 255 && part.iter().all(is_allowed) && part != b"__MACOSX"
}

/// Whether names like this are so common that they are not reported.
pub fn is_hidden(part: &[u8]) -> bool {
    part.first() == Some(&b'.') || part == b"__MACOSX"
}

/// Whether an entry is certainly ignored. The first component may be the directory of the package, which may have any
/// name that is not hidden.
pub fn is_ignored(name: &[u8]) -> bool {
    let mut parts = parts(name);
    parts.next().is_some_and(is_hidden) || !parts.all(is_allowed)
}

/// The path of the part of `path` that is ignored.
pub fn ignored_part(path: &str) -> Option<&str> {
    let mut end = 0;
    for part in path.split('/') {
        end += part.len();
        if !is_allowed(part.as_bytes()) {
            return Some(&path[..end]);
        }
        end += 1;
    }
    None
}

/// The path without `.` and repeated slashes; `None` for the top directory itself. The error says why the package is
/// refused.
pub fn normalise(name: &[u8]) -> Result<Option<String>, &'static str> {
    if name.starts_with(b"/") {
        return Err("has an absolute path; paths must be relative to the package");
    }
    if parts(name).any(|part| part == b"..") {
        return Err("has a path that leads out of the package; it must not contain `..`");
    }
    if !is_ignored(name) && (parts(name).count() > MAX_DEPTH || name.len() > MAX_LENGTH) {
        return Err("has a path that is too long; at most 32 levels and 4096 bytes are allowed");
    }
    let parts: Vec<String> = parts(name).map(text).collect();
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// Bytes that are not UTF-8 become escapes, which are not allowed characters either.
fn text(part: &[u8]) -> String {
    let mut text = String::new();
    for chunk in part.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|b| text.push_str(&format!("%{b:02X}")));
    }
    text
}

fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_format_are_ignored() {
        for name in [
            &b"p/.git/config"[..],
            b".git/config",
            b"__MACOSX/._p",
            b"p/a b",
            b"p/-x/y",
            b"p/a:b",
            b"p/a\\..\\b",
            b"p/\xff/x",
            b"p/\xe9\xa2\x98/x",
            b"p/x\0y",
        ] {
            assert!(is_ignored(name), "{}", name.escape_ascii());
            assert!(normalise(name).is_ok(), "{}", name.escape_ascii());
        }
        for name in [&b"./p/data//_x-1.in"[..], b"problem.yaml", b"My package (1)/problem.yaml"] {
            assert!(!is_ignored(name), "{}", name.escape_ascii());
        }
        assert_eq!(ignored_part("a/b c/d"), Some("a/b c"));
        assert_eq!(ignored_part("a/b.c/d"), None);
        assert!(is_ignored(format!("p/{}", "x".repeat(256)).as_bytes()));
    }

    #[test]
    fn paths_are_normalised_or_refused() {
        assert_eq!(normalise(b"./a//b/"), Ok(Some("a/b".into())));
        assert_eq!(normalise(b"./"), Ok(None));
        assert_eq!(normalise(b"a\xff/a"), Ok(Some("a%FF/a".into())));
        assert!(normalise(b"/a").is_err() && normalise(b"a/../b").is_err());
        assert!(normalise(b".git/../../b").is_err());
        assert!(normalise("a/".repeat(33).as_bytes()).is_err());
    }
}
