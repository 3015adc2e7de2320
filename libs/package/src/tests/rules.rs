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
fn plain_directories_only_sort_tests() {
    let plain = with(&[
        ("data/secret/edge/zero.in", ""),
        ("data/secret/edge/zero.ans", ""),
        ("data/secret/edge/deep/one.in", ""),
        ("data/secret/edge/deep/one.ans", ""),
        ("data/sample/easy/1.in", ""),
        ("data/sample/easy/1.ans", ""),
        ("data/secret/notes/readme.txt", ""),
    ]);
    let names: Vec<String> = valid(&plain).data.tests.into_iter().map(|test| test.name).collect();
    let expected = ["sample/easy/1", "secret/1", "secret/edge/deep/one", "secret/edge/zero"];
    assert_eq!(names, expected);
    let group = [("data/secret/g/test_group.yaml", ""), ("data/secret/g/a.in", "")];
    let beside = with(&group)
        .with("data/secret/g/a.ans", "")
        .with("data/secret/g/inner/c.in", "")
        .with("data/secret/g/inner/c.ans", "")
        .with("data/secret/plain/b.in", "")
        .with("data/secret/plain/b.ans", "")
        .without("data/secret/1.in")
        .without("data/secret/1.ans");
    assert_eq!(valid(&beside).data.tests.len(), 3);
    let deep = beside.clone().with("data/secret/g/inner/test_group.yaml", "");
    refused(&deep, &["data/secret/g/inner/test_group.yaml", "directly in data/secret"]);
    let empty = beside.with("data/secret/h/test_group.yaml", "");
    refused(&empty, &["data/secret/h", "group without a test"]);
}

#[test]
fn time_limits_are_multiples_of_the_resolution() {
    let limits = |text: &str| Files::minimal().yaml(&format!("limits: {{{text}}}\n"));
    for good in [
        "time_limit: 2",
        "time_limit: 0.3, time_resolution: 0.1",
        "time_limit: 1.5, time_resolution: 0.5",
        "time_limit: 0.007, time_resolution: 0.001",
        "time_limit: 1.1, time_resolution: 1.1",
    ] {
        let package = valid(&limits(good));
        assert!(package.findings.is_empty(), "{good}: {:?}", package.findings);
    }
    let time_limit = "problem.yaml: limits.time_limit";
    refused(
        &limits("time_limit: 1.5"),
        &[time_limit, "time_resolution (1); use a multiple such as 2"],
    );
    refused(&limits("time_limit: 0.5, time_resolution: 0.2"), &[time_limit, "such as 0.6"]);
    let package = valid(&limits("time_limit: 1.00000005, time_resolution: 0.5"));
    assert!(has_finding(&package, "problem.yaml", "limits.time_limit: is rounded"));
}

#[test]
fn interactions_belong_to_interactive_and_multi_pass_problems() {
    let sample = [("data/sample/1.in", ""), ("data/sample/1.ans", "")];
    let files = with(&sample).with("data/sample/1.interaction", "<1\n>2\n---\n<3\n");
    refused(&files, &["data/sample/1.interaction", "interactive and multi-pass problems only"]);
    for kind in ["multi-pass", "[multi-pass, interactive]", "interactive"] {
        let files = files.clone().yaml(&format!("type: {kind}\n"));
        let findings = findings(&files.tar());
        assert!(findings.iter().all(|f| f.contains("not supported yet")), "{findings:?}");
        let shown = files.with("data/sample/1.out", "");
        refused(&shown, &["data/sample/1.out", "combined with data/sample/1.interaction"]);
    }
    let passes = files.yaml("type: multi-pass\nlimits: {validation_passes: 1}\n");
    refused(&passes, &["limits.validation_passes", "less than 2"]);
    refused(
        &Files::minimal().yaml("type: [pass-fail, scoring]\n"),
        &["type", "cannot be combined"],
    );
    let scoring =
        with(&[("data/secret/test_group.yaml", "max_score: 5\n")]).yaml("type: scoring\n");
    assert_eq!(findings(&scoring.tar()).len(), 1);
}

