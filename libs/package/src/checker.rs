//! Arguments of the default checker, from `output_validator_args`.

use serde::{Deserialize, Serialize};

/// How the default checker compares outputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checker {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub case_sensitive: bool,
    /// White space must match exactly.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub space_change_sensitive: bool,
    /// Absolute tolerance of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute: Option<f64>,
    /// Tolerance of numbers relative to the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
}

impl Checker {
    /// Parses arguments; the error names the argument and the reason.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut checker = Self::default();
        // A flag and its value may be one string or two.
        let mut words = arguments.iter().flat_map(|argument| argument.split_ascii_whitespace());
        while let Some(word) = words.next() {
            match word {
                "case_sensitive" => checker.case_sensitive = true,
                "space_change_sensitive" => checker.space_change_sensitive = true,
                "float_absolute_tolerance" => set(&mut checker.absolute, word, words.next())?,
                "float_relative_tolerance" => set(&mut checker.relative, word, words.next())?,
                "float_tolerance" => {
                    let value = words.next();
                    set(&mut checker.absolute, word, value)?;
                    set(&mut checker.relative, word, value)?;
                }
                other => {
                    return Err(format!(
                        "`{other}` is not an argument of the default checker; expected \
                         case_sensitive, space_change_sensitive, float_absolute_tolerance E, \
                         float_relative_tolerance E or float_tolerance E"
                    ));
                }
            }
        }
        Ok(checker)
    }
}

fn set(tolerance: &mut Option<f64>, word: &str, value: Option<&str>) -> Result<(), String> {
    let value = value.ok_or_else(|| format!("`{word}` must be followed by a number"))?;
    let number = decimal(value).filter(|n| n.is_finite() && *n >= 0.0);
    let number = number.ok_or_else(|| {
        format!("`{word} {value}`: the tolerance must be a non-negative decimal number")
    })?;
    if tolerance.replace(number).is_some() {
        return Err(format!("`{word}`: the tolerance is set twice"));
    }
    Ok(())
}

/// Parses digits, point and exponent; no `inf`, `nan` or hexadecimal.
fn decimal(text: &str) -> Option<f64> {
    let is_allowed = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    text.bytes().all(is_allowed).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expected: Option<&Checker>) {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        assert_eq!(Checker::parse(&arguments).ok().as_ref(), expected, "{arguments:?}");
    }

    #[test]
    fn every_flag_is_parsed() {
        check(&[], Some(&Checker::default()));
        let both = Checker { case_sensitive: true, space_change_sensitive: true, ..default() };
        check(&["case_sensitive", "space_change_sensitive"], Some(&both));
        let tolerance = Checker { absolute: Some(1e-6), relative: Some(1e-6), ..default() };
        check(&["float_tolerance", "1e-6"], Some(&tolerance));
        check(&["float_tolerance 1e-6"], Some(&tolerance));
        check(
            &["float_absolute_tolerance", "1E-6", "float_relative_tolerance", ".000001"],
            Some(&tolerance),
        );
        check(
            &["float_relative_tolerance", "0"],
            Some(&Checker { relative: Some(0.0), ..default() }),
        );
    }

    #[test]
    fn invalid_arguments_are_refused() {
        check(&["float_tolerance"], None);
        check(&["float_tolerance", "x"], None);
        check(&["float_tolerance", "-1"], None);
        check(&["float_tolerance", "inf"], None);
        check(&["float_tolerance", "nan"], None);
        check(&["float_tolerance", "0x1p-3"], None);
        check(&["float_tolerance", "1e999"], None);
        check(&["float_tolerance", "1e-6", "float_tolerance", "1e-6"], None);
        check(&["float_tolerance", "1e-6", "float_absolute_tolerance", "1e-6"], None);
        check(&["float_relative_tolerance", "1", "float_relative_tolerance", "1"], None);
        check(&["case_insensitive"], None);
        check(&["--case_sensitive"], None);
        check(&["1e-6"], None);
    }

    fn default() -> Checker {
        Checker::default()
    }
}
