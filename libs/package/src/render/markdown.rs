//! Markdown: CommonMark with tables, footnotes and `$` formulas.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, TextMergeStream, html};
use sha2::{Digest, Sha256};

use super::complexity::MAX_DEPTH;
use super::sanitise::sanitise;
use super::{Images, Placer, Sample, escape};

/// Prefix of markers; see [`marker_of`].
const MARKER: &str = "xAGONSAMPLE";
/// Bytes of raw HTML in a statement: a single tag can take the parser a long time.
const MAX_HTML: usize = 64 << 10;

pub fn markdown(text: &str, samples: &[Sample], images: Images<'_>) -> Result<String, String> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_MATH;
    let mut markers =
        Markers { placer: Placer::new(samples), samples: Vec::new(), marker: marker_of(text) };
    let mut guard = Guard::default();
    let mut events = Vec::new();
    for event in TextMergeStream::new(Parser::new_ext(text, options)) {
        guard.check(&event)?;
        events.push(match event {
            Event::InlineMath(tex) => math(&tex, "inline"),
            Event::DisplayMath(tex) => math(&tex, "display"),
            Event::Text(text) if guard.literal == 0 => Event::Text(markers.insert(text)?),
            Event::Html(text) => Event::Html(markers.insert(text)?),
            Event::InlineHtml(text) => Event::InlineHtml(markers.insert(text)?),
            event => event,
        });
    }
    let mut rendered = String::new();
    html::push_html(&mut rendered, events.into_iter());
    Ok(replace_markers(&sanitise(&rendered, images)?, &markers.marker, markers.samples))
}

fn math(tex: &str, kind: &str) -> Event<'static> {
    Event::InlineHtml(format!("<span class=\"math {kind}\">{}</span>", escape(tex)).into())
}

/// Stops rendering at the limits on depth and raw HTML.
#[derive(Default)]
struct Guard {
    depth: usize,
    html: usize,
    /// Open code blocks and images; their text is not searched for commands.
    literal: usize,
}

