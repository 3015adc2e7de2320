//! Whole packages, valid and hostile, through [`read`].

use std::io::{Seek as _, Write as _};

use super::*;

mod archives;
mod rules;

#[derive(Clone)]
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    /// The smallest valid package.
    fn minimal() -> Self {
        let yaml = "problem_format_version: 2025-09\nname: Sum\n\
                    uuid: 8ee7605a-d1ce-47b3-be37-15de5acd757e\n";
        let files = [
            ("problem.yaml", yaml),
            ("statement/problem.en.md", "Add.\n"),
            ("data/secret/1.in", "1 2\n"),
            ("data/secret/1.ans", "3\n"),
            ("input_validators/check.py", "exit(42)\n"),
            ("submissions/accepted/a.py", "print(3)\n"),
        ];
        Self(files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).to_vec())
    }

    fn with(mut self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), text.as_ref().to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| other != name);
        self
    }

    fn yaml(mut self, lines: &str) -> Self {
        self.0[0].1.extend_from_slice(lines.as_bytes());
        self
    }

    fn tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in &self.0 {
            add(&mut tar, name, tar::EntryType::Regular, "", bytes);
        }
        tar.into_inner().unwrap()
    }
}

fn add(
    tar: &mut tar::Builder<Vec<u8>>,
    name: &str,
    kind: tar::EntryType,
    link: &str,
    bytes: &[u8],
) {
    add_raw(tar, name.as_bytes(), kind, link, bytes);
}

