//! Examples for each rule, and a comparison with a simple checker on random texts.

use std::io::Read;

use proptest::prelude::*;

use super::{Checker, Finding, Tolerance};

fn tolerant(absolute: impl Into<Option<f64>>, relative: impl Into<Option<f64>>) -> Checker {
    let tolerance = Tolerance { absolute: absolute.into(), relative: relative.into() };
    Checker { tolerance: Some(tolerance), ..Checker::default() }
}

fn run(checker: &Checker, output: &str, answer: &str) -> Finding {
    checker.check(output.as_bytes(), answer.as_bytes()).expect("memory can be read")
}

#[track_caller]
fn accepts(checker: &Checker, output: &str, answer: &str) {
    assert_eq!(run(checker, output, answer), Finding::Accepted, "{output:?} for {answer:?}");
}

#[track_caller]
fn rejects(checker: &Checker, output: &str, answer: &str) -> String {
    match run(checker, output, answer) {
        Finding::Wrong(text) => text,
        other => panic!("{other:?}: {output:?} for {answer:?}"),
    }
}

#[test]
fn white_space_and_case_are_ignored_by_default() {
    let checker = Checker::default();
    for (output, answer) in [
        ("", ""),
        ("", " \n\t\r\n"),
        ("\n", ""),
        ("1 2 3", "1 2 3\n"),
        ("1 2 3\n\n\n", "1 2 3"),
        ("\n \u{b}\u{c}1\r\n2\t3", "1 2 3\n"),
        ("Yes", "yes"),
        ("YES\n", "yEs\n"),
    ] {
        accepts(&checker, output, answer);
    }
    for (output, answer) in [
        ("1 2", "1 2 3"),
        ("1 2 3", "1 2"),
        ("12", "1 2"),
        ("1 2", "12"),
        ("1", ""),
        ("1.0", "1"),
        ("+1", "1"),
        ("-0", "0"),
        ("a\u{a0}b", "a b"),
        ("é", "É"),
        ("1\0", "1"),
    ] {
        rejects(&checker, output, answer);
    }
}

#[test]
fn missing_output_is_reported_as_no_output() {
    for checker in [Checker::default(), tolerant(1e-6, None)] {
        assert_eq!(run(&checker, "", "1"), Finding::NoOutput);
        assert_eq!(run(&checker, " \n", "1"), Finding::NoOutput);
    }
    let sensitive = Checker { space_change_sensitive: true, ..Checker::default() };
    assert_eq!(run(&sensitive, "", "1\n"), Finding::NoOutput);
}

#[test]
fn message_describes_the_first_difference() {
    let checker = Checker::default();
    let text = rejects(&checker, "1 2\n3 5 x\n", "1 2\n3 4 x\n");
    assert_eq!(text, "line 2, token 2: got `5`, expected `4`");
    let text = rejects(&checker, "1\n", "1\n2\n");
    assert_eq!(text, "line 2, token 1: the output ends, expected `2`");
    let text = rejects(&checker, "1\n2 3", "1\n2\n");
    assert_eq!(text, "line 2, token 2: got `3`, expected the end of the output");
    let text = rejects(&checker, &"ab\u{1}".repeat(50), "a");
    assert!(text.contains("`ab\\x01") && text.contains('…') && text.len() < 200, "{text}");
    let text = rejects(&tolerant(1e-3, None), "1 2.5", "1 2");
    assert_eq!(text, "line 1, token 2: `2.5` is too far from `2` (off by 5.000e-1)");
    let text = rejects(&tolerant(1e-3, None), "1 x", "1 2");
    assert_eq!(text, "line 1, token 2: `x` is not a number, expected `2`");
}

#[test]
fn case_sensitive_rule() {
    let checker = Checker { case_sensitive: true, ..Checker::default() };
    accepts(&checker, "Yes", "Yes");
    rejects(&checker, "yes", "Yes");
}

