//! Whole packages, good and hostile, through [`read`].

use std::io::Write as _;

use super::*;

mod rules;

/// A package as a list of files.
#[derive(Clone)]
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    /// The smallest package there can be.
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

    /// With another or a changed file.
    fn with(mut self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), text.as_ref().to_vec()));
        self
    }

    /// Without a file.
    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| other != name);
        self
    }

    /// With more lines in `problem.yaml`.
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

/// Writes names that the `tar` crate would refuse to write.
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

/// A zip of stored entries, the way any tool writes it, with the mode given.
fn zip(files: &[(&[u8], u32, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, mode, bytes) in files {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let size = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let offset = u32::try_from(out.len()).unwrap().to_le_bytes();
        let name_len = u16::try_from(name.len()).unwrap().to_le_bytes();
        let crc = crc.sum().to_le_bytes();
        let common: &[&[u8]] =
            &[&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0], &crc, &size, &size, &name_len, &[0, 0]];
        out.extend_from_slice(b"PK\x03\x04");
        common.iter().for_each(|part| out.extend_from_slice(part));
        out.extend_from_slice(name);
        out.extend_from_slice(bytes);
        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        common.iter().for_each(|part| directory.extend_from_slice(part));
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&(mode << 16).to_le_bytes());
        directory.extend_from_slice(&offset);
        directory.extend_from_slice(name);
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let (size, offset) = (u32::try_from(directory.len()).unwrap(), out.len());
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count);
    out.extend_from_slice(&count);
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

fn read_with(bytes: &[u8], bounds: &Bounds) -> (tempfile::TempDir, Result<Package, Error>) {
    let dir = tempfile::tempdir().unwrap();
    let upload = dir.path().join("upload");
    std::fs::write(&upload, bytes).unwrap();
    let scratch = dir.path().join("files");
    std::fs::create_dir(&scratch).unwrap();
    let package = read(&upload, &scratch, bounds, &Maxima::default());
    (dir, package)
}

fn good(files: &Files) -> Package {
    match read_with(&files.tar(), &Bounds::default()).1 {
        Ok(package) => package,
        Err(error) => panic!("{error:?}"),
    }
}