/// Also writes names that the `tar` crate refuses to write.
fn add_raw(
    tar: &mut tar::Builder<Vec<u8>>,
    name: &[u8],
    kind: tar::EntryType,
    link: &str,
    bytes: &[u8],
) {
    let mut header = tar::Header::new_ustar();
    header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.as_ustar_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

fn read_with(
    bytes: &[u8],
    size_limits: &SizeLimits,
) -> (tempfile::TempDir, Result<Package, Error>) {
    let mut archive = tempfile::tempfile().unwrap();
    archive.write_all(bytes).unwrap();
    archive.rewind().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let server = Server { size_limits: size_limits.clone(), ..Server::default() };
    let package = read(archive, scratch.path(), &server);
    (scratch, package)
}

fn valid(files: &Files) -> Package {
    match read_with(&files.tar(), &SizeLimits::default()).1 {
        Ok(package) => package,
        Err(error) => panic!("{error:?}"),
    }
}

fn findings(bytes: &[u8]) -> Vec<String> {
    match read_with(bytes, &SizeLimits::default()).1 {
        Ok(_) => Vec::new(),
        Err(Error::Invalid(findings)) => {
            findings.iter().map(|f| format!("{}: {}", f.file, f.text())).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

/// The package is refused, and one finding contains all parts.
#[track_caller]
fn refused(files: &Files, parts: &[&str]) {
    refused_bytes(&files.tar(), parts);
}

#[track_caller]
fn refused_bytes(bytes: &[u8], parts: &[&str]) {
    let findings = findings(bytes);
    let named = findings.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(named, "{parts:?} not in {findings:?}");
}

#[test]
fn smallest_package_is_valid() {
    let package = valid(&Files::minimal());
    assert_eq!(package.metadata.names["en"], "Sum");
    assert_eq!(package.statements[0].html, "<p>Add.</p>\n");
    assert_eq!(package.data.tests[0].name, "secret/1");
    assert_eq!(package.solutions[0].program.language, "python3");
    assert_eq!(package.metadata.limits, Limits::default());
    assert!(package.findings.is_empty(), "{:?}", package.findings);
}

#[test]
fn problem_yaml_is_strict() {
    let minimal = Files::minimal();
    for (lines, parts) in [
        ("colour: red\n", ["problem.yaml: colour", "unknown key"]),
        ("limits:\n  memorry: 1\n", ["problem.yaml: limits.memorry", "unknown key"]),
        ("limits: {memory: 1.5}\n", ["limits.memory", "must be an integer"]),
        ("limits: {memory: 0}\n", ["limits.memory", "less than 1"]),
        ("limits: {memory: 999999999}\n", ["limits.memory", "exceeds the maximum"]),
        ("limits: {time_limit: 0}\n", ["limits.time_limit", "more than 0"]),
        ("limits: {time_limit: 1e9}\n", ["limits.time_limit", "exceeds the maximum"]),
        ("limits: {time_limit: fast}\n", ["limits.time_limit", "must be a number"]),
        (
            "limits: {time_multipliers: {ac_to_time_limit: 0.5}}\n",
            ["ac_to_time_limit", "between 1 and 1000"],
        ),
        ("limits: {time_multipliers: {x: 1}}\n", ["limits.time_multipliers.x", "unknown key"]),
        ("limits: {validation_passes: 2}\n", ["limits.validation_passes", "not multi-pass"]),
        ("limits: {time_limit: 1.5}\n", ["limits.time_limit", "1.5 is not a multiple"]),
        (
            "limits: {time_limit: 0.25, time_resolution: 0.1}\n",
            ["limits.time_limit", "time_resolution (0.1); use a multiple such as 0.3"],
        ),
        ("type: scoring\n", ["problem.yaml: type", "not supported yet"]),
        (
            "type: [pass-fail, interactive]\n",
            ["problem.yaml: type", "`interactive` is not supported"],
        ),
        ("type: magic\n", ["problem.yaml: type", "not a type"]),
        ("allow_file_writing: 1\n", ["allow_file_writing", "must be"]),
        ("languages: [cpp]\n", ["languages", "not supported yet"]),
        ("license: mine\n", ["license", "not one of"]),
        ("license: cc0\n", ["rights_owner", "is missing"]),
        ("license: public domain\nrights_owner: me\n", ["rights_owner", "must not be set"]),
        ("embargo_until: soon\n", ["embargo_until", "must be a date"]),
        ("credits: {writer: me}\n", ["credits.writer", "unknown key"]),
        ("source: {url: x}\n", ["source.name", "is missing"]),
        ("keywords: math\n", ["keywords", "must be a sequence"]),
        ("constants: {1x: 1}\n", ["constants.1x", "must be named"]),
        ("validation: default\n", ["validation", "unknown key"]),
        ("name: Again\n", ["problem.yaml", "not valid YAML"]),
        (": [\n", ["problem.yaml", "not valid YAML"]),
    ] {
        refused(&minimal.clone().yaml(lines), &parts);
    }
    let yaml = |text: &str| minimal.clone().with("problem.yaml", text);
    refused(&yaml("name: x\n"), &["problem_format_version", "is missing"]);
    refused(&yaml("problem_format_version: legacy\n"), &["problem_format_version", "legacy"]);
    refused(&yaml("problem_format_version: 2025-09\nname: x\n"), &["uuid", "is missing"]);
    refused(&yaml("problem_format_version: 2025-09\nuuid: x\n"), &["name", "is missing"]);
    refused(&yaml("- a\n"), &["problem.yaml", "must be a map"]);
    refused(&yaml("a: &a [*a]\n"), &["problem.yaml"]);
}

#[test]
fn every_key_of_problem_yaml_is_read() {
    let yaml = "problem_format_version: 2025-09\ntype: [pass-fail]\n\
        name: {en: Sum, pt-BR: Soma}\nuuid: 8ee7605a-d1ce-47b3-be37-15de5acd757e\n\
        version: '1.2'\ncredits:\n  authors: [A B <a@b.example>, {name: C, orcid: '1'}]\n\
        \x20 translators: {pt-BR: D}\n  testers: E\nsource: [{name: S, url: 'https://s'}, T]\n\
        license: cc by-sa\nembargo_until: 2025-01-02T03:04:05Z\nkeywords: [math]\n\
        languages: all\nallow_file_writing: true\nconstants: {n: 7, e: 0.5, s: x}\n\
        limits:\n  time_multipliers: {ac_to_time_limit: 3, time_limit_to_tle: 1}\n\
        \x20 time_limit: 1.5\n  time_resolution: 0.1\n  memory: 64\n  output: 1\n  code: 1\n\
        \x20 compilation_time: 5\n  compilation_memory: 256\n  validation_time: 5\n\
        \x20 validation_memory: 256\n  validation_output: 1\n";
    let package = valid(
        &Files::minimal()
            .with("problem.yaml", yaml)
            .with("statement/problem.pt-BR.md", "{{n}} {{e}} {{m}}\n")
            .with("submissions/accepted/a.py", "print({{n}})\n"),
    );
    let Metadata { authors, limits, embargo_until, .. } = &package.metadata;
    assert_eq!(authors, &["A B", "C"]);
    assert_eq!((limits.time_us, limits.resolution_us), (Some(1_500_000), 100_000));
    assert_eq!((limits.memory, limits.code), (64 << 20, 1024));
    assert_eq!((limits.compile_us, limits.compile_memory), (Some(5_000_000), Some(256 << 20)));
    assert!(limits.file_writing && !Limits::default().file_writing);
    assert_eq!(Limits::default().compile_us, None);
    assert_eq!(embargo_until.unwrap().to_rfc3339(), "2025-01-02T03:04:05+00:00");
    assert_eq!(package.statements[1].html, "<p>7 0.5 {{m}}</p>\n");
    assert_eq!(package.solutions[0].program.sources[0].blob.size, 9);
}

#[test]
fn statements_and_names_must_match() {
    let minimal = Files::minimal();
    refused(&minimal.clone().without("statement/problem.en.md"), &["statement", "no statement"]);
    let german = minimal.clone().with("statement/problem.de.md", "x\n");
    refused(&german, &["problem.yaml: name", "has no `de`"]);
    refused(&minimal.clone().with("statement/problem.md", "x\n"), &["problem.md", "must be named"]);
    let binary = minimal.clone().with("statement/problem.en.md", b"\xff\n");
    refused(&binary, &["statement/problem.en.md", "not UTF-8"]);
    let image = minimal.clone().with("statement/problem.en.md", "![](x.png)\n");
    refused(&image, &["statement/problem.en.md", "not in statement/"]);
    let sample = minimal.clone().with("statement/problem.en.md", "{{nextsample}}\n");
    refused(&sample, &["statement/problem.en.md", "none is left"]);
    let tex = minimal.without("statement/problem.en.md").with("statement/problem.en.tex", "$x$\n");
    assert!(valid(&tex).statements[0].html.contains("math inline"));
    let pdf = tex.without("statement/problem.en.tex").with("statement/problem.en.pdf", "%PDF");
    assert!(valid(&pdf).statements[0].pdf.is_some());
}

#[test]
fn settings_of_tests_are_merged() {
    let package = valid(
        &Files::minimal()
            .with(
                "data/secret/test_group.yaml",
                "output_validator_args: [float_tolerance, '1e-6']\n",
            )
            .with("data/secret/0.in", "")
            .with("data/secret/0.ans", "")
            .with("data/secret/0.yaml", "output_validator_args: [case_sensitive]\nhint: h\n")
            .with("data/secret/1.png", "")
            .with("data/sample/2.in", "")
            .with("data/sample/2.ans", "")
            .with("data/sample/2.out", "x")
            .with("data/sample/2.yaml", "description: d\ninput_validator_args: {check: [a, 1]}\n")
            .with("data/invalid_input/x.in", "")
            .with("data/invalid_output/y.in", "")
            .with("data/invalid_output/y.ans", "")
            .with("data/invalid_output/y.out", "1"),
    );
    let names: Vec<&str> = package.data.tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["sample/2", "secret/0", "secret/1"]);
    let [sample, zero, one] = &package.data.tests[..] else { panic!() };
    assert_eq!(sample.validator_arguments.of("check"), ["a", "1"]);
    assert_eq!((sample.description.as_str(), zero.description.as_str()), ("d", "h"));
    assert!(zero.checker.case_sensitive && zero.checker.absolute.is_none());
    assert_eq!(one.checker.absolute, Some(1e-6));
    assert_eq!(package.data.invalid_inputs[0].name, "invalid_input/x");
    assert_eq!(package.data.outputs.iter().filter(|output| output.valid).count(), 1);
}

#[test]
fn invalid_and_unsupported_files_are_refused() {
    let minimal = Files::minimal();
    for (file, text, parts) in [
        ("data/secret/2.in", "", ["data/secret/2.ans", "is missing"]),
        ("data/secret/2.ans", "", ["data/secret/2.ans", "no matching data/secret/2.in"]),
        ("data/secret/1.yaml", "args: [x]\n", ["data/secret/1.yaml: args", "not supported yet"]),
        ("data/secret/1.yaml", "colour: x\n", ["data/secret/1.yaml: colour", "unknown key"]),
        ("data/secret/1.yaml", "full_feedback: true\n", ["full_feedback", "not supported yet"]),
        ("data/secret/1.yaml", "output_validator_args: [x]\n", ["output_validator_args", "`x`"]),
        (
            "data/secret/test_group.yaml",
            "max_score: 1\n",
            ["test_group.yaml: max_score", "scoring"],
        ),
        ("data/secret/1.files/x", "", ["data/secret/1.files", "not supported yet"]),
        ("data/secret/1.interaction", "", ["1.interaction", "interactive"]),
        ("data/secret/g/test_group.yaml", "", ["data/secret/g", "not both"]),
        ("data/sample/g/test_group.yaml", "", ["data/sample/g", "cannot be in groups"]),
        ("data/testdata.yaml", "", ["data/testdata.yaml", "legacy"]),
        ("data/invalid_output/1.in", "", ["invalid_output/1.out", "is missing"]),
        ("output_validator/v.py", "", ["output_validator", "not supported yet"]),
        ("include/cpp/x.h", "", ["include", "not supported yet"]),
        ("input_validators/x.ctd", "", ["input_validators/x.ctd", "not supported yet"]),
        ("input_validators/v/build", "", ["input_validators/v/build", "not supported yet"]),
        ("submissions/x.py", "", ["submissions/x.py", "must be in a directory"]),
        ("submissions/submissions.yaml", "x: {colour: 1}\n", ["x.colour", "unknown key"]),
        ("submissions/submissions.yaml", "x: {message: m}\n", ["x.message", "not supported"]),
        ("submissions/submissions.yaml", "x: {score: 1}\n", ["x.score", "scoring"]),
        ("submissions/submissions.yaml", "x: {permitted: [OK]}\n", ["x.permitted", "`OK`"]),
        ("submissions/submissions.yaml", "'[a]': {}\n", ["[a]", "not a valid pattern"]),
    ] {
        refused(&minimal.clone().with(file, text), &parts);
    }
    let no_input = minimal.clone().without("data/secret/1.in");
    refused(&no_input, &["data/secret/1.ans", "no matching data/secret/1.in"]);
    refused(&no_input.without("data/secret/1.ans"), &["data/secret", "no test"]);
    refused(
        &minimal.clone().without("input_validators/check.py"),
        &["input_validators", "missing"],
    );
    let no_solution = minimal.without("submissions/accepted/a.py");
    refused(&no_solution, &["submissions/accepted", "missing"]);
}

#[test]
fn submissions_yaml_adds_requirements() {
    let package = valid(&Files::minimal().with("submissions/wrong_answer/w/main.py", "").with(
        "submissions/submissions.yaml",
        "accepted/*.py: {language: python3, entrypoint: a.py, authors: A, model_solution: true}\n\
             wrong_answer: {permitted: [AC, WA, TLE]}\n\
             '*/w': {secret/1: {required: [WA]}, use_for_time_limit: lower}\n",
    ));
    let wrong = package.solutions.iter().find(|s| s.program.file.ends_with("/w")).unwrap();
    assert_eq!(wrong.program.entry_point, "main.py");
    assert_eq!(wrong.requirements.len(), 3, "{:?}", wrong.requirements);
}
