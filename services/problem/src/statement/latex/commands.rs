//! What each command and environment becomes.

use super::{End, Flow, Renderer, math};
use crate::statement::escape;

/// Commands that wrap their argument.
const WRAPPERS: [(&str, &str); 14] = [
    ("textbf", "strong"),
    ("emph", "em"),
    ("textit", "em"),
    ("textsl", "em"),
    ("texttt", "code"),
    ("t", "code"),
    ("underline", "u"),
    ("sout", "del"),
    ("section", "h2"),
    ("subsection", "h3"),
    ("subsubsection", "h4"),
    ("paragraph", "h4"),
    ("textsuperscript", "sup"),
    ("textsubscript", "sub"),
];

/// Commands that hold for the rest of their group.
const SWITCHES: [(&str, &str); 7] = [
    ("bf", "strong"),
    ("bfseries", "strong"),
    ("it", "em"),
    ("itshape", "em"),
    ("em", "em"),
    ("tt", "code"),
    ("ttfamily", "code"),
];

/// Commands that stand for text.
const TEXTS: [(&str, &str); 32] = [
    ("ldots", "…"),
    ("dots", "…"),
    ("textellipsis", "…"),
    ("textbackslash", "\\"),
    ("textasciitilde", "~"),
    ("textasciicircum", "^"),
    ("textless", "&lt;"),
    ("textgreater", "&gt;"),
    ("textbar", "|"),
    ("textquotesingle", "'"),
    ("textunderscore", "_"),
    ("textdegree", "°"),
    ("textendash", "–"),
    ("textemdash", "—"),
    ("LaTeX", "LaTeX"),
    ("TeX", "TeX"),
    ("S", "§"),
    ("copyright", "©"),
    ("pounds", "£"),
    ("euro", "€"),
    ("quad", " "),
    ("qquad", " "),
    ("ss", "ß"),
    ("ae", "æ"),
    ("AE", "Æ"),
    ("oe", "œ"),
    ("o", "ø"),
    ("O", "Ø"),
    ("aa", "å"),
    ("AA", "Å"),
    ("l", "ł"),
    ("i", "ı"),
];

/// Commands that say how a page looks.
const LAYOUT: [&str; 27] = [
    "noindent",
    "indent",
    "medskip",
    "bigskip",
    "smallskip",
    "centering",
    "clearpage",
    "newpage",
    "pagebreak",
    "linebreak",
    "hfill",
    "vfill",
    "tiny",
    "scriptsize",
    "footnotesize",
    "small",
    "normalsize",
    "large",
    "Large",
    "LARGE",
    "huge",
    "Huge",
    "hline",
    "toprule",
    "midrule",
    "bottomrule",
    "relax",
];

/// Layout commands whose argument goes with them.
const LAYOUT_WITH: [&str; 12] = [
    "vspace",
    "hspace",
    "label",
    "problemname",
    "cline",
    "cmidrule",
    "setlength",
    "usepackage",
    "pagestyle",
    "thispagestyle",
    "phantom",
    "vskip",
];

/// Environments that are one formula.
const FORMULAS: [&str; 10] = [
    "equation",
    "equation*",
    "align",
    "align*",
    "eqnarray",
    "eqnarray*",
    "gather",
    "gather*",
    "displaymath",
    "math",
];

fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

