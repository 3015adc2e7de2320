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
fn paragraphs_and_markup_are_rendered() {
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
fn environments_are_rendered() {
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
fn images_links_and_samples_are_rendered() {
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
fn constants_are_replaced_in_text_and_formulas() {
    check("$x<\\constant{n}$", r#"<p><span class="math inline">x&lt;7</span></p>"#);
    check("\\(\\constant{n}\\)", r#"<p><span class="math inline">7</span></p>"#);
    check("$$\\constant {n}$$", r#"<p><span class="math display">7</span></p>"#);
    assert_eq!(render("\\constant{m}"), "the constant `m` is not defined");
    assert_eq!(render("$\\constant{m}$"), "the constant `m` is not defined");
}

#[test]
fn comments_do_not_change_paragraphs() {
    check("a % b\n\nc", "<p>a</p>\n<p>c</p>");
    check("a\n% b\n\nc", "<p>a</p>\n<p>c</p>");
    check("a\n% b\nc", "<p>a\nc</p>");
    check("a%\n  \nb", "<p>a</p>\n<p>b</p>");
}

#[test]
fn dollars_in_groups_do_not_end_a_formula() {
    check(
        "$a\\text{ if $x$ and }b$ c",
        r#"<p><span class="math inline">a\text{ if $x$ and }b</span> c</p>"#,
    );
    check("$\\{$ c", r#"<p><span class="math inline">\{</span> c</p>"#);
    check("$$\\text{$$}$$ c", r#"<p><span class="math display">\text{$$}</span> c</p>"#);
}

#[test]
fn tables_are_rendered() {
    let check_rows = |body: &str, rows: &str| {
        let text = format!("\\begin{{tabular}}{{|l|r|}}{body}\\end{{tabular}}");
        check(&text, &format!("<table><tbody>{rows}</tbody></table>"));
    };
    check_rows(
        "$a&b$ & \\verb|c&d| \\\\[2pt] e & f",
        "<tr><td><span class=\"math inline\">a&amp;b</span></td><td><code>c&amp;d</code></td></tr>\
         <tr><td>e</td><td>f</td></tr>",
    );
    check_rows(
        "\\multicolumn{2}{c}{a}\\\\\\hline b&c",
        "<tr><td colspan=\"2\">a</td></tr><tr><td>b</td><td>c</td></tr>",
    );
    check_rows(
        "\\multirow{2}{*}{a}&b\\\\\\cline{2-2}&c\\\\d&e",
        "<tr><td rowspan=\"2\">a</td><td>b</td></tr><tr><td>c</td></tr>\
         <tr><td>d</td><td>e</td></tr>",
    );
    let nested = render(
        "\\begin{tabular}{l}a & \\begin{tabular}{l}b \\\\ c\\end{tabular} \\\\ d\\end{tabular} e",
    );
    assert_eq!(nested.matches("<table>").count(), 2, "{nested}");
    assert!(nested.ends_with("<p>e</p>\n"), "{nested}");
}

#[test]
fn typewriter_text_is_literal() {
    check("\\texttt{a--b ``c''}--", "<p><code>a--b ``c''</code>–</p>");
    check("{\\tt a'b -- <<} `c'", "<p><code>a'b -- &lt;&lt;</code> ‘c’</p>");
    check("\\verb|a--b| \\verb*x'x", "<p><code>a--b</code> <code>'</code></p>");
}

#[test]
fn defined_commands_are_expanded() {
    check("\\newcommand{\\foo}[2]{#2-\\textbf{#1}}\\foo{a}{b}c", "<p>b-<strong>a</strong>c</p>");
    check("\\newcommand\\foo[1][x]{(#1)}\\foo \\foo[y]", "<p>(x)(y)</p>");
    check("\\def\\foo#1{<#1>}\\foo{a}\\foo b", "<p>&lt;a&gt;&lt;b&gt;</p>");
    check("\\def \\htmlPixelsInCm {45}x", "<p>x</p>");
    check(
        "\\newcommand{\\R}{\\mathbb{R}}\\DeclareMathOperator{\\gg}{gcd}$\\R\\gg x\\\\y$",
        r#"<p><span class="math inline">\mathbb{R}\operatorname{gcd} x\\y</span></p>"#,
    );
    check("\\newenvironment{foo}[1]{a}{b}x", "<p>x</p>");
    assert!(render("\\def\\a{\\a}\\a").contains("too deeply"));
    assert!(render("\\def\\a{\\a}$\\a$").contains("recursively"));
    let mut bomb = "\\def\\a{aaaaaaaaaa}".to_owned();
    for (one, other) in ["ba", "cb", "dc", "ed", "fe", "gf", "hg"].map(|p| p.split_at(1)) {
        bomb += &format!("\\def\\{one}{{{}}}", format!("\\{other}").repeat(10));
    }
    assert!(render(&format!("{bomb}\\h")).contains("too large"));
    assert!(render(&format!("{bomb}$\\h$")).contains("too large"));
}

#[test]
fn arguments_of_layout_commands_are_not_shown() {
    check("\\textcolor{red}{a} {\\color{blue}b}", "<p>a b</p>");
    check("\\setlength{\\parindent}{0pt}\\setlength\\parskip{1em}x", "<p>x</p>");
    check("\\sisetup{group-separator={,}}x\\ref{fig:a}", "<p>x</p>");
    check("\\num{1000} \\vspace*{2pt}y", "<p>1000 y</p>");
}

#[test]
fn accents_are_combining_characters() {
    check("\\c{c}\\v{s}\\k a\\r{a}\\H{o}", "<p>c\u{327}s\u{30c}a\u{328}a\u{30a}o\u{30b}</p>");
    check("\\'e\\\"{o}\\'\\i \\^{\\i}", "<p>e\u{301}o\u{308}i\u{301} i\u{302}</p>");
    check("\\L{}\\OE \\DJ", "<p>ŁŒĐ</p>");
}

#[test]
fn urls_are_unescaped() {
    assert!(
        render("\\href{https://a.b/\\%20\\_x\\#c}{d}").contains("href=\"https://a.b/%20_x#c\"")
    );
    assert!(render("\\url{https://a.b/\\~c?d\\&e}").contains(">https://a.b/~c?d&amp;e<"));
}

#[test]
fn rendering_time_is_not_quadratic() {
    for piece in [
        "${",
        "$",
        "$$",
        "\\verb|",
        "\\begin{tabular}{l}",
        "\\begin{math}",
        "%\n",
        "\\[",
        "{\\tt ",
        "\\def\\a{",
        "\\newcommand\\a[",
        "&",
        "\\\\",
        "\\'",
        "\\item",
        "\\a",
        "\\href{",
        "$\\a$ ",
        "\\begin{tabular}{l}\\end{tabular}",
        "\n",
    ] {
        // Quadratic time would let this test time out.
        let _ = render(&piece.repeat((8 << 10) / piece.len()));
    }
}

#[test]
fn malformed_text_terminates() {
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
