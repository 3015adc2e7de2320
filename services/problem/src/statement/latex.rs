//! LaTeX: the subset that the package format asks for, as HTML. Formulas stay TeX; a command that is
//! not known is left out, its arguments stay, and it is named.

mod commands;

use std::collections::{BTreeMap, BTreeSet};

use super::sanitise::sanitise;
use super::{Images, Placer, Sample, escape};

/// A rendered statement.
#[derive(Debug, PartialEq, Eq)]
pub struct Latex {
    /// Sanitised.
    pub html: String,
    /// Commands and environments that are not rendered.
    pub unknown: BTreeSet<String>,
}

/// Deepest nesting of groups and environments.
const MAX_DEPTH: usize = 40;

/// Renders a statement.
pub fn latex(
    text: &str,
    constants: &BTreeMap<String, String>,
    samples: &[Sample],
    images: Images<'_>,
) -> Result<Latex, String> {
    let mut renderer = Renderer {
        text,
        at: 0,
        depth: 0,
        constants,
        placer: Placer::new(samples),
        unknown: BTreeSet::new(),
    };
    let html = renderer.flow(&End::Text)?;
    Ok(Latex { html: sanitise(&html, images)?, unknown: renderer.unknown })
}

/// Where a flow of text ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// With the text.
    Text,
    /// At `}`.
    Brace,
    /// At `]`.
    Bracket,
    /// At the environment's `\end`.
    Environment(String),
}

struct Renderer<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    constants: &'t BTreeMap<String, String>,
    placer: Placer<'t>,
    unknown: BTreeSet<String>,
}

/// HTML under construction: finished blocks and the paragraph being written.
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

    /// The whole; a lone line stays inline.
    fn finish(mut self, inline: bool) -> String {
        if inline && self.blocks.is_empty() {
            return self.line;
        }
        self.flush();
        self.blocks
    }
}

impl<'t> Renderer<'t> {
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

    /// Everything up to and with `end`; to the end of the text when it never comes.
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
            }
            '\n' if self.blank_line() => flow.flush(),
            '$' if self.eat("$") => line.push_str(&math(self.until("$$"), "display")),
            '$' => line.push_str(&math(self.dollar(), "inline")),
            '{' => line.push_str(&self.flow(&End::Brace)?),
            '}' => {}
            '~' => line.push_str("&nbsp;"),
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

    /// Whether only white space stands between here and the next line's end; skips it if so.
    fn blank_line(&mut self) -> bool {
        let rest = self.rest();
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let blank = line.trim().is_empty() && !rest.is_empty();
        if blank {
            self.at += line.len();
        }
        blank
    }

    /// An inline formula, after its first dollar.
    fn dollar(&mut self) -> &'t str {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices() {
            if c == '$' && !escaped {
                self.at += at + 1;
                return &rest[..at];
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

    /// An argument in braces (or one character), as HTML.
    fn argument(&mut self) -> Result<String, String> {
        self.skip_spaces();
        if self.eat("{") {
            return self.flow(&End::Brace);
        }
        Ok(self.next().map(|c| escape(c.encode_utf8(&mut [0; 4]))).unwrap_or_default())
    }

    /// An argument in braces as it is written.
    fn raw_argument(&mut self) -> &'t str {
        self.skip_spaces();
        if !self.eat("{") {
            return "";
        }
        let rest = self.rest();
        let mut depth = 1;
        for (at, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at += at + 1;
                return &rest[..at];
            }
        }
        self.at += rest.len();
        rest
    }

    /// Skips an argument in brackets, if there is one.
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
#[path = "latex_tests.rs"]
mod tests;
