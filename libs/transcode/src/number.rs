//! Exact conversion of JSON numbers.

/// Whether the whole text is a JSON number (RFC 8259: no leading zeros, no `+`, no bare dot).
pub fn is_json_number(text: &str) -> bool {
    json_number_length(text.as_bytes()) == Some(text.len()) && !text.is_empty()
}

/// The length of the JSON number at the start of the text, if there is one.
pub fn json_number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    match text.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at += digits(at),
        _ => return None,
    }
    if text.get(at) == Some(&b'.') {
        let count = digits(at + 1);
        if count == 0 {
            return None;
        }
        at += 1 + count;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let count = digits(at + 1 + sign);
        if count == 0 {
            return None;
        }
        at += 1 + sign + count;
    }
    Some(at)
}

/// The exact integer value of a JSON number such as `1e3` or `5.0`. `None` if it is not an integer
/// or exceeds every protobuf integer type.
pub fn integer(text: &str) -> Option<i128> {
    if !is_json_number(text) {
        return None;
    }
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let exponent: i64 = exponent.parse().ok()?;
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let zeros = exponent.checked_add(dropped)?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let zeros = u32::try_from(zeros).ok()?;
    if zeros > 20 || significant.len() > 20 {
        return None;
    }
    let magnitude = significant.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(zeros)?)?;
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact() {
        let integers = [
            ("0", 0),
            ("-0", 0),
            ("1e5", 100_000),
            ("100000.000", 100_000),
            ("1.5e1", 15),
            ("18446744073709551615", 18_446_744_073_709_551_615),
            ("0.0", 0),
            ("10e-1", 1),
            ("-9223372036854775808", -9_223_372_036_854_775_808),
            ("1E+2", 100),
            ("0e999999", 0),
        ];
        for (text, value) in integers {
            assert_eq!(integer(text), Some(value), "{text}");
        }
    }
}
