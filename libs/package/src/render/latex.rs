//! LaTeX: renders the subset that the package format requires to HTML. Formulas stay TeX. Unknown commands are dropped
//! and listed; their arguments stay.

mod commands;
mod macros;
mod names;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use self::macros::Macro;
use super::sanitise::sanitise;
use super::{Images, Placer, Sample, escape};

#[derive(Debug, PartialEq, Eq)]
pub struct Latex {
    /// Sanitised.
    pub html: String,
    /// Commands and environments that are not rendered.
    pub unknown: BTreeSet<String>,
}

/// Nesting of groups and environments.
const MAX_DEPTH: usize = 40;

pub fn latex(
    text: &str,
    constants: &BTreeMap<String, String>,
    samples: &[Sample],
    images: Images<'_>,
) -> Result<Latex, String> {
    let mut shared = Shared {
        constants,
        placer: Placer::new(samples),
        unknown: BTreeSet::new(),
        macros: BTreeMap::new(),
        expanded: 0,
        mono: false,
        span: (1, 1),
    };
    let html = Renderer { text, at: 0, depth: 0, shared: &mut shared }.flow(&End::Text)?;
    Ok(Latex { html: sanitise(&html, images)?, unknown: shared.unknown })
}

/// The end of a flow of text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// End of input.
    Text,
    Brace,
    Bracket,
    /// The `\end` of this environment.
    Environment(String),
}

/// Renders one part of the text.
struct Renderer<'t, 's, 'c> {
    text: &'t str,
    at: usize,
    depth: usize,
    shared: &'s mut Shared<'c>,
}

/// State shared by all parts of a statement.
struct Shared<'c> {
    constants: &'c BTreeMap<String, String>,
    placer: Placer<'c>,
    unknown: BTreeSet<String>,
    /// Commands that the statement defined so far.
    macros: BTreeMap<String, Macro>,
    /// Bytes of all expansions so far.
    expanded: usize,
    /// Inside a typewriter font, where quotes and dashes are literal.
    mono: bool,
    /// Columns and rows of the last table cell.
    span: (u16, u16),
}

/// Output: finished blocks and the current paragraph.
#[derive(Default)]
struct Flow {
    blocks: String,
    line: String,
}

impl Flow {
    fn block(&mut self, html: &str) {
        self.flush();
        self.blocks.push_str(html);
    }

    fn flush(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim();
        if !line.is_empty() {
            self.blocks.push_str(&format!("<p>{line}</p>\n"));
        }
    }

    /// The HTML; a single line is not wrapped in a paragraph if `inline`.
    fn finish(mut self, inline: bool) -> String {
        if inline && self.blocks.is_empty() {
            return self.line;
        }
        self.flush();
        self.blocks
    }
}

