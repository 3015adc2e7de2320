//! Rules for passwords (NIST SP 800-63B): length and a blocklist, no composition rules.

use unicode_normalization::UnicodeNormalization;

/// Maximum length, in code points.
pub const MAX: usize = 256;
/// Upper bound of [`MAX`] code points in UTF-8.
const MAX_BYTES: usize = MAX * 4;

/// Common passwords and their parts, in lower case, sorted.
const COMMON: &str = include_str!("common_passwords.txt");

/// The form in which a password is hashed (NFKC), independent of the keyboard. `None` for a text
/// that cannot be a password.
pub fn normalise(password: &str) -> Option<String> {
    if password.is_empty() || password.len() > MAX_BYTES {
        return None;
    }
    let normal: String = password.nfkc().collect();
    let fits = normal.chars().count() <= MAX && !normal.chars().any(char::is_control);
    fits.then_some(normal)
}

/// Checks a new password and returns its normalised form. `context` holds words that an attacker
/// would try: the username, the e-mail address, the display name. The error never contains the
/// password.
pub fn check_new(password: &str, min: usize, context: &[&str]) -> Result<String, String> {
    let Some(normal) = normalise(password) else {
        return Err(format!("must have {min} to {MAX} characters and no control characters"));
    };
    if normal.chars().count() < min {
        return Err(format!("must have at least {min} characters; a sentence works well"));
    }
    let folded = simplify(&normal);
    if is_monotonous(&folded) {
        return Err("must not be a repetition or a sequence".into());
    }
    if is_made_of_words(&folded, context) {
        let text =
            "must not consist of common passwords or of your username, name or e-mail address";
        return Err(text.into());
    }
    Ok(normal)
}

/// Lower case, with only letters and digits; `@` and `$` become letters.
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

/// Whether it is like `aaaaaaaaaaaaaaa`, `abcabcabcabcabc`, `1234567890123456` or
/// `abcdefghijklmnop`.
fn is_monotonous(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let repeats = |period: usize| chars.iter().zip(&chars[period..]).all(|(a, b)| a == b);
    if chars.len() < 2 || (1..=4.min(chars.len() / 2)).any(repeats) {
        return true;
    }
    let step = |pair: &[char]| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0]));
    let first = step(&chars);
    // A sequence of digits wraps around: 8901.
    let continues = |pair: &[char]| {
        let this = step(pair);
        this == first || (pair[0].is_ascii_digit() && this == first - first.signum() * 10)
    };
    first.abs() == 1 && chars.windows(2).all(continues)
}

/// Whether too few characters for a secret remain after the removal of all known words.
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
        // Replace a word by a mark, so that its removal does not join the rest into new words.
        let rest = words.iter().fold(text.to_owned(), |rest, word| rest.replace(word, "\u{0}"));
        let rest = rest.chars().filter(|c| *c != '\u{0}');
        let (digits, others): (Vec<char>, Vec<char>) = rest.partition(char::is_ascii_digit);
        // Up to eight digits could be a date.
        others.len() + digits.len().saturating_sub(8)
    };
    leftover(text) < 4 || leftover(&unleet(text)) < 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &[&str] = &["ada-lovelace", "ada@analytical.example", "Ada Lovelace"];

    #[track_caller]
    fn accepted(password: &str) {
        assert!(check_new(password, 15, CONTEXT).is_ok(), "{password}");
    }

    #[track_caller]
    fn refused(password: &str) {
        assert!(check_new(password, 15, CONTEXT).is_err(), "{password}");
    }

    #[test]
    fn sentences_and_random_text_are_accepted() {
        accepted("correct horse battery staple");
        accepted("vX9#kQ2!mZ7@pL4&wR");
        accepted("mein Hund frisst gern Quark");
        accepted("пароль не скажу никому");
        accepted("840273917562014");
        accepted("eine-tasse-tee-um-vier");
        accepted(&"xk".repeat(7).replace("kx", "zq7vu4n"));
    }

    #[test]
    fn length_and_characters_are_checked() {
        refused("short");
        refused("");
        refused(&"ab#1".repeat(70));
        refused("fourteen chars");
        refused("with a control\u{7} character");
        refused("with a nul \0 character in it");
        assert!(check_new("Tr0ub4dor&3x", 8, CONTEXT).is_ok());
        // 256 code points of four bytes fit, 257 do not.
        assert!(normalise(&"𝄞".repeat(256)).is_some());
        assert!(normalise(&"𝄞".repeat(257)).is_none());
    }

    #[test]
    fn regular_and_common_passwords_are_refused() {
        refused("aaaaaaaaaaaaaaaaaa");
        refused("abcabcabcabcabcabc");
        refused("123456789012345678");
        refused("abcdefghijklmnopqrst");
        refused("passwordpassword");
        refused("P@ssw0rd-P@ssw0rd-2024");
        refused("qwertyuiop1234567890");
        refused("letmeinletmein123");
        refused("iloveyou iloveyou!!");
    }

    #[test]
    fn passwords_made_of_user_data_are_refused() {
        refused("ada-lovelace-2024");
        refused("AdaLovelace12345678");
        refused("lovelace.lovelace.1815");
        refused("analyticalanalytical1");
        refused("agonagonagonagon1");
    }

    #[test]
    fn equivalent_spellings_are_one_password() {
        assert_eq!(normalise("ﬁne caf\u{65}\u{301}"), normalise("fine café"));
    }

    #[test]
    fn the_blocklist_is_sorted_and_simplified() {
        let words: Vec<&str> = COMMON.lines().collect();
        assert!(words.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(words.iter().all(|word| simplify(word) == *word && word.len() >= 3));
    }
}