#[test]
fn every_file_is_checked_although_problem_yaml_is_broken() {
    let files = with(&[
        ("problem.yaml", "a: [\n"),
        ("data/secret/2.in", ""),
        ("submissions/submissions.yaml", "x: {colour: 1, language: 5}\n"),
        ("data/secret/1.yaml", "input_validator_args: [[a], {b: c}]\nhint: 1\n"),
    ]);
    for parts in [
        &["problem.yaml", "not valid YAML"][..],
        &["data/secret/2.ans", "is missing"],
        &["submissions.yaml: x.colour", "unknown key"],
        &["submissions.yaml: x.language", "string"],
        &["1.yaml: input_validator_args[0]", "a sequence"],
        &["1.yaml: input_validator_args[1]", "a map"],
        &["1.yaml: hint", "a string"],
    ] {
        refused(&files, parts);
    }
}

#[test]
fn yaml_beyond_the_limits_of_the_parser_is_refused_in_plain_words() {
    let text = format!("a: [{}]\n", "1,".repeat(260_000));
    let expected = ["problem.yaml", "is too large, or too deeply nested"];
    refused(&with(&[("problem.yaml", &text)]), &expected);
}

#[test]
fn no_finding_only_follows_from_another() {
    #[track_caller]
    fn single(bytes: &[u8], file: &str, part: &str) {
        let findings = findings(bytes);
        let [only] = findings.as_slice() else { panic!("{file}: {findings:?}") };
        assert!(only.starts_with(&format!("{file}: ")) && only.contains(part), "{findings:?}");
    }
    for (name, _) in &Files::minimal().0 {
        let mut files = Files::minimal();
        files.0.push((name.clone(), Vec::new()));
        single(&files.tar(), name, "occurs twice");
    }
    let mut tar = tar::Builder::new(Vec::new());
    let twice = ("data/secret/1.in".to_owned(), Vec::new());
    for (name, bytes) in Files::minimal().0.iter().chain([&twice]) {
        add(&mut tar, name, tar::EntryType::Regular, "", bytes);
    }
    for (name, kind, target) in [
        ("data/secret/2.in", tar::EntryType::Symlink, "1.in"),
        ("data/secret/2.ans", tar::EntryType::Link, "data/secret/1.in"),
    ] {
        add(&mut tar, name, kind, target, b"");
    }
    single(&tar.into_inner().unwrap(), "data/secret/1.in", "occurs twice");

    let kotlin = |from: &str, to: &str| Files::minimal().without(from).with(to, "x");
    let validator = kotlin("input_validators/check.py", "input_validators/check.kt")
        .with("data/secret/1.yaml", "input_validator_args: {check: [x]}\n");
    let offered = "use one of c (c17), cpp (cpp20), java, javascript, python3, rust";
    single(&validator.tar(), "input_validators/check.kt", offered);
    let solution = kotlin("submissions/accepted/a.py", "submissions/accepted/a.kt")
        .with("submissions/wrong_answer/w.py", "x");
    single(&solution.tar(), "submissions/accepted/a.kt", "`kotlin` is not offered");
    for (yaml, part) in [
        ("license: x\n", "license: `x` is not one of"),
        ("license: cc0\ncredits: {authors: [{name: [x]}]}\n", "credits.authors[0].name: is"),
        ("license: cc0\nsource: {name: [x]}\n", "source.name: is"),
        ("type: multi\nlimits: {validation_passes: 2}\n", "type: `multi` is not a type"),
        ("type: [1]\nlimits: {validation_passes: 2}\n", "type[0]: is"),
    ] {
        single(&Files::minimal().yaml(yaml).tar(), "problem.yaml", part);
    }
    let yaml = "problem_format_version: 2025-09\nuuid: 8ee7605a-d1ce-47b3-be37-15de5acd757e\n";
    for (name, part) in [
        ("name: {en: 5}\n", "name.en: is"),
        ("name: {english: Sum}\n", "name.english: is not a language code"),
    ] {
        let files = with(&[("problem.yaml", &format!("{yaml}{name}"))]);
        single(&files.tar(), "problem.yaml", part);
    }
}

#[test]
fn one_solution_must_bound_the_time_limit() {
    let yaml = "accepted: {use_for_time_limit: false}\n";
    let none = with(&[("submissions/submissions.yaml", yaml)]);
    refused(&none, &["submissions", "must finish within the time limit"]);
}

