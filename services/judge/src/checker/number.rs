//! Comparison of decimal numbers with a tolerance.

use super::decimal::Decimal;

/// The permitted error of a number `s` for the answer `a`. If both are set, satisfying one is sufficient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// `|s - a| <= absolute`.
    pub absolute: Option<f64>,
    /// `|s - a| <= relative * |a|`.
    pub relative: Option<f64>,
}

/// Whether a token has the form `[+-] digits [. digits] [e [+-] digits]`, with a digit before the exponent. Infinity,
/// NaN and hexadecimal numbers are not decimal.
pub(super) fn is_decimal(token: &[u8]) -> bool {
    let rest = token.strip_prefix(b"-").or(token.strip_prefix(b"+")).unwrap_or(token);
    let whole = count_digits(rest);
    let rest = &rest[whole..];
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => (count_digits(rest), &rest[count_digits(rest)..]),
        None => (0, rest),
    };
    if whole + fraction == 0 {
        return false;
    }
    let Some((b'e' | b'E', exponent)) = rest.split_first() else { return rest.is_empty() };
    let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
    !exponent.is_empty() && count_digits(exponent) == exponent.len()
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

impl Tolerance {
    /// Checks whether `got` is within the tolerance of `want`, which must be decimal. The error continues a sentence
    /// that starts with `got`.
    pub(super) fn compare(&self, got: &[u8], want: &[u8]) -> Result<(), String> {
        if !is_decimal(got) {
            return Err(format!("is not a number, expected {}", super::quote(want)));
        }
        if got == want || self.accepts(got, want) {
            return Ok(());
        }
        let off = (float(got) - float(want)).abs();
        let off = if off.is_finite() { format!(" (off by {off:.3e})") } else { String::new() };
        Err(format!("is too far from {}{off}", super::quote(want)))
    }

    fn accepts(&self, got: &[u8], want: &[u8]) -> bool {
        let (s, a) = (float(got), float(want));
        if !s.is_finite() || !a.is_finite() {
            return self.accepts_exactly(got, want);
        }
        let bounds = [self.absolute, self.relative.map(|share| share * a.abs())];
        // Floating point decides unless the difference is within its rounding error of the bound.
        let error = (s.abs() + a.abs()) * 4.0 * f64::EPSILON + f64::MIN_POSITIVE;
        let difference = (s - a).abs();
        let mut close = false;
        for bound in bounds.into_iter().flatten() {
            let error = error + bound * 4.0 * f64::EPSILON;
            if difference + error <= bound {
                return true;
            }
            close |= difference - error <= bound;
        }
        close && self.accepts_exactly(got, want)
    }

    fn accepts_exactly(&self, got: &[u8], want: &[u8]) -> bool {
        let (s, a) = (Decimal::parse(got), Decimal::parse(want));
        let shortest = |value: f64| Decimal::parse(format!("{value:e}").as_bytes());
        let bounds =
            [self.absolute.map(shortest), self.relative.map(|share| shortest(share).times(&a))];
        bounds.into_iter().flatten().any(|bound| s.is_within(&bound, &a))
    }
}

/// The nearest float. Infinite if the number is too large, so that the comparison is done exactly.
fn float(token: &[u8]) -> f64 {
    std::str::from_utf8(token).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}
