use super::*;

fn render(text: &str) -> String {
    let images = |name: &str| (name == "a.png").then(|| "data:image/png;base64,AA".to_owned());
    let constants = BTreeMap::from([("n".to_owned(), "7".to_owned())]);
    let sample = Sample {
        name: "sample/1".into(),
        input: "<1>".into(),
        answer: "2".into(),
        description: String::new(),
        truncated: false,
    };
    latex(text, &constants, &[sample], &images).map_or_else(|e| e, |rendered| rendered.html)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(render(text).trim(), expected, "{text}");
}

#[test]
fn paragraphs_and_marks() {
    check("a\nb\n\nc % comment\nd", "<p>a\nb</p>\n<p>c d</p>");
    check("\\textbf{a} {\\it b} c", "<p><strong>a</strong> <em>b</em> c</p>");
    check("``a'' -- b --- c~d \\% \\_ \\{\\}", "<p>“a” – b — c&nbsp;d % _ {}</p>");
    check("a < b & \"c\"", "<p>a &lt; b &amp; \"c\"</p>");
    check("\\noindent\\Large x \\ldots{} y", "<p>x … y</p>");
    check("\\constant{n}", "<p>7</p>");
}

#[test]
fn formulas_stay_tex() {
    check("$a<b$ x", r#"<p><span class="math inline">a&lt;b</span> x</p>"#);
    check("$\\$1$", r#"<p><span class="math inline">\$1</span></p>"#);
    check("$$x\\\\y$$", r#"<p><span class="math display">x\\y</span></p>"#);
    check("\\[x\\]", r#"<p><span class="math display">x</span></p>"#);
}

#[test]
fn environments() {
    check(
        "\\begin{itemize}\\item a \\item b\\end{itemize}",
        "<ul><li><p>a</p>\n</li><li><p>b</p>\n</li></ul>",
    );
    check("\\section*{Input}\nx", "<h2>Input</h2><p>x</p>");
    check("\\begin{Input}x\\end{Input}", "<h2>Input</h2>\n<p>x</p>");
    check("\\begin{verbatim}\n\\a<b\n\\end{verbatim}", "<pre><code>\\a&lt;b\n</code></pre>");
    check(
        "\\begin{tabular}{|l|r|}\\hline a & {b&c} \\\\ \\hline\n1&\\textbf{2}\\\\\\hline\\end{tabular}",
        "<table><tbody><tr><td>a</td><td>b&amp;c</td></tr>\
         <tr><td>1</td><td><strong>2</strong></td></tr></tbody></table>",
    );
}

#[test]
fn images_links_samples() {
    check(
        "\\includegraphics[width=3cm]{a.png}",
        r#"<p><img src="data:image/png;base64,AA" alt=""></p>"#,
    );
    assert!(render("\\illustration{0.3}{a.png}{A \\emph{b}}").contains("<figcaption>A <em>b</em>"));
    assert!(render("\\href{javascript:x}{y}").contains(">y</a>"));
    assert!(!render("\\href{javascript:x}{y}").contains("javascript"));
    assert!(render("x \\nextsample y").contains("<pre>&lt;1&gt;</pre>"));
    assert!(render("\\nextsample\\nextsample").contains("none is left"));
}

#[test]
fn hostile_text_ends() {
    for text in [
        "{",
        "}",
        "$",
        "$$",
        "\\",
        "\\begin",
        "\\begin{",
        "\\begin{itemize}",
        "\\end{x}",
        "\\verb",
        "\\includegraphics[",
        "\\'",
        "\\def",
        "é\\é",
        "\\begin{tabular}",
        "\\item",
    ] {
        let _ = render(text);
    }
    assert!(render(&"{".repeat(100_000)).contains("too deeply"));
    assert!(render("\\unknown{x} y").contains('x'));
}