#[test]
fn files_without_a_meaning_are_reported() {
    let package = valid(&with(&[
        ("data/secret/1.hint", "x"),
        ("data/secret/1.desc", "x"),
        ("data/invalid_input/x.in", "x"),
        ("data/invalid_input/x.ans", "x"),
    ]));
    assert!(has_finding(&package, "data/secret/1.hint", "key `hint` in data/secret/1.yaml"));
    assert!(has_finding(&package, "data/secret/1.desc", "key `description`"));
    assert!(has_finding(&package, "data/invalid_input/x.ans", "no answer"));
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
fn solutions_in_languages_that_are_not_offered_are_kept() {
    let package = valid(&with(&[
        ("submissions/accepted/a.kt", "fun main() {}\n"),
        ("submissions/wrong_answer/b.go", "x"),
        ("submissions/wrong_answer/c.xyz", "x"),
        ("submissions/wrong_answer/Makefile", "x"),
        ("submissions/wrong_answer/d/main.kt", "x"),
        ("submissions/wrong_answer/d/helper.py", "x"),
        ("submissions/wrong_answer/e/data.bin", "x"),
        ("submissions/wrong_answer/e/more.bin", "x"),
        ("submissions/wrong_answer/notes.txt", "x"),
        ("submissions/rejected/f/run", "#!/bin/sh\n"),
        ("submissions/rejected/f/main.cpp", "int main() {}\n"),
        ("submissions/rejected/f/test.sh", "true\n"),
        ("submissions/rejected/g.js", "console.log(1)\n"),
        ("submissions/rejected/h.rs", "fn main() {}\n"),
        ("submissions/accepted/__pycache__/a.pyc", "x"),
        ("submissions/accepted/old.pyc", "x"),
        ("submissions/accepted/big.C", "int main() {}\n"),
    ]));
    let run =
        |s: &Solution| (s.program.file["submissions/".len()..].to_owned(), s.program.language);
    let run: Vec<(String, &str)> = package.solutions.iter().map(run).collect();
    let run: Vec<(&str, &str)> = run.iter().map(|(file, id)| (file.as_str(), *id)).collect();
    assert_eq!(
        run,
        [
            ("accepted/a.py", "python3"),
            ("accepted/big.C", "cpp20"),
            ("rejected/f", "cpp20"),
            ("rejected/g.js", "javascript"),
            ("rejected/h.rs", "rust"),
        ]
    );
    for (file, part) in [
        ("accepted/a.kt", "kept, but not verified: the language `kotlin` is not offered"),
        ("wrong_answer/b.go", "`go`"),
        ("wrong_answer/c.xyz", "its ending `.xyz` is not of a language"),
        ("wrong_answer/Makefile", "not verified"),
        ("wrong_answer/d", "it mixes languages (kotlin, python3)"),
        ("wrong_answer/e", "not verified"),
    ] {
        let file = format!("submissions/{file}");
        assert!(has_finding(&package, &file, part), "{file}: {:?}", package.findings);
        let kept = package.unverified.iter().find(|kept| kept.file == file);
        assert!(kept.is_some_and(|kept| !kept.sources.is_empty()), "{file}");
    }
    assert!(has_finding(&package, "submissions/wrong_answer/notes.txt", "not a program"));
    let alone = Files::minimal()
        .without("submissions/accepted/a.py")
        .with("submissions/accepted/a.kt", "x");
    refused(&alone, &["submissions/accepted/a.kt", "`kotlin` is not offered", "python3"]);
    let mixed = with(&[("submissions/accepted/d/a.py", ""), ("submissions/accepted/d/b.java", "")]);
    refused(&mixed, &["submissions/accepted/d", "mixes languages (java, python3)", "`language`"]);
}

#[test]
fn offered_languages_are_those_of_the_server() {
    let read = |files: &Files, offered: &[&str]| {
        let mut archive = tempfile::tempfile().unwrap();
        archive.write_all(&files.tar()).unwrap();
        archive.rewind().unwrap();
        let languages = Languages::offered(offered.iter().map(|id| (*id).to_owned()));
        let scratch = tempfile::tempdir().unwrap();
        read(archive, scratch.path(), &Server { languages, ..Server::default() })
    };
    let files = with(&[("submissions/accepted/b.kt", ""), ("submissions/accepted/c.java", "")]);
    let package = read(&files, &["python3", "kotlin"]).unwrap();
    let ids: Vec<&str> = package.solutions.iter().map(|s| s.program.language).collect();
    assert_eq!(ids, ["python3", "kotlin"]);
    assert_eq!(package.unverified[0].file, "submissions/accepted/c.java");
    let Err(Error::Invalid(findings)) = read(&files, &["java"]) else { panic!() };
    let validator = "input_validators/check.py";
    assert!(findings.iter().any(|f| f.file == validator && f.message.contains("use one of java")));
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
