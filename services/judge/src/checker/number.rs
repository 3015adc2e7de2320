//! Decimal numbers under a tolerance.

use super::decimal::Decimal;

/// By how much a number may miss; when both are given, either suffices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// `|s - a| <= absolute`.
    pub absolute: Option<f64>,
    /// `|s - a| <= relative * |a|`.
    pub relative: Option<f64>,
}

/// `[+-] digits [. digits] [e [+-] digits]`, with a digit somewhere before the exponent. Neither
/// infinities nor NaN nor hexadecimal forms are numbers.
pub(super) fn is_decimal(token: &[u8]) -> bool {
    let rest = token.strip_prefix(b"-").or(token.strip_prefix(b"+")).unwrap_or(token);
    let whole = digits(rest);
    let rest = &rest[whole..];
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => (digits(rest), &rest[digits(rest)..]),
        None => (0, rest),
    };
    if whole + fraction == 0 {
        return false;
    }
    let Some((b'e' | b'E', exponent)) = rest.split_first() else { return rest.is_empty() };
    let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

impl Tolerance {
    /// Whether `got` is close enough to `want`, which is a decimal. The error goes on a sentence that
    /// starts with `got`.
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
        // The fast way decides all but the hair's breadth where rounding could.
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

/// The nearest float; infinite when there is none, which sends the comparison the exact way.
fn float(token: &[u8]) -> f64 {
    std::str::from_utf8(token).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}
