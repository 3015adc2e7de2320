//! Which characters a text may contain.

use icu_properties::props::{
    CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, GeneralCategory,
    GeneralCategoryGroup as Group, Ideographic, JoiningType,
};
use icu_properties::{CodePointMapData, CodePointMapDataBorrowed, CodePointSetData};

/// Why a text is refused. Completes "the text …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("must have at most {0} characters")]
    TooLong(usize),
    #[error("must not start or end with a space")]
    Untrimmed,
    #[error("must contain a letter, a digit, a punctuation mark or a symbol")]
    Blank,
    #[error("must not have more than {MAX_MARKS} combining marks on one character")]
    TooManyMarks,
    #[error(
        "must not contain control, invisible, direction-changing or unassigned characters, found U+{:04X}",
        u32::from(*.0)
    )]
    Character(char),
}

/// UTS 39, section 5.4: longer sequences of nonspacing marks cover the lines above and below.
const MAX_MARKS: usize = 4;
/// Symbols without a visible shape.
const BLANK_SYMBOLS: [char; 3] = ['\u{2800}', '\u{fffc}', '\u{1d159}'];

const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';

static CATEGORIES: CodePointMapDataBorrowed<'static, GeneralCategory> =
    CodePointMapData::<GeneralCategory>::new();

/// Checks a text of one line with at most `max` code points. An empty text is accepted.
pub fn check_line(text: &str, max: usize) -> Result<(), Refusal> {
    check(text, max, |_| false)
}

/// Checks a text that may have several lines, with at most `max` code points. An empty text is
/// accepted.
pub fn check_lines(text: &str, max: usize) -> Result<(), Refusal> {
    check(text, max, |c| matches!(c, '\n' | '\r' | '\t'))
}

fn check(text: &str, max: usize, is_layout: impl Fn(char) -> bool) -> Result<(), Refusal> {
    if text.chars().count() > max {
        return Err(Refusal::TooLong(max));
    }
    let mut before: Option<char> = None;
    let (mut marks, mut visible) = (0, text.is_empty());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if !is_layout(c) && !is_allowed(c, before, rest.peek().copied()) {
            return Err(Refusal::Character(c));
        }
        let category = CATEGORIES.get(c);
        marks = if category == GeneralCategory::NonspacingMark { marks + 1 } else { 0 };
        if marks > MAX_MARKS {
            return Err(Refusal::TooManyMarks);
        }
        visible |= is_visible(c, category);
        before = Some(c);
    }
    if !visible {
        return Err(Refusal::Blank);
    }
    if text != text.trim() {
        return Err(Refusal::Untrimmed);
    }
    Ok(())
}

fn is_visible(c: char, category: GeneralCategory) -> bool {
    const SHAPES: Group =
        Group::Letter.union(Group::Number).union(Group::Punctuation).union(Group::Symbol);
    SHAPES.contains(category) && !BLANK_SYMBOLS.contains(&c)
}

/// Whether `c` may stand between these characters.
fn is_allowed(c: char, before: Option<char>, after: Option<char>) -> bool {
    const REFUSED: Group =
        Group::Other.union(Group::LineSeparator).union(Group::ParagraphSeparator);
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c);
    if !ignorable && !REFUSED.contains(CATEGORIES.get(c)) {
        return true;
    }
    // Invisible characters that change the shape of their neighbours.
    let Some(before) = before else { return false };
    match c {
        ZWJ if joins_emoji(before) => after.is_some_and(is_emoji),
        ZWJ | ZWNJ => after.is_some() && joins_letters(before),
        '\u{fe0e}' | '\u{fe0f}' => is_emoji(before),
        '\u{e0100}'..='\u{e01ef}' => CodePointSetData::new::<Ideographic>().contains(before),
        _ => false,
    }
}

fn is_emoji(c: char) -> bool {
    !c.is_ascii() && CodePointSetData::new::<Emoji>().contains(c)
}

/// Whether an emoji sequence can continue after `c`.
fn joins_emoji(c: char) -> bool {
    is_emoji(c) || c == '\u{fe0f}'
}

/// Whether a joiner after `c` changes how letters are connected (as in UAX 31, section 2.3).
fn joins_letters(c: char) -> bool {
    let joining = CodePointMapData::<JoiningType>::new().get(c);
    let class = CodePointMapData::<CanonicalCombiningClass>::new().get(c);
    matches!(joining, JoiningType::DualJoining | JoiningType::LeftJoining)
        || class == CanonicalCombiningClass::Virama
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_all_scripts_is_accepted() {
        for good in [
            "",
            "Ada Lovelace",
            "Zoë 🎲",
            "王小明",
            "葛\u{e0100}城",
            "علی‌رضا",
            "क्\u{200d}ष",
            "שלום",
            "❤\u{fe0f}",
            "👩\u{200d}💻",
            "O’Brien-Smith, Jr.",
            "?",
            "東京\u{3000}太郎",
        ] {
            assert_eq!(check_line(good, 64), Ok(()), "{good:?}");
        }
        assert_eq!(check_lines("two\n\tlines\r\n.", 64), Ok(()));
    }

    #[test]
    fn characters_that_are_not_seen_are_refused() {
        let named = [
            '\0',
            '\n',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180e}',
            '\u{200b}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{3164}',
            '\u{e000}',
            '\u{fe00}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{ffff}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0061}',
            '\u{e007f}',
            '\u{e0100}',
            '\u{f0000}',
        ];
        for c in named {
            for text in [format!("a{c}b"), c.to_string()] {
                assert_eq!(check_line(&text, 64), Err(Refusal::Character(c)), "{text:?}");
            }
        }
        assert_eq!(check_lines("a\u{2028}b", 64), Err(Refusal::Character('\u{2028}')));
    }

    #[test]
    fn joiners_are_accepted_only_where_they_have_an_effect() {
        for bad in ["a\u{200d}b", "\u{200d}a", "a\u{200c}", "ع\u{200c}", "👩\u{200d}", "1\u{fe0f}"]
        {
            assert!(matches!(check_line(bad, 64), Err(Refusal::Character(_))), "{bad:?}");
        }
    }

    #[test]
    fn blank_and_stacked_text_is_refused() {
        for blank in ["\u{2800}", "\u{a0}", " ", "\u{3000}\u{2003}", "\u{301}", "\u{fffc}"] {
            assert_eq!(check_line(blank, 64), Err(Refusal::Blank), "{blank:?}");
        }
        assert_eq!(check_line(" a", 64), Err(Refusal::Untrimmed));
        assert_eq!(check_line("a\u{a0}", 64), Err(Refusal::Untrimmed));
        assert_eq!(check_line("aaa", 2), Err(Refusal::TooLong(2)));
        let marks = |count| format!("a{}", "\u{301}".repeat(count));
        assert_eq!(check_line(&marks(4), 64), Ok(()));
        assert_eq!(check_line(&marks(5), 64), Err(Refusal::TooManyMarks));
    }

    #[test]
    fn refusals_name_the_character() {
        let text = check_line("\u{3164}", 64).unwrap_err().to_string();
        assert!(text.ends_with("found U+3164"), "{text}");
    }
}
