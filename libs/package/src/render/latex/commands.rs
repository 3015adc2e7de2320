//! Renders commands and environments.

use super::names::{ACCENTS, TEXTS, find, is_formula, layout, switch, wrapper};
use super::{End, Flow, Renderer};
use crate::render::escape;

impl Renderer<'_, '_, '_> {
    /// Renders a command after its backslash; returns true if it ended the flow.
    pub(super) fn command(&mut self, flow: &mut Flow, end: &End) -> Result<bool, String> {
        let name = self.letters();
        if name.is_empty() {
            self.symbol(flow)?;
            return Ok(false);
        }
        if name == "verb" {
            self.verb(flow);
            return Ok(false);
        }
        self.eat("*");
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        match name {
            "begin" => {
                let name = self.raw_argument().to_owned();
                self.environment(&name, flow)?;
            }
            "end" => {
                let name = self.raw_argument();
                return Ok(matches!(end, End::Environment(open) if open == name));
            }
            name => return self.named(name, flow, end),
        }
        Ok(false)
    }

    fn symbol(&mut self, flow: &mut Flow) -> Result<(), String> {
        let Some(c) = self.next() else { return Ok(()) };
        let line = &mut flow.line;
        match c {
            '\\' => {
                self.skip_option();
                line.push_str("<br>");
            }
            '(' => {
                let tex = self.until("\\)");
                line.push_str(&self.math(tex, "inline")?);
            }
            '[' => {
                let tex = self.until("\\]");
                line.push_str(&self.math(tex, "display")?);
            }
            ' ' | ',' | ';' | ':' | '\n' | '/' => line.push(' '),
            '-' | '!' | '@' => {}
            c if let Some(accent) = find(&ACCENTS, c.encode_utf8(&mut [0; 4])) => {
                line.push_str(&self.accented(accent)?);
            }
            c => line.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
        }
        Ok(())
    }

    /// The argument with an accent on its first letter.
    fn accented(&mut self, accent: char) -> Result<String, String> {
        let letter = self.argument()?;
        let mut chars = letter.trim().chars();
        // An accent replaces the dot.
        let first = match chars.next() {
            Some('ı') => 'i',
            Some(c) if c != '<' && c != '&' => c,
            // No letter.
            _ => return Ok(letter),
        };
        Ok([first, accent].into_iter().chain(chars).collect())
    }

    fn verb(&mut self, flow: &mut Flow) {
        self.eat("*");
        let mark = self.next().unwrap_or('|');
        let code = escape(self.until(mark.encode_utf8(&mut [0; 4])));
        flow.line.push_str(&format!("<code>{code}</code>"));
    }

    fn named(&mut self, name: &str, flow: &mut Flow, end: &End) -> Result<bool, String> {
        if let Some(text) = self.expansion(name)? {
            let html = self.inner(&text)?;
            if html.contains("<p>") { flow.block(&html) } else { flow.line.push_str(&html) }
        } else if let Some(tag) = wrapper(name) {
            let inner = if tag == "code" { self.mono_argument()? } else { self.argument()? };
            let html = format!("<{tag}>{inner}</{tag}>");
            if tag.starts_with('h') { flow.block(&html) } else { flow.line.push_str(&html) }
        } else if let Some(tag) = switch(name) {
            // The switch applies up to the end of the group.
            let before = self.shared.mono;
            self.shared.mono |= tag == "code";
            let inner = self.flow(end);
            self.shared.mono = before;
            let inner = inner?;
            let block = inner.contains("<p>");
            if block {
                flow.block(&inner);
            } else {
                flow.line.push_str(&format!("<{tag}>{inner}</{tag}>"));
            }
            return Ok(true);
        } else if let Some(text) = find(&TEXTS, name) {
            flow.line.push_str(text);
            self.eat("{}");
        } else if let Some(accent) = find(&ACCENTS, name) {
            let letter = self.accented(accent)?;
            flow.line.push_str(&letter);
        } else if let Some(count) = layout(name) {
            for i in 0..count {
                self.skip_option();
                // The first of several arguments is often a command without braces.
                if count > 1 && i == 0 {
                    self.raw_token()
                } else {
                    self.raw_argument()
                };
            }
        } else {
            self.special(name, flow)?;
        }
        Ok(false)
    }

    fn special(&mut self, name: &str, flow: &mut Flow) -> Result<(), String> {
        match name {
            "textsc" => {
                let inner = self.argument()?;
                flow.line.push_str(&format!("<span class=\"smallcaps\">{inner}</span>"));
            }
            "newline" => flow.line.push_str("<br>"),
            "par" => flow.flush(),
            "item" => flow.block("<li>"),
            "nextsample" => flow.block(&self.shared.placer.next()?),
            "remainingsamples" => flow.block(&self.shared.placer.remaining()),
            "constant" => {
                let name = self.raw_argument();
                flow.line.push_str(&escape(self.constant(name)?));
            }
            "url" => {
                let url = escape(&unescape_url(self.raw_argument()));
                flow.line.push_str(&format!("<a href=\"{url}\">{url}</a>"));
            }
            "href" => {
                self.skip_option();
                let url = escape(&unescape_url(self.raw_argument()));
                let text = self.argument()?;
                flow.line.push_str(&format!("<a href=\"{url}\">{text}</a>"));
            }
            "textcolor" | "colorbox" => {
                self.skip_option();
                self.raw_argument();
                let inner = self.argument()?;
                flow.line.push_str(&inner);
            }
            "num" | "text" | "mbox" | "textrm" | "textnormal" | "textsf" => {
                self.skip_option();
                let inner = self.argument()?;
                flow.line.push_str(&inner);
            }
            "SI" | "qty" => {
                self.skip_option();
                let (number, unit) = (self.argument()?, self.argument()?);
                flow.line.push_str(&format!("{number}&nbsp;{unit}"));
            }
            "ensuremath" => {
                let tex = self.raw_argument();
                let html = self.math(tex, "inline")?;
                flow.line.push_str(&html);
            }
            "footnote" => {
                let note = self.argument()?;
                flow.line.push_str(&format!(" ({note})"));
            }
            "includegraphics" => {
                self.skip_option();
                let file = escape(self.raw_argument());
                flow.line.push_str(&format!("<img src=\"{file}\" alt=\"\">"));
            }
            "illustration" => self.illustration(flow)?,
            "caption" => {
                let caption = self.argument()?;
                flow.block(&format!("<p><em>{caption}</em></p>"));
            }
            "epigraph" => {
                let (text, by) = (self.argument()?, self.argument()?);
                flow.block(&format!("<blockquote><p>{text}</p><p>{by}</p></blockquote>"));
            }
            "multirow" | "multicolumn" => {
                let cell = self.spanning(name)?;
                flow.line.push_str(&cell);
            }
            "newcommand" | "renewcommand" | "providecommand" => self.new_command(),
            "def" | "gdef" | "edef" => self.def(),
            "DeclareMathOperator" => self.operator(),
            "let" => self.alias(),
            unknown => {
                self.shared.unknown.insert(unknown.chars().take(40).collect());
            }
        }
        Ok(())
    }

    fn illustration(&mut self, flow: &mut Flow) -> Result<(), String> {
        self.raw_argument();
        let file = escape(self.raw_argument());
        let caption = self.argument()?;
        let image = format!("<img src=\"{file}\" alt=\"\">");
        flow.block(&format!("<figure>{image}<figcaption>{caption}</figcaption></figure>\n"));
        Ok(())
    }

    fn environment(&mut self, name: &str, flow: &mut Flow) -> Result<(), String> {
        let closing = format!("\\end{{{name}}}");
        if is_formula(name) {
            let body = self.until(&closing);
            let tex = match name {
                "displaymath" | "math" => body.to_owned(),
                name => format!("\\begin{{{name}}}{body}{closing}"),
            };
            let html = self.math(&tex, if name == "math" { "inline" } else { "display" })?;
            flow.line.push_str(&html);
            return Ok(());
        }
        if matches!(name, "verbatim" | "lstlisting") {
            self.skip_option();
            let body = escape(self.until(&closing).trim_start_matches('\n'));
            flow.block(&format!("<pre><code>{body}</code></pre>\n"));
            return Ok(());
        }
        self.skip_option();
        match name {
            "wrapfigure" => (_, _) = (self.raw_argument(), self.raw_argument()),
            "minipage" => _ = self.raw_argument(),
            "tabular" | "tabular*" => {
                if name.ends_with('*') {
                    self.raw_argument();
                    self.skip_option();
                }
                self.raw_argument();
                return self.table(flow);
            }
            _ => {}
        }
        let inner = self.flow(&End::Environment(name.to_owned()))?;
        match name {
            "itemize" => flow.block(&format!("<ul>{inner}</ul>\n")),
            "enumerate" => flow.block(&format!("<ol>{inner}</ol>\n")),
            "quote" | "quotation" => flow.block(&format!("<blockquote>{inner}</blockquote>\n")),
            "Input" | "Output" | "Interaction" => {
                flow.block(&format!("<h2>{name}</h2>\n{inner}"));
            }
            "center" | "flushleft" | "flushright" | "figure" | "wrapfigure" | "table"
            | "minipage" | "document" | "small" => flow.block(&inner),
            unknown => {
                self.shared.unknown.insert(unknown.chars().take(40).collect());
                flow.block(&inner);
            }
        }
        Ok(())
    }
}

/// Removes LaTeX escapes from a URL.
fn unescape_url(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let special = |c: &char| matches!(c, '#' | '%' | '&' | '_' | '~' | '$' | '{' | '}' | '^');
        match chars.next_if(|next| c == '\\' && special(next)) {
            Some(escaped) => out.push(escaped),
            None => out.push(c),
        }
    }
    out
}
