//! Markdown: CommonMark with tables, footnotes and `$`-formulas.

use pulldown_cmark::{Event, Options, Parser, html};

use super::sanitise::sanitise;
use super::{Images, Placer, Sample, escape};

/// Stands in for a sample while the text is rendered and cleaned; letters only, so that it survives.
const MARK: &str = "xAGONSAMPLEx";

/// Renders a statement.
pub fn markdown(text: &str, samples: &[Sample], images: Images<'_>) -> Result<String, String> {
    let (text, placed) = place(text, samples)?;
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_MATH;
    let events = Parser::new_ext(&text, options).map(|event| match event {
        Event::InlineMath(tex) => math(&tex, "inline"),
        Event::DisplayMath(tex) => math(&tex, "display"),
        event => event,
    });
    let mut rendered = String::new();
    html::push_html(&mut rendered, events);
    let mut clean = sanitise(&rendered, images)?;
    for (i, sample) in placed.iter().enumerate() {
        let mark = format!("{MARK}{i}x");
        let paragraph = format!("<p>{mark}</p>");
        // A statement may say it in the middle of a sentence, too.
        let place = if clean.contains(&paragraph) { paragraph } else { mark };
        clean = clean.replacen(&place, sample, 1);
    }
    Ok(clean)
}

fn math(tex: &str, kind: &str) -> Event<'static> {
    Event::InlineHtml(format!("<span class=\"math {kind}\">{}</span>", escape(tex)).into())
}

/// Puts marks where samples belong; gives the samples' HTML in the marks' order.
fn place(text: &str, samples: &[Sample]) -> Result<(String, Vec<String>), String> {
    let text = text.replace(MARK, "");
    let mut placer = Placer::new(samples);
    let (mut out, mut placed) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("{{") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let html;
        (html, rest) = if let Some(tail) = after.strip_prefix("{{nextsample}}") {
            (placer.next()?, tail)
        } else if let Some(tail) = after.strip_prefix("{{remainingsamples}}") {
            (placer.remaining(), tail)
        } else {
            out.push_str("{{");
            rest = &after[2..];
            continue;
        };
        out.push_str(&format!("{MARK}{}x", placed.len()));
        placed.push(html);
    }
    out.push_str(rest);
    Ok((out, placed))
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
    fn tables_and_footnotes() {
        check("|a|b|\n|-|-|\n|1|2|\n", &["<table>", "<td>1</td>"], &[]);
        check("x[^1]\n\n[^1]: y", &["footnote-reference", "#statement-1"], &[]);
    }

    #[test]
    fn nothing_dangerous_survives() {
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
    fn samples_in_their_places() {
        check(
            "a\n\n{{nextsample}}\n\nb {{remainingsamples}}",
            &["&lt;one&gt;", "&lt;two&gt;"],
            &[MARK, "<p><table>"],
        );
        check("{{nextsample}}{{nextsample}}{{nextsample}}", &["none is left"], &[]);
        check("{{remainingsamples}}{{remainingsamples}}", &["two"], &[MARK]);
        check("$\\frac{{a}}{{b}}$ {{other}}", &["{{other}}"], &[]);
    }
}
