//! Extracts the text that people read from source files: comments, Markdown and messages.

/// A line of text.
#[derive(Debug, PartialEq, Eq)]
pub struct Passage {
    /// Number of the line, from 1.
    pub line: usize,
    pub text: String,
}

/// The passages of a file, by its extension; empty for unknown ones.
pub fn passages(file: &str, text: &str) -> Vec<Passage> {
    let name = file.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.').map_or(name, |(_, extension)| extension) {
        "rs" => Rust::new(text).passages(),
        "md" => markdown(text),
        // Their titles and descriptions are text, too.
        "toml" if file.contains("/dashboards/") => markdown(text),
        "proto" => comments(text, "//"),
        "sql" => comments(text, "--"),
        "sh" | "yaml" | "yml" | "toml" | "Makefile" | "Dockerfile" | "run" => comments(text, "#"),
        _ => Vec::new(),
    }
}

/// Comments to the end of the line. The mark must follow the start of the line or a space, which excludes `https://`,
/// `$#` and the like.
fn comments(text: &str, mark: &str) -> Vec<Passage> {
    let comment = |line: &str| {
        let mut starts = line.match_indices(mark).map(|(at, _)| at);
        let start =
            starts.find(|at| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
        start.map(|at| line[at + mark.len()..].to_owned())
    };
    numbered(text).filter_map(|(line, text)| Some(Passage { line, text: comment(text)? })).collect()
}

fn markdown(text: &str) -> Vec<Passage> {
    let mut in_code = false;
    let prose = numbered(text).filter(|(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    });
    prose.map(|(line, text)| Passage { line, text: text.to_owned() }).collect()
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

/// A scanner of Rust source: comments, and string literals that contain a space.
struct Rust<'a> {
    text: &'a str,
    at: usize,
    passages: Vec<Passage>,
}

impl<'a> Rust<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, passages: Vec::new() }
    }

    fn passages(mut self) -> Vec<Passage> {
        while let Some(next) = self.rest().chars().next() {
            let rest = self.rest();
            if rest.starts_with("//") {
                let length = rest.find('\n').unwrap_or(rest.len());
                self.take(2, length);
            } else if rest.starts_with("/*") {
                let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
                self.take(2, length);
            } else if next == '"' {
                self.string(0);
            } else if let Some(hashes) = raw_string(rest).filter(|_| !self.follows_word()) {
                self.at += 1 + hashes;
                self.string(hashes);
            } else if next == '\'' {
                self.at += character(rest);
            } else {
                self.at += next.len_utf8();
            }
        }
        self.passages
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn follows_word(&self) -> bool {
        let before = self.text[..self.at].chars().next_back();
        before.is_some_and(|c| c != 'b' && c != 'c' && (c.is_alphanumeric() || c == '_'))
    }

    /// Takes a string literal that starts here, with this number of `#` around it; 0 for one with escapes, too.
    fn string(&mut self, hashes: usize) {
        let rest = self.rest();
        let raw = hashes > 0 || self.text[..self.at].ends_with('r');
        let end = format!("\"{}", "#".repeat(hashes));
        let mut length = 1;
        while let Some(next) = rest[length..].chars().next() {
            if rest[length..].starts_with(&end) {
                break;
            }
            let escaped = if raw || next != '\\' { 0 } else { 1 };
            length += rest[length..].chars().take(1 + escaped).map(char::len_utf8).sum::<usize>();
        }
        let is_message = rest[1..length].contains(' ');
        if is_message {
            self.take(1, length);
        } else {
            self.at += length;
        }
        self.at = (self.at + end.len()).min(self.text.len());
    }

    /// Takes the text from `start` to `end`, relative to here, and moves behind it.
    fn take(&mut self, start: usize, end: usize) {
        let first = self.text[..self.at].matches('\n').count() + 1;
        for (at, line) in self.rest()[start..end].lines().enumerate() {
            self.passages.push(Passage { line: first + at, text: line.to_owned() });
        }
        self.at += end;
    }
}

/// The number of `#` if a raw string starts here.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.bytes().take_while(|byte| *byte == b'#').count();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// The length of the character literal that starts here; 1 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    let escaped = chars.next().is_some_and(|(_, c)| c == '\\');
    if escaped {
        chars.next();
        return chars.find(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1);
    }
    chars.next().filter(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, text: &str, expected: &[(usize, &str)]) {
        let found = passages(file, text);
        let found: Vec<_> = found.iter().map(|p| (p.line, p.text.trim())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn rust_comments_and_messages() {
        check("a.rs", "//! one\nlet x = 1; // two\n", &[(1, "! one"), (2, "two")]);
        check("a.rs", "let x = \"a message\"; \"data\"", &[(1, "a message")]);
        check("a.rs", "\"a \\\" b // c\" // d", &[(1, "a \\\" b // c"), (1, "d")]);
        check("a.rs", "r#\"a \" b\"# r\"c:\\ d\" // e", &[(1, "a \" b"), (1, "c:\\ d"), (1, "e")]);
        check("a.rs", "('\"', '\\'', '\\\\', b'x') // a", &[(1, "a")]);
        let expected = [(1, "b"), (2, "c */"), (2, "d")];
        check("a.rs", "fn f<'a>(x: &'a str) {} /* b\nc */ // d", &expected);
        let expected = [(1, "first"), (2, "second"), (3, "third")];
        check("a.rs", "\"first\n  second\"\n// third", &expected);
        check("a.rs", "\"unfinished text", &[(1, "unfinished text")]);
    }

    #[test]
    fn comments_of_other_languages() {
        check("a.proto", "// one\nmessage X {} // two", &[(1, "one"), (2, "two")]);
        check("a.sql", "SELECT 1; -- one\n", &[(1, "one")]);
        check("a.sh", "x=$# # one\n#two", &[(1, "one"), (2, "two")]);
        check("Makefile", "# one", &[(1, "one")]);
        check("deploy/Dockerfile", "# one", &[(1, "one")]);
        check("a.yaml", "url: http://host/#x", &[]);
        check("a.json", "# one", &[]);
    }

    #[test]
    fn markdown_without_code_blocks() {
        check("a.md", "one\n```sh\ntwo\n```\nthree", &[(1, "one"), (5, "three")]);
    }
}
