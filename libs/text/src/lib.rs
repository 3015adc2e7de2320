//! Rules for text that one user writes and others see: names, titles, notes.
//!
//! Owns which characters such text may contain, and which texts look alike, by the data of Unicode.
//! Must not know fields, requests and services.

mod visible;

pub use visible::{Refusal, check_line, check_lines};

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A text that is equal for texts that look alike (the skeleton of UTS 39, without case, width and
/// accents). It is for comparisons only.
pub fn skeleton(text: &str) -> String {
    let plain = text.nfkc().collect::<String>().to_lowercase();
    let skeleton = unicode_security::skeleton(&plain).filter(|c| !is_combining_mark(*c));
    // Without case, `I` and `i` are one letter, and `I` looks like `l` and `1`.
    let one = |c| if matches!(c, 'i' | 'ı') { 'l' } else { c };
    skeleton.flat_map(char::to_lowercase).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_alike_have_one_skeleton() {
        for (one, other) in [
            ("admin", "ADMIN"),
            ("admin", "adm1n"),
            ("admin", "аdmіn"),
            ("root", "r00t"),
            ("moderator", "rnoderator"),
            ("support", "ѕuppоrt"),
            ("agon", "ag\u{200b}on"),
            ("agon", "ạgón"),
            ("support", "Ｓｕｐｐｏｒｔ"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
        assert_ne!(skeleton("admin"), skeleton("edmin"));
    }
}