impl Guard {
    fn check(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(tag) => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(format!("is nested more than {MAX_DEPTH} levels deep"));
                }
                self.literal += usize::from(matches!(tag, Tag::CodeBlock(_) | Tag::Image { .. }));
            }
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                let literal = matches!(tag, TagEnd::CodeBlock | TagEnd::Image);
                self.literal = self.literal.saturating_sub(usize::from(literal));
            }
            Event::Html(text) | Event::InlineHtml(text) => {
                self.html += text.len();
                if self.html > MAX_HTML {
                    return Err(format!("has more than {MAX_HTML} bytes of raw HTML"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Inserts markers where samples belong, and stores the HTML of the samples in that order.
struct Markers<'s> {
    placer: Placer<'s>,
    samples: Vec<String>,
    marker: String,
}

/// Placeholder of samples while the text is rendered and sanitised: letters and digits only, so that it survives, with the
/// hash of the text, so that no text can contain it.
fn marker_of(text: &str) -> String {
    format!("{MARKER}{}x", hex::encode(Sha256::digest(text)))
}

impl Markers<'_> {
    fn insert<'t>(&mut self, text: CowStr<'t>) -> Result<CowStr<'t>, String> {
        if !text.contains("{{") {
            return Ok(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest: &str = &text;
        while let Some(at) = rest.find("{{") {
            let (before, after) = rest.split_at(at);
            out.push_str(before);
            let html;
            (html, rest) = if let Some(tail) = after.strip_prefix("{{nextsample}}") {
                (self.placer.next()?, tail)
            } else if let Some(tail) = after.strip_prefix("{{remainingsamples}}") {
                (self.placer.remaining(), tail)
            } else {
                out.push('{');
                rest = &after[1..];
                continue;
            };
            out.push_str(&format!("{}{}x", self.marker, self.samples.len()));
            self.samples.push(html);
        }
        out.push_str(rest);
        Ok(out.into())
    }
}

/// Replaces markers by samples in one pass.
fn replace_markers(clean: &str, marker: &str, mut samples: Vec<String>) -> String {
    let mut out = String::with_capacity(clean.len());
    let mut rest = clean;
    while let Some(at) = rest.find(marker) {
        out.push_str(&rest[..at]);
        rest = &rest[at + marker.len()..];
        let Some((number, tail)) = rest.split_once('x') else { continue };
        let sample = number.parse::<usize>().ok().and_then(|number| samples.get_mut(number));
        let Some(sample) = sample else { continue };
        rest = tail;
        // A paragraph cannot contain a table. Within a sentence the paragraph stays.
        if let (true, Some(tail)) = (out.ends_with("<p>"), rest.strip_prefix("</p>")) {
            out.truncate(out.len() - "<p>".len());
            rest = tail;
        }
        out.push_str(&std::mem::take(sample));
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> String {
        let sample = |n: &str| Sample {
            name: n.into(),
            input: format!("<{n}>"),
            answer: "b".into(),
            description: String::new(),
            truncated: false,
        };
        let images = |name: &str| (name == "a.png").then(|| "data:image/png;base64,AA".to_owned());
        markdown(text, &[sample("one"), sample("two")], &images).unwrap_or_else(|e| e)
    }

    #[track_caller]
    fn check(text: &str, has: &[&str], has_not: &[&str]) {
        let html = render(text);
        for part in has {
            assert!(html.contains(part), "{part:?} is not in {html}");
        }
        for part in has_not {
            assert!(!html.contains(part), "{part:?} is in {html}");
        }
    }

    #[test]
    fn formulas_stay_tex() {
        check("$a < b_1$", &[r#"<span class="math inline">a &lt; b_1</span>"#], &["<em>"]);
        check("$$x*y*z$$", &[r#"<span class="math display">x*y*z</span>"#], &["<em>"]);
    }

    #[test]
    fn tables_and_footnotes_are_rendered() {
        check("|a|b|\n|-|-|\n|1|2|\n", &["<table>", "<td>1</td>"], &[]);
        check("x[^1]\n\n[^1]: y", &["footnote-reference", "#statement-1"], &[]);
    }

    #[test]
    fn columns_are_aligned() {
        let table = "|a|b|c|\n|:-|:-:|-:|\n|1|2|3|\n";
        check(table, &["<td style=\"text-align: center\">2", "right\">3"], &[]);
        check("<td style=\"text-align: left; color: red\">x", &["x"], &["style", "red"]);
        check("<table><tr><td style=\"color:red\">x</table>", &["<td>x"], &["style", "red"]);
        check("<table><tr><td colspan=2 rowspan=65534>x</table>", &["colspan=\"2\""], &["65534"]);
    }

    #[test]
    fn deep_or_long_texts_are_refused_quickly() {
        let size = 512 << 10;
        for piece in ["> ", ">", "+ ", "1. ", "* - ", "<div>", "<div><!-- </div> -->\n\n"] {
            let html = render(&piece.repeat(size / piece.len()));
            assert!(html.contains(" deep") || html.contains("of raw HTML"), "{piece}");
        }
        assert!(render(&"<div>".repeat(12_000)).contains("deep"));
        for piece in [
            "[",
            "![",
            "](",
            "**a",
            "*a_",
            "`",
            "$",
            "$$",
            "{{",
            "{{nextsampl",
            "~~",
            "[^1]",
            "<a ",
            "|",
            "|a",
            "&",
            "\\",
            "<!--",
            "<?",
            "a\n",
            "\n\n-",
            "[a]: b\n",
            "{{remainingsamples}}",
            "${",
            "<b>",
            "[a](<b",
            "\n> -",
            "- a\n\n  ",
            "<x a=''\n",
        ] {
            // Quadratic time would let this test time out.
            let _ = render(&piece.repeat((8 << 10) / piece.len()));
        }
    }

    #[test]
    fn dangerous_html_is_removed() {
        check("<script>alert(1)</script>x", &["x"], &["script", "alert"]);
        check("<img src=x.svg onerror=alert(1)>", &[], &["onerror", "x.svg"]);
        check("[x](javascript:alert(1))", &["x"], &["javascript"]);
        check("<a href=\"data:text/html,x\">x</a>", &["x"], &["data:"]);
        check("<style>*{}</style><p style=\"position:fixed\">x", &["<p>x"], &["style", "fixed"]);
        check("<iframe src=//x></iframe>", &[], &["iframe"]);
        check("<span class=\"math evil\">x</span>", &["math"], &["evil"]);
        check("$</span><script>$", &["&lt;script&gt;"], &["<script>"]);
        check("<form action=x><input></form>", &[], &["form", "input"]);
    }

    #[test]
    fn images_come_from_the_package() {
        check("![x](a.png)", &[r#"src="data:image/png;base64,AA""#], &[]);
        check("![x](b.png)", &["<img"], &["src"]);
        check("![x](https://evil.example/a.png)", &["must be files"], &["<img"]);
        check("<img src=//evil.example/a.png>", &["must be files"], &["<img"]);
        check("<img src=data:image/png;base64,AA>", &["must be files"], &["<img"]);
    }

    #[test]
    fn samples_replace_their_commands() {
        check(
            "a\n\n{{nextsample}}\n\nb {{remainingsamples}}",
            &["&lt;one&gt;", "&lt;two&gt;"],
            &[MARKER, "<p><table>"],
        );
        check("{{nextsample}}{{nextsample}}{{nextsample}}", &["none is left"], &[]);
        check("{{remainingsamples}}{{remainingsamples}}", &["two"], &[MARKER]);
        check("`{{nextsample}}`\n\n    {{nextsample}}\n", &["<code>{{nextsample}}"], &["&lt;"]);
        check("```\n{{nextsample}}\n```\n{{{nextsample}}}", &[">{{nextsample}}", "&lt;one"], &[]);
        check("$\\frac{{a}}{{b}}$ {{other}}", &["{{other}}"], &[]);
    }
}
