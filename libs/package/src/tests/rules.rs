//! Single rules of the format, each with a package that follows or breaks it.

use super::*;

/// The smallest package with additional files.
fn with(files: &[(&str, &str)]) -> Files {
    files.iter().fold(Files::minimal(), |package, (name, text)| package.with(name, text))
}

/// Whether a valid package has a finding about a file.
fn has_finding(package: &Package, file: &str, part: &str) -> bool {
    let about = |finding: &Finding| finding.file == file && finding.text().contains(part);
    package.findings.iter().any(about)
}

#[test]
fn names_and_types_are_checked() {
    let named = |name: &str| {
        let yaml = "problem_format_version: 2025-09\nuuid: 8ee7605a-d1ce-47b3-be37-15de5acd757e\n";
        Files::minimal().with("problem.yaml", format!("{yaml}name: {name}\n"))
    };
    refused(&named("{}"), &["problem.yaml: name", "is empty"]);
    refused(&named("42"), &["problem.yaml: name", "must be a string"]);
    refused(&named("{en: 42}"), &["problem.yaml: name.en", "must be a string"]);
    assert_eq!(valid(&named("'42'")).metadata.names["en"], "42");
    refused(&Files::minimal().yaml("type: [pass-fail, pass-fail]\n"), &["type", "twice"]);
}

#[test]
fn embargo_dates_have_one_spelling() {
    let until = |text: &str| Files::minimal().yaml(&format!("embargo_until: '{text}'\n"));
    for text in ["2026-02-01", "2026-02-01T12:00:00Z"] {
        assert!(valid(&until(text)).metadata.embargo_until.is_some());
    }
    for bad in
        ["2026-2-1", "2026-02-30", " 2026-02-01", "+2026-02-01", "2026-02-01T12:00:00", "20260201"]
    {
        refused(&until(bad), &["embargo_until", "must be a date"]);
    }
}

#[test]
fn restricting_languages_is_refused() {
    let languages = |text: &str| Files::minimal().yaml(&format!("languages: {text}\n"));
    valid(&languages("all"));
    refused(&languages("[cpp, python3]"), &["problem.yaml: languages", "not supported yet"]);
    refused(&languages("cpp"), &["problem.yaml: languages", "not supported yet"]);
    refused(&languages("[cpp, c++]"), &["problem.yaml: languages[1]", "`c++` is not a language"]);
    refused(&languages("[cpp, cpp]"), &["problem.yaml: languages[1]", "twice"]);
    refused(&languages("[]"), &["problem.yaml: languages", "empty"]);
}

#[test]
fn constants_and_variants_are_replaced() {
    let package = valid(
        &Files::minimal()
            .yaml("constants: {a: 1.0, b: {value: 2.50, tex: '10^{9}'}}\n")
            .with("statement/problem.en.md", "{{a}} {{b}} ${{b.tex}}$\n"),
    );
    let html = &package.statements[0].html;
    assert!(html.starts_with("<p>1.0 2.50 ") && html.contains(">10^{9}<"), "{html}");
    let tex = Files::minimal()
        .without("statement/problem.en.md")
        .with("statement/problem.en.tex", "\\constant{m}\n");
    refused(&tex, &["statement/problem.en.tex", "the constant `m` is not defined"]);
    let wrong = Files::minimal().yaml("constants: {a: [1]}\n");
    refused(&wrong, &["constants.a", "must be a number or a string"]);
}

#[test]
fn yaml_errors_mention_no_parser_internals() {
    for text in ["a: [\n", "a: b: c\n", "name: x\nname: y\n", "a: *b\n", "a: .inf\n"] {
        let findings = findings(&Files::minimal().with("problem.yaml", text).tar());
        let message = findings.join("\n").to_lowercase();
        assert!(message.contains("not valid yaml"), "{message}");
        for hint in ["option", "from_str", "rust", "serde", "deserial", "config", "`string`"] {
            assert!(!message.contains(hint), "{message}");
        }
    }
}

#[test]
fn only_groups_of_examples_have_descriptions() {
    let package = valid(&with(&[
        ("data/invalid_input/test_group.yaml", "description: d\n"),
        ("data/valid_output/test_group.yaml", "description: d\n"),
        ("data/invalid_output/test_group.yaml", "description: d\n"),
    ]));
    assert!(package.findings.is_empty(), "{:?}", package.findings);
    let group = with(&[("data/secret/test_group.yaml", "description: d\n")]);
    refused(&group, &["data/secret/test_group.yaml: description", "unknown key"]);
}

#[test]
fn every_test_group_is_checked() {
    for directory in ["sample", "invalid_input", "invalid_output", "valid_output"] {
        let file = format!("data/{directory}/test_group.yaml");
        refused(&with(&[(&file, "colour: x\n")]), &[&format!("{file}: colour"), "unknown key"]);
    }
    let names = "input_validator_args: {unknown: [x]}\n";
    for file in
        ["data/invalid_input/test_group.yaml", "data/secret/test_group.yaml", "data/secret/1.yaml"]
    {
        let finding = format!("{file}: input_validator_args.unknown");
        refused(&with(&[(file, names)]), &[&finding, "`unknown`, which does not exist"]);
    }
    valid(&with(&[("data/secret/1.yaml", "input_validator_args: {check: [x]}\n")]));
}