fn problems(bytes: &[u8]) -> Vec<String> {
    match read_with(bytes, &Bounds::default()).1 {
        Ok(_) => Vec::new(),
        Err(Error::Invalid(findings)) => {
            findings.iter().map(|f| format!("{}: {}", f.file, f.text())).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

/// The package is refused, and the one line names what it must.
#[track_caller]
fn refused(files: &Files, parts: &[&str]) {
    refused_bytes(&files.tar(), parts);
}

#[track_caller]
fn refused_bytes(bytes: &[u8], parts: &[&str]) {
    let problems = problems(bytes);
    let named = problems.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(named, "{parts:?} not in {problems:?}");
}

#[test]
fn the_smallest_package() {
    let package = good(&Files::minimal());
    assert_eq!(package.metadata.names["en"], "Sum");
    assert_eq!(package.statements[0].html, "<p>Add.</p>\n");
    assert_eq!(package.data.tests[0].name, "secret/1");
    assert_eq!(package.solutions[0].program.language, "python3");
    assert_eq!(package.metadata.limits, Declared::default());
    assert!(package.findings.is_empty(), "{:?}", package.findings);
}

#[test]
fn every_archive_and_a_folder_around_it() {
    use flate2::{Compression, write::GzEncoder};
    let files = Files::minimal();
    let inside = Files(
        files.0.iter().map(|(name, bytes)| (format!("./sum/{name}"), bytes.clone())).collect(),
    );
    let (_dir, package) = read_with(&inside.tar(), &Bounds::default());
    assert_eq!(package.unwrap().name.as_deref(), Some("sum"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&inside.tar()).unwrap();
    assert!(problems(&gzip.finish().unwrap()).is_empty());
    let entries: Vec<(&[u8], u32, &[u8])> =
        inside.0.iter().map(|(n, b)| (n.as_bytes(), 0o100_644, b.as_slice())).collect();
    assert_eq!(problems(&zip(&entries)), Vec::<String>::new());
}

#[test]
fn problem_yaml_is_strict() {
    let minimal = Files::minimal();
    for (lines, parts) in [
        ("colour: red\n", ["problem.yaml: colour", "unknown key"]),
        ("limits:\n  memorry: 1\n", ["problem.yaml: limits.memorry", "unknown key"]),
        ("limits: {memory: 1.5}\n", ["limits.memory", "must be an integer"]),
        ("limits: {memory: 0}\n", ["limits.memory", "less than 1"]),
        ("limits: {memory: 999999999}\n", ["limits.memory", "more than this server"]),
        ("limits: {time_limit: 0}\n", ["limits.time_limit", "more than 0"]),
        ("limits: {time_limit: 1e9}\n", ["limits.time_limit", "more than this server"]),
        ("limits: {time_limit: fast}\n", ["limits.time_limit", "must be a number"]),
        (
            "limits: {time_multipliers: {ac_to_time_limit: 0.5}}\n",
            ["ac_to_time_limit", "at least 1"],
        ),
        ("limits: {time_multipliers: {x: 1}}\n", ["limits.time_multipliers.x", "unknown key"]),
        ("limits: {validation_passes: 2}\n", ["limits.validation_passes", "multi-pass"]),
        ("type: scoring\n", ["problem.yaml: type", "not supported yet"]),
        (
            "type: [pass-fail, interactive]\n",
            ["problem.yaml: type", "`interactive` is not supported"],
        ),
        ("type: magic\n", ["problem.yaml: type", "not a type"]),
        ("allow_file_writing: true\n", ["allow_file_writing", "not supported yet"]),
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
fn problem_yaml_in_full() {
    let yaml = "problem_format_version: 2025-09\ntype: [pass-fail]\n\
        name: {en: Sum, pt-BR: Soma}\nuuid: 8ee7605a-d1ce-47b3-be37-15de5acd757e\n\
        version: '1.2'\ncredits:\n  authors: [A B <a@b.example>, {name: C, orcid: '1'}]\n\
        \x20 translators: {pt-BR: D}\n  testers: E\nsource: [{name: S, url: 'https://s'}, T]\n\
        license: cc by-sa\nembargo_until: 2025-01-02T03:04:05Z\nkeywords: [math]\n\
        languages: all\nallow_file_writing: false\nconstants: {n: 7, e: 0.5, s: x}\n\
        limits:\n  time_multipliers: {ac_to_time_limit: 3, time_limit_to_tle: 1}\n\
        \x20 time_limit: 1.5\n  time_resolution: 0.1\n  memory: 64\n  output: 1\n  code: 1\n\
        \x20 compilation_time: 5\n  compilation_memory: 256\n  validation_time: 5\n\
        \x20 validation_memory: 256\n  validation_output: 1\n";
    let package = good(
        &Files::minimal()
            .with("problem.yaml", yaml)
            .with("statement/problem.pt-BR.md", "{{n}} {{e}} {{m}}\n")
            .with("submissions/accepted/a.py", "print({{n}})\n"),
    );
    let Metadata { authors, limits, embargo_until, .. } = &package.metadata;
    assert_eq!(authors, &["A B", "C"]);
    assert_eq!((limits.time_us, limits.resolution_us), (Some(1_500_000), 100_000));
    assert_eq!((limits.memory, limits.code), (64 << 20, 1024));
    assert_eq!(embargo_until.unwrap().to_rfc3339(), "2025-01-02T03:04:05+00:00");
    assert_eq!(package.statements[1].html, "<p>7 0.5 {{m}}</p>\n");
    assert_eq!(package.solutions[0].program.sources[0].blob.size, 9);
}

#[test]
fn statements_and_names_match() {
    let minimal = Files::minimal();
    refused(&minimal.clone().without("statement/problem.en.md"), &["statement", "no statement"]);
    let german = minimal.clone().with("statement/problem.de.md", "x\n");
    refused(&german, &["problem.yaml: name", "has no `de`"]);
    refused(
        &minimal.clone().with("statement/problem.md", "x\n"),
        &["problem.md", "must be called"],
    );
    let binary = minimal.clone().with("statement/problem.en.md", b"\xff\n");
    refused(&binary, &["statement/problem.en.md", "not UTF-8"]);
    let image = minimal.clone().with("statement/problem.en.md", "![](x.png)\n");
    refused(&image, &["statement/problem.en.md", "not in statement/"]);
    let sample = minimal.clone().with("statement/problem.en.md", "{{nextsample}}\n");
    refused(&sample, &["statement/problem.en.md", "none is left"]);
    let tex = minimal.without("statement/problem.en.md").with("statement/problem.en.tex", "$x$\n");
    assert!(good(&tex).statements[0].html.contains("math inline"));
    let pdf = tex.without("statement/problem.en.tex").with("statement/problem.en.pdf", "%PDF");
    assert!(good(&pdf).statements[0].pdf.is_some());
}

#[test]
fn tests_and_their_settings() {
    let package = good(
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
fn tests_that_are_wrong_or_not_supported() {
    let minimal = Files::minimal();
    for (file, text, parts) in [
        ("data/secret/2.in", "", ["data/secret/2.ans", "is missing"]),
        ("data/secret/2.ans", "", ["data/secret/2.ans", "has no data/secret/2.in"]),
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
        ("data/secret/g/1.in", "", ["data/secret/g", "not both"]),
        ("data/sample/g/1.in", "", ["data/sample/g", "cannot be in groups"]),
        ("data/testdata.yaml", "", ["data/testdata.yaml", "legacy"]),
        ("data/invalid_output/1.in", "", ["invalid_output/1.out", "is missing"]),
        ("output_validator/v.py", "", ["output_validator", "not supported yet"]),
        ("include/cpp/x.h", "", ["include", "not supported yet"]),
        ("input_validators/x.ctd", "", ["input_validators/x.ctd", "not supported yet"]),
        ("input_validators/v/build", "", ["input_validators/v/build", "not supported yet"]),
        ("submissions/accepted/a.xyz", "", ["submissions/accepted/a.xyz", "not supported"]),
        ("submissions/x.py", "", ["submissions/x.py", "must be in a directory"]),
        ("submissions/submissions.yaml", "x: {colour: 1}\n", ["x.colour", "unknown key"]),
        ("submissions/submissions.yaml", "x: {message: m}\n", ["x.message", "not supported"]),
        ("submissions/submissions.yaml", "x: {score: 1}\n", ["x.score", "scoring"]),
        ("submissions/submissions.yaml", "x: {permitted: [OK]}\n", ["x.permitted", "`OK`"]),
        ("submissions/submissions.yaml", "'[a]': {}\n", ["[a]", "not a pattern"]),
    ] {
        refused(&minimal.clone().with(file, text), &parts);
    }
    refused(&minimal.clone().without("data/secret/1.in"), &["data/secret", "no test"]);
    refused(
        &minimal.clone().without("input_validators/check.py"),
        &["input_validators", "missing"],
    );
    let no_solution = minimal.without("submissions/accepted/a.py");
    refused(&no_solution, &["submissions/accepted", "missing"]);
}

#[test]
fn submissions_yaml() {
    let package = good(&Files::minimal().with("submissions/wrong_answer/w/main.py", "").with(
        "submissions/submissions.yaml",
        "accepted/*.py: {language: python3, entrypoint: a.py, authors: A, model_solution: true}\n\
             wrong_answer: {permitted: [AC, WA, TLE]}\n\
             '*/w': {secret/1: {required: [WA]}, use_for_time_limit: lower}\n",
    ));
    let wrong = package.solutions.iter().find(|s| s.program.file.ends_with("/w")).unwrap();
    assert_eq!(wrong.program.entry_point, "main.py");
    assert_eq!(wrong.requirements.len(), 3, "{:?}", wrong.requirements);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let hostile = |name: &[u8], kind, link: &str, parts: &[&str]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in &Files::minimal().0 {
            add(&mut tar, name, tar::EntryType::Regular, "", bytes);
        }
        add_raw(&mut tar, name, kind, link, b"");
        refused_bytes(&tar.into_inner().unwrap(), parts);
    };
    use tar::EntryType as T;
    hostile(b"../x", T::Regular, "", &["../x", "leads out"]);
    hostile(b"data/../../x", T::Regular, "", &["data/../../x", "leads out"]);
    hostile(b"/etc/passwd", T::Regular, "", &["/etc/passwd", "absolute"]);
    hostile(b"C:/x", T::Regular, "", &["C:/x", "absolute"]);
    hostile(b"data\\x", T::Regular, "", &["data\\x", "backslash"]);
    hostile(b"data/\xff", T::Regular, "", &["data/", "not UTF-8"]);
    hostile(b"problem.yaml", T::Regular, "", &["problem.yaml", "twice"]);
    hostile(b"problem.yaml/x", T::Regular, "", &["problem.yaml/x", "below a file"]);
    hostile(b"dev", T::Char, "", &["dev", "device"]);
    hostile(b"pipe", T::Fifo, "", &["pipe", "device or pipe"]);
    hostile(b"s", T::GNUSparse, "", &["s", "not a plain file"]);
    hostile(b"l", T::Symlink, "/etc/passwd", &["l", "outside"]);
    hostile(b"l", T::Symlink, "../x", &["l", "outside"]);
    hostile(b"data/l", T::Symlink, "../../x", &["data/l", "outside"]);
    hostile(b"l", T::Symlink, "nothing", &["l", "not there"]);
    hostile(b"l", T::Symlink, "l", &["l", "circle"]);
    hostile(b"data/l", T::Symlink, "..", &["data/l", "directory around it"]);
    hostile(b"l", T::Link, "/etc/passwd", &["/etc/passwd", "absolute"]);
    hostile(b"l", T::Link, "nothing", &["l", "not there"]);
}

#[test]
fn links_inside_are_followed() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in &Files::minimal().0 {
        add(&mut tar, name, tar::EntryType::Regular, "", bytes);
    }
    let mut link = |name, target| add(&mut tar, name, tar::EntryType::Symlink, target, b"");
    link("data/secret/2.in", "1.in");
    link("data/secret/2.ans", "../secret/./1.ans");
    link("data/sample", "secret");
    let (_dir, package) = read_with(&tar.into_inner().unwrap(), &Bounds::default());
    let tests = package.unwrap().data.tests;
    assert_eq!(tests.len(), 4);
    assert_eq!(tests[0].input, tests[3].input);
}

#[test]
fn hostile_zips_are_refused() {
    let file = 0o100_644;
    refused_bytes(&zip(&[(b"../x", file, b"")]), &["../x", "leads out"]);
    refused_bytes(&zip(&[(b"a\xff", file, b"")]), &["a", "not UTF-8"]);
    refused_bytes(&zip(&[(b"a", file, b""), (b"a", file, b"")]), &["a", "twice"]);
    refused_bytes(&zip(&[(b"l", 0o120_777, b"../x")]), &["l", "outside"]);
    refused_bytes(&zip(&[(b"f", 0o010_644, b"")]), &["f", "device or pipe"]);
    let mut broken = zip(&[(b"abc", file, b"hello")]);
    broken[33] ^= 1;
    refused_bytes(&broken, &["abc", "damaged"]);
    let whole = zip(&[(b"abc", file, b"hello")]);
    for cut in 0..whole.len() {
        assert!(!problems(&whole[..cut]).is_empty());
    }
    for bytes in [&b""[..], b"PK", b"hello world", b"\x1f\x8b", b"PK\x03\x04"] {
        assert!(!problems(bytes).is_empty());
    }
}

#[test]
fn every_byte_wrong_is_no_panic() {
    let whole = zip(&[(b"abc", 0o100_644, b"hello"), (b"d/", 0o040_755, b"")]);
    for at in 0..whole.len() {
        for value in [0, 0xff, whole[at].wrapping_add(1)] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let _ = problems(&bytes);
        }
    }
    let tar = Files(vec![("abc".into(), b"hello".to_vec())]).tar();
    for at in 0..1024 {
        let mut bytes = tar.clone();
        bytes[at] ^= 0x80;
        let _ = problems(&bytes);
    }
}

#[test]
fn bombs_hit_a_bound() {
    use flate2::{Compression, write::GzEncoder};
    let bounds = Bounds { unpacked: 1 << 20, file: 1 << 19, entries: 50, ..Bounds::default() };
    let too_large = |bytes: &[u8]| match read_with(bytes, &bounds).1 {
        Err(Error::TooLarge(message)) => message,
        other => panic!("{other:?}"),
    };
    let mut big = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 4 << 20];
    big.write_all(&Files::minimal().with("data/secret/9.in", &zeros).tar()).unwrap();
    assert!(too_large(&big.finish().unwrap()).contains("data/secret/9.in"));
    let many = (0..9).fold(Files::minimal(), |files, i| {
        files.with(&format!("data/secret/{i}.in"), vec![0; 400 << 10])
    });
    assert!(too_large(&many.tar()).contains("in all"));
    let entries = (0..60).fold(Files::minimal(), |f, i| f.with(&format!("x{i}"), ""));
    assert!(too_large(&entries.tar()).contains("entries"));
    // Endless headers: a tar whose padding alone is a bomb.
    let mut padding = GzEncoder::new(Vec::new(), Compression::best());
    padding.write_all(&vec![0; 8 << 20]).unwrap();
    assert!(!problems(&padding.finish().unwrap()).is_empty());
}

#[test]
fn names_the_format_does_not_allow_are_left_out() {
    let package = good(
        &Files::minimal()
            .with(".git/config", "x")
            .with("data/secret/.hidden.in", "x")
            .with("data/secret/a b.in", "x")
            .with("__MACOSX/x", "x"),
    );
    assert_eq!(package.data.tests.len(), 1);
    assert!(package.findings.iter().any(|finding| finding.file == "data/secret/a b.in"));
}