impl Renderer<'_> {
    /// Renders a command, after its backslash; true when it ended the flow.
    pub(super) fn command(&mut self, flow: &mut Flow, end: &End) -> Result<bool, String> {
        let letters = self.rest().len()
            - self.rest().trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        if letters == 0 {
            self.symbol(flow)?;
            return Ok(false);
        }
        let name = &self.rest()[..letters];
        self.at += letters;
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
            '(' => line.push_str(&math(self.until("\\)"), "inline")),
            '[' => line.push_str(&math(self.until("\\]"), "display")),
            ' ' | ',' | ';' | ':' | '\n' | '/' => line.push(' '),
            '-' | '!' | '@' => {}
            '\'' | '`' | '"' | '^' | '~' | '=' | '.' => {
                let combining = match c {
                    '\'' => '\u{301}',
                    '`' => '\u{300}',
                    '"' => '\u{308}',
                    '^' => '\u{302}',
                    '~' => '\u{303}',
                    '=' => '\u{304}',
                    _ => '\u{307}',
                };
                let letter = self.argument()?;
                line.push_str(&letter);
                line.push(combining);
            }
            c => line.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
        }
        Ok(())
    }

    fn named(&mut self, name: &str, flow: &mut Flow, end: &End) -> Result<bool, String> {
        if let Some(tag) = find(&WRAPPERS, name) {
            let inner = self.argument()?;
            let html = format!("<{tag}>{inner}</{tag}>");
            if tag.starts_with('h') { flow.block(&html) } else { flow.line.push_str(&html) }
        } else if let Some(tag) = find(&SWITCHES, name) {
            // The rest of the group is this switch's; so it ends where the group ends.
            let inner = self.flow(end)?;
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
        } else if LAYOUT_WITH.contains(&name) {
            self.skip_option();
            self.raw_argument();
        } else if !LAYOUT.contains(&name) {
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
            "nextsample" => flow.block(&self.placer.next()?),
            "remainingsamples" => flow.block(&self.placer.remaining()),
            "constant" => {
                let value = self.constants.get(self.raw_argument()).cloned().unwrap_or_default();
                flow.line.push_str(&escape(&value));
            }
            "url" => {
                let url = escape(self.raw_argument());
                flow.line.push_str(&format!("<a href=\"{url}\">{url}</a>"));
            }
            "href" => {
                let url = escape(self.raw_argument());
                let text = self.argument()?;
                flow.line.push_str(&format!("<a href=\"{url}\">{text}</a>"));
            }
            "verb" => {
                let mark = self.next().unwrap_or('|');
                let code = escape(self.until(mark.encode_utf8(&mut [0; 4])));
                flow.line.push_str(&format!("<code>{code}</code>"));
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
                let (_, _) = (self.raw_argument(), self.raw_argument());
                let cell = self.argument()?;
                flow.line.push_str(&cell);
            }
            "def" => {
                self.until("{");
                self.until("}");
            }
            unknown => {
                self.unknown.insert(unknown.chars().take(40).collect());
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
        if FORMULAS.contains(&name) {
            let body = self.until(&closing);
            let tex = match name {
                "displaymath" | "math" => body.to_owned(),
                name => format!("\\begin{{{name}}}{body}{closing}"),
            };
            flow.line.push_str(&math(&tex, if name == "math" { "inline" } else { "display" }));
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
                _ = self.raw_argument();
                return self.table(&closing, flow);
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
                self.unknown.insert(unknown.chars().take(40).collect());
                flow.block(&inner);
            }
        }
        Ok(())
    }

    /// Rows end at `\\`, cells at `&`; both only count outside groups.
    fn table(&mut self, closing: &str, flow: &mut Flow) -> Result<(), String> {
        let body = self.until(closing);
        let mut html = String::from("<table><tbody>");
        for row in body.split("\\\\") {
            let cells = split_cells(row);
            if cells.len() == 1 && strip_rules(cells[0]).is_empty() {
                continue;
            }
            html.push_str("<tr>");
            for cell in cells {
                let inner = self.inner(cell)?;
                html.push_str(&format!("<td>{}</td>", inner.trim()));
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table>\n");
        flow.block(&html);
        Ok(())
    }

    /// Renders a piece of the text as if it stood in a group.
    fn inner(&mut self, text: &str) -> Result<String, String> {
        let mut renderer = Renderer {
            text,
            at: 0,
            depth: self.depth,
            constants: self.constants,
            placer: super::Placer::new(&[]),
            unknown: std::collections::BTreeSet::new(),
        };
        let html = renderer.flow(&End::Brace)?;
        self.unknown.append(&mut renderer.unknown);
        Ok(html)
    }
}

/// A row without its rules.
fn strip_rules(row: &str) -> String {
    row.replace("\\hline", "").replace("\\bottomrule", "").trim().to_owned()
}

fn split_cells(row: &str) -> Vec<&str> {
    let (mut cells, mut start, mut depth, mut escaped) = (Vec::new(), 0, 0, false);
    for (at, c) in row.char_indices() {
        match c {
            '{' if !escaped => depth += 1,
            '}' if !escaped => depth -= 1,
            '&' if !escaped && depth == 0 => {
                cells.push(&row[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    cells.push(&row[start..]);
    cells
}