#[test]
fn conflicting_files_of_tests_are_refused() {
    for (files, parts) in [
        (
            [("data/secret/test_group.in", ""), ("data/secret/test_group.ans", "")],
            ["data/secret/test_group.in", "another name"],
        ),
        (
            [("data/invalid_input/a.in", ""), ("data/invalid_input/a/b.in", "")],
            ["data/invalid_input/a", "is a directory"],
        ),
        (
            [("data/secret/1.png", ""), ("data/secret/1.svg", "")],
            ["data/secret/1.svg", "one illustration"],
        ),
    ] {
        refused(&with(&files), &parts);
    }
    let sample = [("data/sample/1.in", ""), ("data/sample/1.ans", "")];
    let download = with(&sample).with("data/sample/1.in.download", "x");
    refused(&download, &["data/sample/1.in.download", "requires data/sample/1.in.statement"]);
    valid(&download.with("data/sample/1.in.statement", "y"));
}

#[test]
fn validators_are_required_and_have_unique_names() {
    let none = Files::minimal()
        .without("input_validators/check.py")
        .with("input_validators/README.md", "none\n");
    refused(&none, &["input_validators", "holds no program"]);
    let twice = with(&[("input_validators/check.cpp", "")]);
    refused(&twice, &["input_validators/check.py", "same name as input_validators/check.cpp"]);
    let package = valid(&with(&[
        ("input_validators/__pycache__/check.pyc", "x"),
        ("input_validators/other/__pycache__/check.pyc", "x"),
        ("input_validators/other/main.py", "x"),
    ]));
    assert_eq!(package.validators.len(), 2);
    assert_eq!(package.validators[1].sources.len(), 1);
}

#[test]
fn solutions_in_unsupported_languages_are_skipped() {
    let package = valid(&with(&[
        ("submissions/accepted/a.kt", "fun main() {}\n"),
        ("submissions/wrong_answer/b.go", "x"),
        ("submissions/accepted/__pycache__/a.pyc", "x"),
        ("submissions/accepted/old.pyc", "x"),
        ("submissions/accepted/big.C", "int main() {}\n"),
    ]));
    let files: Vec<&str> = package.solutions.iter().map(|s| s.program.file.as_str()).collect();
    assert_eq!(files, ["submissions/accepted/a.py", "submissions/accepted/big.C"]);
    assert_eq!(package.solutions[1].program.language, "cpp20");
    assert!(has_finding(&package, "submissions/accepted/a.kt", "skipped: the language `kotlin`"));
    assert!(has_finding(&package, "submissions/wrong_answer/b.go", "`go`"));
    let alone = Files::minimal()
        .without("submissions/accepted/a.py")
        .with("submissions/accepted/a.kt", "x");
    refused(&alone, &["submissions/accepted/a.kt", "`kotlin` is not supported yet"]);
}

#[test]
fn named_language_overrides_the_extension() {
    let yaml = "accepted/a.*: {language: python3}\naccepted/d: {language: cpp}\n";
    let package = valid(&with(&[
        ("submissions/submissions.yaml", yaml),
        ("submissions/accepted/a.py2", "print(3)\n"),
        ("submissions/accepted/a.solution", "print(3)\n"),
        ("submissions/accepted/d/x.c", "int main() {}\n"),
        ("submissions/accepted/d/notes.txt", "x"),
    ]));
    let found = |file: &str| {
        let file = format!("submissions/accepted/{file}");
        let program = &package.solutions.iter().find(|s| s.program.file == file).unwrap().program;
        let paths = program.sources.iter().map(|source| source.path.as_str());
        (program.language, paths.collect::<Vec<&str>>())
    };
    assert_eq!(found("a.py2"), ("python3", vec!["a.py"]));
    assert_eq!(found("a.solution"), ("python3", vec!["a.py"]));
    assert_eq!(found("d"), ("cpp20", vec!["notes.txt", "x.cc"]));
    let unknown = with(&[("submissions/submissions.yaml", "accepted: {language: python}\n")]);
    refused(&unknown, &["submissions/accepted/a.py", "`python` is not a language code"]);
}

#[test]
fn other_files_of_statements_are_checked() {
    let package =
        valid(&with(&[("statement/problem.png", "x"), ("statement/problem.en.svg", "x")]));
    assert_eq!(package.statements.len(), 1);
    for name in ["problem.md", "problem.tex", "problem.xx1.pdf"] {
        refused(&with(&[(&format!("statement/{name}"), "x\n")]), &[name, "must be named"]);
    }
    let pdf = Files::minimal()
        .without("statement/problem.en.md")
        .with("statement/problem.en.pdf", "%PDF");
    let twice = pdf.with("attachments/problem.en.pdf", "%PDF");
    refused(&twice, &["attachments/problem.en.pdf", "same name as the attachment"]);
}

#[test]
fn size_of_images_is_limited() {
    let image = vec![7; 3 << 20];
    let text = "![](a.png) ![](a.png) ![](./a.png)\n";
    let files = Files::minimal().with("statement/a.png", &image);
    let once = files.clone().with("statement/problem.en.md", "![](a.png)\n");
    assert!(valid(&once).statements[0].html.len() > 4 << 20);
    // Three copies of it are too much for a page, but not for the bound on images.
    let thrice = files.clone().with("statement/problem.en.md", text);
    refused(&thrice, &["statement/problem.en.md", "repetitions counted"]);
    let often = files.clone().with("statement/problem.en.md", "![](a.png)".repeat(40_000));
    refused(&often, &["statement/problem.en.md", "repetitions counted"]);
    let others =
        (0..3).fold(files, |files, i| files.with(&format!("statement/b{i}.png"), vec![i; 3 << 20]));
    let many = others.with("statement/problem.en.md", "![](b0.png)![](b1.png)![](b2.png)\n");
    refused(&many, &["statement/b2.png", "in total"]);
}

#[test]
fn deep_statements_are_refused() {
    let deep = with(&[("statement/problem.en.md", &format!("{} a\n", ">".repeat(60_000)))]);
    refused(&deep, &["statement/problem.en.md", "100 levels deep"]);
}
