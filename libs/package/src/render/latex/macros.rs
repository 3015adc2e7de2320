//! Commands that a statement defines (`\newcommand`, `\def` and others), and formulas: they stay TeX, with constants and
//! defined commands expanded, because the page that shows them knows neither.

use super::Renderer;

/// Bytes of all expansions of a statement; a few lines can expand to gigabytes.
const MAX_EXPANSION: usize = 1 << 20;
/// Nesting of expansions.
const MAX_DEPTH: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macro {
    arguments: usize,
    /// Default of the first argument, which is then an optional one in brackets.
    default: Option<String>,
    /// Replacement text with `#1` for arguments.
    body: String,
}

impl Macro {
    fn apply(&self, arguments: &[&str]) -> String {
        let mut out = String::with_capacity(self.body.len());
        let mut rest = self.body.as_str();
        while let Some(at) = rest.find('#') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let digit = rest.bytes().next().filter(u8::is_ascii_digit);
            let Some(digit) = digit else {
                out.push('#');
                continue;
            };
            rest = &rest[1..];
            let at = usize::from(digit - b'0').checked_sub(1);
            out.push_str(at.and_then(|at| arguments.get(at)).copied().unwrap_or_default());
        }
        out.push_str(rest);
        out
    }
}

impl<'t> Renderer<'t, '_, '_> {
    /// The name of a command, with or without braces.
    fn command_name(&mut self) -> &'t str {
        let name = self.raw_token();
        name.trim().trim_start_matches('\\')
    }

    /// The source of an optional argument in brackets.
    fn raw_option(&mut self) -> Option<&'t str> {
        let before = self.at;
        self.skip_spaces();
        let option = self.eat("[").then(|| self.until("]"));
        if option.is_none() {
            self.at = before;
        }
        option
    }

    /// `\newcommand{\name}[arguments][default]{body}`
    pub(super) fn new_command(&mut self) {
        let name = self.command_name();
        let arguments = self.raw_option().and_then(|count| count.trim().parse().ok());
        let default = self.raw_option().map(str::to_owned);
        let body = self.raw_argument().to_owned();
        self.define(name, Macro { arguments: arguments.unwrap_or(0), default, body });
    }

    /// `\def\name#1#2{body}`
    pub(super) fn def(&mut self) {
        let name = self.command_name();
        let rest = self.rest();
        let open = rest.find('{').unwrap_or(rest.len());
        let arguments = rest[..open].matches('#').count();
        self.at += open;
        let body = self.raw_argument().to_owned();
        self.define(name, Macro { arguments, default: None, body });
    }

    /// `\DeclareMathOperator{\name}{text}`
    pub(super) fn operator(&mut self) {
        let name = self.command_name();
        let body = format!("\\operatorname{{{}}}", self.raw_argument());
        self.define(name, Macro { arguments: 0, default: None, body });
    }

    /// `\let\name=\other`
    pub(super) fn alias(&mut self) {
        let name = self.command_name();
        self.skip_spaces();
        self.eat("=");
        let body = self.raw_token().to_owned();
        self.define(name, Macro { arguments: 0, default: None, body });
    }

    fn define(&mut self, name: &str, definition: Macro) {
        // Redefining these would break parsing.
        if !matches!(name, "" | "begin" | "end") && name.len() <= 100 {
            self.shared.macros.insert(name.to_owned(), definition);
        }
    }

    /// The expansion of a defined command; consumes its arguments.
    pub(super) fn expansion(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(definition) = self.shared.macros.get(name).cloned() else { return Ok(None) };
        let mut arguments: Vec<&str> = Vec::new();
        if let Some(default) = &definition.default {
            arguments.push(self.raw_option().unwrap_or(default));
        }
        while arguments.len() < definition.arguments.min(9) {
            arguments.push(self.raw_token());
        }
        let text = definition.apply(&arguments);
        self.shared.expanded += text.len() + 1;
        if self.shared.expanded > MAX_EXPANSION {
            return Err("defines commands whose expansion is too large".to_owned());
        }
        Ok(Some(text))
    }

    pub(super) fn constant(&self, name: &str) -> Result<&str, String> {
        let value = self.shared.constants.get(name.trim());
        let shown: String = name.trim().chars().take(100).collect();
        value.map(String::as_str).ok_or_else(|| format!("the constant `{shown}` is not defined"))
    }

    pub(super) fn math(&mut self, tex: &str, kind: &str) -> Result<String, String> {
        let tex = self.formula(tex, 0)?;
        Ok(super::math(&tex, kind))
    }

    /// Expands constants and defined commands in a formula.
    fn formula(&mut self, tex: &str, depth: usize) -> Result<String, String> {
        if depth > MAX_DEPTH {
            return Err("defines commands that expand recursively".to_owned());
        }
        let mut inner = Renderer { text: tex, at: 0, depth: self.depth, shared: &mut *self.shared };
        let mut out = String::with_capacity(tex.len());
        loop {
            let rest = inner.rest();
            let Some(at) = rest.find('\\') else {
                out.push_str(rest);
                return Ok(out);
            };
            out.push_str(&rest[..at]);
            inner.at += at + 1;
            let name = inner.letters();
            if name == "constant" {
                let name = inner.raw_argument();
                out.push_str(inner.constant(name)?);
            } else if let Some(text) = inner.expansion(name)? {
                out.push_str(&inner.formula(&text, depth + 1)?);
                // Separate the expansion from following letters.
                if inner.rest().starts_with(|c: char| c.is_ascii_alphabetic()) {
                    out.push(' ');
                }
            } else {
                out.push('\\');
                out.push_str(name);
                // A symbol such as `\\`: the second character starts no command.
                if name.is_empty()
                    && let Some(c) = inner.next()
                {
                    out.push(c);
                }
            }
        }
    }
}
