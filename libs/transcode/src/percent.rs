//! Strict percent-decoding: `%` must be followed by two hex digits, and the decoded bytes must be
//! UTF-8, because they become protobuf strings or are parsed as text.

/// The escapes that are not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Nothing,
    /// Keeps `%2F`, which would become a separator in a value of several segments.
    Slash,
}

/// Decodes a path component; `None` if it is malformed.
pub fn decode(text: &str, keep: Keep) -> Option<String> {
    decode_bytes(text.as_bytes(), keep, false)
}

/// Decodes a component of a form-encoded query (`+` is a space); `None` if it is malformed.
pub fn decode_query(text: &str) -> Option<String> {
    decode_bytes(text.as_bytes(), Keep::Nothing, true)
}

fn decode_bytes(text: &[u8], keep: Keep, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let decoded = hex(digits[0])? << 4 | hex(digits[1])?;
                if decoded == b'/' && keep == Keep::Slash {
                    out.push(b'%');
                    out.extend_from_slice(digits);
                } else {
                    out.push(decoded);
                }
                rest = after;
            }
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_is_strict() {
        assert_eq!(decode("p%20q%2Fr", Keep::Nothing).as_deref(), Some("p q/r"));
        assert_eq!(decode("p%20q%2fr%2F", Keep::Slash).as_deref(), Some("p q%2fr%2F"));
        assert_eq!(decode("%21%23%24%26%40", Keep::Slash).as_deref(), Some("!#$&@"));
        assert_eq!(decode("a+b", Keep::Nothing).as_deref(), Some("a+b"));
        assert_eq!(decode_query("a+b%2B").as_deref(), Some("a b+"));
        for malformed in ["%", "%2", "a%2z", "%zz", "%+1", "%ff", "%c3%28"] {
            assert_eq!(decode(malformed, Keep::Nothing), None, "{malformed}");
        }
    }
}