impl<'t> Renderer<'t, '_, '_> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Consumes up to and including `end`, or everything if it does not occur. Returns the text before `end`.
    fn until(&mut self, end: &str) -> &'t str {
        let rest = self.rest();
        let found = rest.find(end);
        let body = &rest[..found.unwrap_or(rest.len())];
        self.at += found.map_or(rest.len(), |at| at + end.len());
        body
    }

    /// Renders up to `end`.
    fn flow(&mut self, end: &End) -> Result<String, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nests groups or environments too deeply".to_owned());
        }
        let mut flow = Flow::default();
        while let Some(c) = self.next() {
            match c {
                '}' if *end == End::Brace => break,
                ']' if *end == End::Bracket => break,
                '\\' => {
                    if self.command(&mut flow, end)? {
                        break;
                    }
                }
                c => self.character(c, &mut flow)?,
            }
        }
        self.depth -= 1;
        Ok(flow.finish(matches!(end, End::Brace | End::Bracket)))
    }

    fn character(&mut self, c: char, flow: &mut Flow) -> Result<(), String> {
        let line = &mut flow.line;
        match c {
            '%' => {
                self.until("\n");
                if self.blank_line() {
                    flow.flush();
                }
            }
            '\n' if self.blank_line() => flow.flush(),
            '$' if self.eat("$") => {
                let tex = self.dollars("$$");
                line.push_str(&self.math(tex, "display")?);
            }
            '$' => {
                let tex = self.dollars("$");
                line.push_str(&self.math(tex, "inline")?);
            }
            '{' => line.push_str(&self.flow(&End::Brace)?),
            '}' => {}
            '~' => line.push_str("&nbsp;"),
            c if self.shared.mono => line.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
            '-' if self.eat("--") => line.push('—'),
            '-' if self.eat("-") => line.push('–'),
            '`' if self.eat("`") => line.push('“'),
            '`' => line.push('‘'),
            '\'' if self.eat("'") => line.push('”'),
            '\'' => line.push('’'),
            '<' if self.eat("<") => line.push('«'),
            '>' if self.eat(">") => line.push('»'),
            c => line.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
        }
        Ok(())
    }

    /// Whether the rest of the line is white space; consumes it if so.
    fn blank_line(&mut self) -> bool {
        let rest = self.rest();
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let blank = line.trim().is_empty() && !rest.is_empty();
        if blank {
            self.at += line.len();
        }
        blank
    }

    /// The rest of a formula after its opening dollars. Dollars in groups belong to `\text` and do not end it.
    fn dollars(&mut self, end: &str) -> &'t str {
        let rest = self.rest();
        let (mut escaped, mut depth) = (false, 0_usize);
        for (at, c) in rest.char_indices() {
            match c {
                '{' if !escaped => depth += 1,
                '}' if !escaped => depth = depth.saturating_sub(1),
                '$' if !escaped && depth == 0 && rest[at..].starts_with(end) => {
                    self.at += at + end.len();
                    return &rest[..at];
                }
                _ => {}
            }
            escaped = c == '\\' && !escaped;
        }
        self.at += rest.len();
        rest
    }

    fn skip_spaces(&mut self) {
        while self.rest().starts_with([' ', '\t', '\n']) {
            self.at += 1;
        }
    }

    fn letters(&mut self) -> &'t str {
        let rest = self.rest();
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        self.at += length;
        &rest[..length]
    }

    /// Renders an argument: in braces, a command or one character.
    fn argument(&mut self) -> Result<String, String> {
        self.skip_spaces();
        if self.eat("{") {
            return self.flow(&End::Brace);
        }
        let token = self.raw_token();
        self.inner(token)
    }

    fn mono_argument(&mut self) -> Result<String, String> {
        let before = std::mem::replace(&mut self.shared.mono, true);
        let html = self.argument();
        self.shared.mono = before;
        html
    }

    /// Renders a text like a group.
    fn inner(&mut self, text: &str) -> Result<String, String> {
        Renderer { text, at: 0, depth: self.depth, shared: &mut *self.shared }.flow(&End::Brace)
    }

    /// The source of an argument: in braces, a command or one character.
    fn raw_token(&mut self) -> &'t str {
        self.skip_spaces();
        let rest = self.rest();
        if rest.starts_with('{') {
            return self.raw_argument();
        }
        let before = self.at;
        if self.next() == Some('\\') && self.letters().is_empty() {
            self.next();
        }
        &rest[..self.at - before]
    }

    /// The source of an argument in braces; empty without braces.
    fn raw_argument(&mut self) -> &'t str {
        self.skip_spaces();
        if !self.eat("{") {
            return "";
        }
        let rest = self.rest();
        let (mut depth, mut escaped) = (1, false);
        for (at, c) in rest.char_indices() {
            match c {
                '{' if !escaped => depth += 1,
                '}' if !escaped => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at += at + 1;
                return &rest[..at];
            }
            escaped = c == '\\' && !escaped;
        }
        self.at += rest.len();
        rest
    }

    /// Skips an optional argument in brackets.
    fn skip_option(&mut self) {
        if self.rest().trim_start_matches([' ', '\t']).starts_with('[') {
            self.until("]");
        }
    }
}

fn math(tex: &str, kind: &str) -> String {
    format!("<span class=\"math {kind}\">{}</span>", escape(tex.trim()))
}

#[cfg(test)]
mod tests;
