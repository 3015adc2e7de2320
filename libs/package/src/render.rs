//! Renders statements in Markdown and LaTeX to sanitised HTML; formulas stay TeX. Pure.
//!
//! For any input, the result has no script, no style but the alignment of cells, and no URL that a browser fetches
//! without a click.

mod complexity;
mod latex;
mod markdown;
mod sanitise;

use std::fmt::Write as _;

use base64::Engine as _;
use serde::{Deserialize, Serialize};

pub use latex::latex;
pub use markdown::markdown;

/// Returns an image of the package as a `data:` URL, by its name.
pub type Images<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A sample test as the statement shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub name: String,
    /// May be truncated.
    pub input: String,
    /// May be truncated.
    pub answer: String,
    /// May be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

fn escape(text: &str) -> String {
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

pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The HTML of a statement that exists only as a PDF.
pub fn pdf_notice(name: &str) -> String {
    format!("<p>The statement is the attachment <code>{}</code>.</p>\n", escape(name))
}

/// Inserts the samples into a statement, in order.
struct Placer<'s> {
    samples: &'s [Sample],
    next: usize,
}

impl<'s> Placer<'s> {
    fn new(samples: &'s [Sample]) -> Self {
        Self { samples, next: 0 }
    }

    fn next(&mut self) -> Result<String, String> {
        let sample =
            self.samples.get(self.next).ok_or("includes another sample, but none is left")?;
        self.next += 1;
        Ok(table(sample, self.next))
    }

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

    /// Texts of tokens with a meaning in one of the two languages.
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
        fn any_text_renders_to_harmless_html(text in text()) {
            let none = |_: &str| None;
            let rendered = [
                markdown(&text, &[], &none).unwrap_or_default(),
                latex(&text, &std::collections::BTreeMap::new(), &[], &none)
                    .map(|latex| latex.html)
                    .unwrap_or_default(),
            ];
            for html in rendered {
                // Escaped occurrences are plain text.
                prop_assert!(!html.contains("<script") && !html.contains("<img src=x"), "{html}");
                prop_assert!(!html.contains("href=\"javascript"), "{html}");
            }
        }
    }
}