#[test]
fn space_change_sensitive_rule() {
    let checker = Checker { space_change_sensitive: true, ..Checker::default() };
    accepts(&checker, "a b\n", "A b\n");
    for (output, answer) in [
        ("a  b\n", "a b\n"),
        ("a\tb\n", "a b\n"),
        ("a b", "a b\n"),
        ("a b\n\n", "a b\n"),
        (" a b\n", "a b\n"),
        ("a b\r\n", "a b\n"),
    ] {
        rejects(&checker, output, answer);
    }
    let text = rejects(&checker, "a\nb  c\n", "a\nb c\n");
    assert_eq!(text, "line 2, token 2: white space ` `, expected no white space");
}

#[test]
fn absolute_tolerance_applies_to_decimal_numbers() {
    let absolute = tolerant(0.001, None);
    for (output, answer) in [
        ("3.14000000e-2", "0.0314"),
        ("0.101", "0.1"),
        ("0.099", "0.1"),
        ("1", "1.001"),
        ("-0", "0"),
        ("+1", "1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1E3", "1000"),
        ("1e+3", "1000"),
        ("1e-400", "0"),
        ("yes", "YES"),
        ("NaN", "nan"),
        ("INF", "inf"),
        ("0X1P3", "0x1p3"),
        ("12345678901234567890123", "12345678901234567890123.0005"),
        ("1e400", "10e399"),
    ] {
        accepts(&absolute, output, answer);
    }
    for (output, answer) in [
        ("0.1010000000000000000001", "0.1"),
        ("nan", "1"),
        ("inf", "1"),
        ("-1", "1"),
        ("0x1", "1"),
        ("8", "0x1p3"),
        ("1e", "1"),
        ("e1", "1"),
        ("--1", "1"),
        ("1.0.0", "1"),
        ("1,0", "1"),
        ("1_0", "10"),
        (".", "1"),
        ("1d", "1"),
        ("9007199254740993", "9007199254740992"),
        ("1e400", "2e400"),
        ("1e400", "-1e400"),
        ("1e400", "1"),
        ("1", "1e400"),
    ] {
        rejects(&absolute, output, answer);
    }
}

#[test]
fn relative_tolerance_refers_to_the_answer() {
    let relative = tolerant(None, 0.1);
    accepts(&relative, "110", "100");
    accepts(&relative, "90", "100");
    accepts(&relative, "-110", "-100");
    accepts(&relative, "1.1e400", "1e400");
    accepts(&relative, "0.0", "0");
    rejects(&relative, "1.100000000000000000001e400", "1e400");
    rejects(&relative, "110.0000000000000000001", "100");
    rejects(&relative, "100", "111.2");
    rejects(&relative, "1e-300", "0");
    rejects(&relative, "1e-999999999999", "0");
    rejects(&relative, "1e99999999999999999999999999", "1");
    let either = tolerant(0.5, 0.1);
    accepts(&either, "0.5", "0");
    accepts(&either, "1100", "1000");
    rejects(&either, "1100.1", "1000");
    let none = tolerant(0.0, None);
    accepts(&none, "1.0", "1");
    rejects(&none, "1.0000000000000000000000000001", "1");
}

/// Returns a few bytes per read, to test all buffer boundaries.
struct ShortReads<'a>(&'a [u8], usize);

impl Read for ShortReads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(self.1);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn texts_and_tokens_longer_than_the_buffer() {
    let numbers = (0..200_000).fold(String::new(), format_number);
    let checker = Checker::default();
    accepts(&checker, &numbers, &numbers);
    accepts(&tolerant(1e-9, None), &numbers.replace('\n', ".0 "), &numbers);
    let text = rejects(&checker, &format!("{numbers}1"), &format!("{numbers}2"));
    assert!(text.starts_with("line 200001, token 1"), "{text}");
    let token = "x".repeat(300_000);
    accepts(&checker, &token.to_uppercase(), &token);
    rejects(&checker, &format!("{token}y"), &token);
    rejects(&checker, &token, &format!("{token}y"));
    rejects(&checker, &format!("{token}y"), &format!("{token}z"));
    accepts(&checker, &" ".repeat(300_000), "");
    rejects(&tolerant(1.0, None), &"1".repeat(100_000), "1");
}

