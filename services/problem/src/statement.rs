//! Statements: Markdown and LaTeX become sanitised HTML, with formulas left as TeX. Pure.
//!
//! Whatever a package says, the result holds no script, no style but the alignment of cells, and no address that a browser would
//! fetch by itself.

mod bounds;
mod latex;
mod markdown;
mod sanitise;

use std::fmt::Write as _;

use base64::Engine as _;
use serde::{Deserialize, Serialize};

pub use latex::latex;
pub use markdown::markdown;

/// Gives an image of the package as a `data:` address, by its name.
pub type Images<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A test that everyone may see, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The test's name.
    pub name: String,
    /// The input, or its start.
    pub input: String,
    /// The answer, or its start.
    pub answer: String,
    /// An explanation, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether input or answer were cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// Text in HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// For `data:` addresses.
pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What stands in place of a statement that is only there as a PDF.
pub fn pdf(name: &str) -> String {
    format!("<p>The statement is the attachment <code>{}</code>.</p>\n", escape(name))
}

/// Places samples where a statement asks for them.
struct Placer<'s> {
    samples: &'s [Sample],
    next: usize,
}

impl<'s> Placer<'s> {
    fn new(samples: &'s [Sample]) -> Self {
        Self { samples, next: 0 }
    }

    /// The next sample's HTML.
    fn next(&mut self) -> Result<String, String> {
        let sample =
            self.samples.get(self.next).ok_or("asks for a next sample when none is left")?;
        self.next += 1;
        Ok(table(sample, self.next))
    }

    /// All samples not placed yet.
    fn remaining(&mut self) -> String {
        let mut out = String::new();
        while let Ok(html) = self.next() {
            out.push_str(&html);
        }
        out
    }
}

fn table(sample: &Sample, number: usize) -> String {
    let (input, answer) = (escape(&sample.input), escape(&sample.answer));
    let mut out = String::from("<table><thead><tr>");
    let _ = write!(out, "<th>Sample input {number}</th><th>Sample output {number}</th>");
    let _ = write!(out, "</tr></thead><tbody><tr><td><pre>{input}</pre></td>");
    let _ = writeln!(out, "<td><pre>{answer}</pre></td></tr></tbody></table>");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces that mean something to one of the two languages.
    fn text() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "\\",
            "{",
            "}",
            "$",
            "$$",
            "%",
            "&",
            "~",
            "`",
            "'",
            "[",
            "]",
            "(",
            ")",
            "<",
            ">",
            "!",
            "\n",
            "\n\n",
            " ",
            "é",
            "a",
            "|",
            "-",
            "#",
            "*",
            "_",
            "\\begin{itemize}",
            "\\end{itemize}",
            "\\begin{tabular}{l}",
            "\\end{tabular}",
            "\\item",
            "\\textbf",
            "\\verb",
            "\\includegraphics",
            "\\href",
            "\\bf",
            "\\nextsample",
            "{{nextsample}}",
            "{{",
            "<script>",
            "<img src=x onerror=y>",
            "javascript:x",
            "\\'",
            "[^1]",
            "[^1]:",
            "```",
        ]);
        prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_text_gives_harmless_html(text in text()) {
            let none = |_: &str| None;
            let rendered = [
                markdown(&text, &[], &none).unwrap_or_default(),
                latex(&text, &std::collections::BTreeMap::new(), &[], &none)
                    .map(|latex| latex.html)
                    .unwrap_or_default(),
            ];
            for html in rendered {
                // Escaped, these are text like any other.
                prop_assert!(!html.contains("<script") && !html.contains("<img src=x"), "{html}");
                prop_assert!(!html.contains("href=\"javascript"), "{html}");
            }
        }
    }
}
