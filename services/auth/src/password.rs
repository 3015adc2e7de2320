//! What makes a password good enough (NIST SP 800-63B: length and a blocklist, no composition
//! rules).

use unicode_normalization::UnicodeNormalization;

/// Most code points.
pub const MAX: usize = 256;
/// More bytes than this cannot be [`MAX`] code points of anything.
const MAX_BYTES: usize = MAX * 4;

/// Common passwords and what they are made of, in lower case, sorted.
const COMMON: &str = include_str!("common_passwords.txt");

/// The form in which a password is hashed: the same whatever keyboard it was typed on.
///
/// `None` for what no password can be, which so never reaches the hash.
pub fn normalise(password: &str) -> Option<String> {
    if password.is_empty() || password.len() > MAX_BYTES {
        return None;
    }
    let normal: String = password.nfkc().collect();
    let fits = normal.chars().count() <= MAX && !normal.chars().any(char::is_control);
    fits.then_some(normal)
}

/// Checks a new password and gives its normal form. `context` holds what an attacker who knows the
/// user would try first: the username, the e-mail address, the display name.
///
/// The error says what is wrong; it never repeats the password.
pub fn check_new(password: &str, min: usize, context: &[&str]) -> Result<String, String> {
    let Some(normal) = normalise(password) else {
        return Err(format!("must have {min} to {MAX} characters and no control characters"));
    };
    if normal.chars().count() < min {
        return Err(format!("must have at least {min} characters; a sentence works well"));
    }
    let folded = simplify(&normal);
    if is_monotonous(&folded) {
        return Err("is a repetition or a sequence; choose something less regular".into());
    }
    if is_made_of_words(&folded, context) {
        let text = "is made of common passwords or of your own names; choose something unrelated";
        return Err(text.into());
    }
    Ok(normal)
}

/// Lower case, without what people put between words, digits for letters undone.
fn simplify(text: &str) -> String {
    let letters = text.chars().flat_map(char::to_lowercase).filter_map(|c| match c {
        '@' => Some('a'),
        '$' => Some('s'),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    });
    letters.collect()
}

fn unleet(text: &str) -> String {
    let letters = text.chars().map(|c| match c {
        '0' => 'o',
        '1' => 'i',
        '3' => 'e',
        '4' => 'a',
        '5' => 's',
        '7' => 't',
        c => c,
    });
    letters.collect()
}

/// `aaaaaaaaaaaaaaa`, `abcabcabcabcabc`, `1234567890123456`, `abcdefghijklmnop`.
fn is_monotonous(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let repeats = |period: usize| chars.iter().zip(&chars[period..]).all(|(a, b)| a == b);
    if chars.len() < 2 || (1..=4.min(chars.len() / 2)).any(repeats) {
        return true;
    }
    let step = |pair: &[char]| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0]));
    let first = step(&chars);
    // A sequence of digits goes round: 8901.
    let goes_on = |pair: &[char]| {
        let this = step(pair);
        this == first || (pair[0].is_ascii_digit() && this == first - first.signum() * 10)
    };
    first.abs() == 1 && chars.windows(2).all(goes_on)
}

/// Whether what is left after taking away all known words is too little to be a secret.
fn is_made_of_words(text: &str, context: &[&str]) -> bool {
    let own: Vec<String> = context
        .iter()
        .flat_map(|name| name.split(|c: char| !c.is_alphanumeric()).chain(std::iter::once(*name)))
        .map(simplify)
        .filter(|word| word.chars().count() >= 3)
        .collect();
    let leftover = |text: &str| -> usize {
        let words = COMMON.lines().chain(own.iter().map(String::as_str));
        let mut words: Vec<&str> = words.filter(|word| text.contains(word)).collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        // A mark where a word stood, so that taking it away does not make new words.
        let rest = words.iter().fold(text.to_owned(), |rest, word| rest.replace(word, "\u{0}"));
        let rest = rest.chars().filter(|c| *c != '\u{0}');
        let (digits, others): (Vec<char>, Vec<char>) = rest.partition(char::is_ascii_digit);
        // Up to eight digits are a date or a year.
        others.len() + digits.len().saturating_sub(8)
    };
    leftover(text) < 4 || leftover(&unleet(text)) < 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &[&str] = &["ada-lovelace", "ada@analytical.example", "Ada Lovelace"];

    #[track_caller]
    fn good(password: &str) {
        assert!(check_new(password, 15, CONTEXT).is_ok(), "{password}");
    }

    #[track_caller]
    fn bad(password: &str) {
        assert!(check_new(password, 15, CONTEXT).is_err(), "{password}");
    }

    #[test]
    fn sentences_and_random_text_are_good() {
        good("correct horse battery staple");
        good("vX9#kQ2!mZ7@pL4&wR");
        good("mein Hund frisst gern Quark");
        good("пароль не скажу никому");
        good("840273917562014");
        good("eine-tasse-tee-um-vier");
        good(&"xk".repeat(7).replace("kx", "zq7vu4n"));
    }

    #[test]
    fn too_short_too_long_or_not_text() {
        bad("short");
        bad("");
        bad(&"ab#1".repeat(70));
        bad("fourteen chars");
        bad("with a control\u{7} character");
        bad("with a nul \0 character in it");
        assert!(check_new("Tr0ub4dor&3x", 8, CONTEXT).is_ok());
        // 256 code points of four bytes fit, 257 do not.
        assert!(normalise(&"𝄞".repeat(256)).is_some());
        assert!(normalise(&"𝄞".repeat(257)).is_none());
    }

    #[test]
    fn regular_and_common_ones() {
        bad("aaaaaaaaaaaaaaaaaa");
        bad("abcabcabcabcabcabc");
        bad("123456789012345678");
        bad("abcdefghijklmnopqrst");
        bad("passwordpassword");
        bad("P@ssw0rd-P@ssw0rd-2024");
        bad("qwertyuiop1234567890");
        bad("letmeinletmein123");
        bad("iloveyou iloveyou!!");
    }

    #[test]
    fn ones_made_of_the_user() {
        bad("ada-lovelace-2024");
        bad("AdaLovelace12345678");
        bad("lovelace.lovelace.1815");
        bad("analyticalanalytical1");
        bad("agonagonagonagon1");
    }

    #[test]
    fn one_password_however_it_is_typed() {
        assert_eq!(normalise("ﬁne caf\u{65}\u{301}"), normalise("fine café"));
    }

    #[test]
    fn the_list_is_sorted_and_simple() {
        let words: Vec<&str> = COMMON.lines().collect();
        assert!(words.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(words.iter().all(|word| simplify(word) == *word && word.len() >= 3));
    }
}
