//! What a statement defines for itself: `\newcommand`, `\def` and their kin; and formulas, which stay TeX
//! but for its constants and definitions, as the page that shows them knows neither.

use super::Renderer;

/// Most bytes that definitions may put into a text, as a few lines can ask for gigabytes.
const MAX_EXPANSION: usize = 1 << 20;
/// Deepest use of definitions in definitions.
const MAX_DEPTH: usize = 20;

/// A defined command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macro {
    /// How many arguments it takes.
    arguments: usize,
    /// The first argument's value where it is not given, which makes it one in brackets.
    default: Option<String>,
    /// What it stands for, with `#1` for its arguments.
    body: String,
}

impl Macro {
    /// The body with arguments in their places.
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
    /// A command's name, bare or in braces.
    fn command_name(&mut self) -> &'t str {
        let name = self.raw_token();
        name.trim().trim_start_matches('\\')
    }

    /// An argument in brackets as it is written.
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

    fn define(&mut self, name: &str, found: Macro) {
        // Without these two nothing could be read any more.
        if !matches!(name, "" | "begin" | "end") && name.len() <= 100 {
            self.shared.macros.insert(name.to_owned(), found);
        }
    }

    /// What a defined command stands for here; its arguments are taken from the text.
    pub(super) fn expansion(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(found) = self.shared.macros.get(name).cloned() else { return Ok(None) };
        let mut arguments: Vec<&str> = Vec::new();
        if let Some(default) = &found.default {
            arguments.push(self.raw_option().unwrap_or(default));
        }
        while arguments.len() < found.arguments.min(9) {
            arguments.push(self.raw_token());
        }
        let text = found.apply(&arguments);
        self.shared.expanded += text.len() + 1;
        if self.shared.expanded > MAX_EXPANSION {
            return Err("defines commands that grow without end".to_owned());
        }
        Ok(Some(text))
    }

    /// The value of a constant.
    pub(super) fn constant(&self, name: &str) -> Result<&str, String> {
        let value = self.shared.constants.get(name.trim());
        let shown: String = name.trim().chars().take(100).collect();
        value.map(String::as_str).ok_or_else(|| format!("the constant `{shown}` is not defined"))
    }

    /// A formula as HTML.
    pub(super) fn math(&mut self, tex: &str, kind: &str) -> Result<String, String> {
        let tex = self.formula(tex, 0)?;
        Ok(super::math(&tex, kind))
    }

    /// A formula with its constants and definitions in their places.
    fn formula(&mut self, tex: &str, depth: usize) -> Result<String, String> {
        if depth > MAX_DEPTH {
            return Err("defines commands that use each other in a circle".to_owned());
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
                // What follows must not become a part of a name.
                if inner.rest().starts_with(|c: char| c.is_ascii_alphabetic()) {
                    out.push(' ');
                }
            } else {
                out.push('\\');
                out.push_str(name);
                // Such as `\\`, whose second half begins nothing.
                if name.is_empty()
                    && let Some(c) = inner.next()
                {
                    out.push(c);
                }
            }
        }
    }
}