fn format_number(mut text: String, n: u32) -> String {
    use std::fmt::Write as _;
    writeln!(text, "{n}").expect("memory");
    text
}

/// A simple implementation of the rules, without streaming.
fn simple(checker: &Checker, output: &str, answer: &str) -> bool {
    let split = |text: &str| -> Vec<String> {
        text.split([' ', '\t', '\n']).filter(|t| !t.is_empty()).map(str::to_owned).collect()
    };
    let (got, want) = (split(output), split(answer));
    let spaces = |text: &str| text.replace(|c: char| !" \t\n".contains(c), "x");
    let equal = |got: &String, want: &String| match (&checker.tolerance, want.parse::<f64>()) {
        (Some(tolerance), Ok(a)) => got.parse::<f64>().is_ok_and(|s| {
            let bound = tolerance.absolute.expect("set below");
            (s - a).abs() <= bound
        }),
        _ if checker.case_sensitive => got == want,
        _ => got.eq_ignore_ascii_case(want),
    };
    let squeezed = |text: &str| {
        let mut text = spaces(text);
        while text.contains("xx") {
            text = text.replace("xx", "x");
        }
        text
    };
    let same_space = !checker.space_change_sensitive || squeezed(output) == squeezed(answer);
    same_space && got.len() == want.len() && got.iter().zip(&want).all(|(g, w)| equal(g, w))
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        5 => prop::sample::select(vec![" ", "\n", "\t", "  "]),
        5 => prop::sample::select(vec!["1", "2", "10", "1.5", "-1", "a", "A", "bb", "aB", "x"]),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// A pair of texts that are equal or similar.
fn pair() -> impl Strategy<Value = (String, String)> {
    (text(), text(), any::<prop::sample::Index>(), 0..4).prop_map(|(a, b, at, kind)| {
        let at = at.index(a.len() + 1);
        let other = match kind {
            0 => a.clone(),
            1 => b,
            2 => format!("{}{}{}", &a[..at], " ", &a[at..]),
            _ => format!("{}{}{}", &a[..at], "1", &a[at..]),
        };
        (a, other)
    })
}

proptest! {
    #[test]
    fn agrees_with_the_simple_checker(
        (output, answer) in pair(), case in any::<bool>(), space in any::<bool>(),
        float in any::<bool>(), length in 1..9usize,
    ) {
        let tolerance = float.then_some(Tolerance { absolute: Some(0.75), relative: None });
        let checker = Checker { case_sensitive: case, space_change_sensitive: space, tolerance };
        let expected = simple(&checker, &output, &answer);
        let found = checker.check(ShortReads(output.as_bytes(), length), answer.as_bytes()).unwrap();
        prop_assert_eq!(found == Finding::Accepted, expected, "{:?} {:?}", output, answer);
    }

    #[test]
    fn every_text_matches_itself(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for (case, space) in [(false, false), (true, true)] {
            let tolerance = Some(Tolerance { absolute: Some(0.0), relative: None });
            let checker = Checker { case_sensitive: case, space_change_sensitive: space, tolerance };
            let found = checker.check(ShortReads(&bytes, 7), bytes.as_slice()).unwrap();
            prop_assert_eq!(found, Finding::Accepted);
        }
    }

    #[test]
    fn exact_arithmetic_agrees_with_floating_point(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000,
        scale in -20i32..20, tolerance in 0u32..1000) {
        let checker = tolerant(f64::from(tolerance), None);
        let shifted = |n: i64| format!("{n}e{scale}");
        let exact = (a - b).unsigned_abs() as f64 * 10f64.powi(scale) <= f64::from(tolerance);
        let margin = ((a - b).unsigned_abs() as f64 * 10f64.powi(scale) - f64::from(tolerance)).abs();
        prop_assume!(margin > 1e-6 * f64::from(tolerance));
        let found = run(&checker, &shifted(a), &shifted(b));
        prop_assert_eq!(found == Finding::Accepted, exact);
    }
}
