//! A strict RFC 8259 lexer: no comments, no trailing commas, no lone surrogates. Limits depth and
//! number of values.

use std::borrow::Cow;

use crate::number;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum nesting of objects and arrays.
    pub depth: usize,
    /// Maximum number of values in total.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { depth: 100, elements: 250_000 }
    }
}

/// The kind of the next value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Object,
    Array,
    Text,
    /// A digit or `-`.
    Number,
    Bool,
    Null,
}

/// An error message without its position.
pub type Reason = &'static str;

/// A position in a JSON text.
#[derive(Clone, Debug)]
pub struct Lexer<'j> {
    text: &'j str,
    at: usize,
    depth: usize,
    elements: usize,
    limits: Limits,
    /// Whether nothing was read yet in the object or array that was entered last.
    fresh: bool,
}

impl<'j> Lexer<'j> {
    pub fn new(text: &'j str, limits: Limits) -> Self {
        Lexer { text, at: 0, depth: 0, elements: 0, limits, fresh: false }
    }

    /// The byte offset in the text.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Returns to the position of `earlier`. Values read since then still count towards the limit.
    pub fn rewind(&mut self, earlier: &Lexer<'j>) {
        *self = Lexer { elements: self.elements, ..earlier.clone() };
    }

    pub fn peek(&mut self) -> Result<Token, Reason> {
        Ok(match self.next_byte() {
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b'"') => Token::Text,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b't' | b'f') => Token::Bool,
            Some(b'n') => Token::Null,
            Some(_) => return Err("expected a JSON value"),
            None => return Err("unexpected end of the JSON text"),
        })
    }

    /// Fails unless only white space follows.
    pub fn end(&mut self) -> Result<(), Reason> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err("unexpected text after the JSON value"),
        }
    }

    /// Reads the opening bracket of an object or array.
    pub fn enter(&mut self, token: Token) -> Result<(), Reason> {
        self.count()?;
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err("the JSON text is nested too deeply");
        }
        let (open, expected) = match token {
            Token::Array => (b'[', "expected an array"),
            _ => (b'{', "expected an object"),
        };
        self.fresh = true;
        if self.eat(open) { Ok(()) } else { Err(expected) }
    }

    /// Reads the next key of an object; `None` at its end.
    pub fn key(&mut self) -> Result<Option<Cow<'j, str>>, Reason> {
        let first = std::mem::take(&mut self.fresh);
        if self.eat(b'}') {
            self.depth -= 1;
            return Ok(None);
        }
        if !first && !self.eat(b',') {
            return Err("expected `,` or `}`");
        }
        if self.next_byte() != Some(b'"') {
            return Err("expected an object key in double quotes");
        }
        let key = self.raw_string()?;
        if !self.eat(b':') {
            return Err("expected `:`");
        }
        Ok(Some(key))
    }

    /// Whether the array has another element.
    pub fn element(&mut self) -> Result<bool, Reason> {
        let first = std::mem::take(&mut self.fresh);
        if self.eat(b']') {
            self.depth -= 1;
            return Ok(false);
        }
        if !first && !self.eat(b',') {
            return Err("expected `,` or `]`");
        }
        if !first && self.next_byte() == Some(b']') {
            return Err("expected a JSON value");
        }
        Ok(true)
    }

    pub fn string(&mut self) -> Result<Cow<'j, str>, Reason> {
        self.count()?;
        if self.next_byte() != Some(b'"') {
            return Err("expected a string");
        }
        self.raw_string()
    }

    /// Reads a number and returns its text.
    pub fn number(&mut self) -> Result<&'j str, Reason> {
        self.count()?;
        self.next_byte();
        let expected = "expected a number";
        let length = number::json_number_length(self.rest()).ok_or(expected)?;
        let text = &self.text[self.at..self.at + length];
        self.at += length;
        match self.rest().first() {
            Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'+' | b'-') => Err(expected),
            _ => Ok(text),
        }
    }

    /// Reads `true` or `false` and returns its text.
    pub fn boolean(&mut self) -> Result<&'static str, Reason> {
        self.count()?;
        self.next_byte();
        ["true", "false"].into_iter().find(|word| self.word(word)).ok_or("expected true or false")
    }

    pub fn null(&mut self) -> Result<(), Reason> {
        self.count()?;
        self.next_byte();
        if self.word("null") { Ok(()) } else { Err("expected null") }
    }

    /// Skips one value of any kind.
    pub fn skip(&mut self) -> Result<(), Reason> {
        match self.peek()? {
            Token::Object => {
                self.enter(Token::Object)?;
                while self.key()?.is_some() {
                    self.skip()?;
                }
            }
            Token::Array => {
                self.enter(Token::Array)?;
                while self.element()? {
                    self.skip()?;
                }
            }
            Token::Text => drop(self.string()?),
            Token::Number => drop(self.number()?),
            Token::Bool => drop(self.boolean()?),
            Token::Null => self.null()?,
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Reason> {
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err("the JSON text has too many values");
        }
        Ok(())
    }

    fn rest(&self) -> &'j [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn next_byte(&mut self) -> Option<u8> {
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.rest().iter().take_while(is_space).count();
        self.rest().first().copied()
    }

    fn eat(&mut self, expected: u8) -> bool {
        let found = self.next_byte() == Some(expected);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let after = self.rest().get(word.len());
        let found = self.rest().starts_with(word.as_bytes())
            && !after.is_some_and(u8::is_ascii_alphanumeric);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Reads a string; the next byte must be its opening quote.
    fn raw_string(&mut self) -> Result<Cow<'j, str>, Reason> {
        self.at += 1;
        let start = self.at;
        let plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
        self.at += self.rest().iter().take_while(plain).count();
        if self.rest().first() == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut owned = self.text[start..self.at].to_owned();
        loop {
            match self.rest().first() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(owned));
                }
                Some(b'\\') => owned.push(self.escape()?),
                Some(_) => return Err("control characters in a string must be escaped"),
                None => return Err("unterminated string"),
            }
            let start = self.at;
            self.at += self.rest().iter().take_while(plain).count();
            owned.push_str(&self.text[start..self.at]);
        }
    }

    fn escape(&mut self) -> Result<char, Reason> {
        let letter = *self.rest().get(1).ok_or("unterminated string")?;
        self.at += 2;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err("unknown escape in a string"),
        })
    }

    fn unicode(&mut self) -> Result<char, Reason> {
        let lone = "lone surrogate in a string";
        let first = self.hex4()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or(lone);
        }
        if first >= 0xdc00 || !self.rest().starts_with(b"\\u") {
            return Err(lone);
        }
        self.at += 2;
        let second = self.hex4()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone);
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(lone)
    }

    fn hex4(&mut self) -> Result<u32, Reason> {
        let expected = "expected four hex digits after \\u";
        let digits = self.rest().get(..4).ok_or(expected)?;
        let mut value = 0;
        for digit in digits {
            value = value * 16 + char::from(*digit).to_digit(16).ok_or(expected)?;
        }
        self.at += 4;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, valid: bool) {
        let mut lexer = Lexer::new(text, Limits::default());
        let result = lexer.skip().and_then(|()| lexer.end());
        assert_eq!(result.is_ok(), valid, "{text}: {result:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(text).is_ok(), valid, "{text}");
    }

    #[test]
    fn accepts_the_same_texts_as_serde_json() {
        for text in [
            "{}",
            "[]",
            " [ ] ",
            "[1,2]",
            "{\"a\":[{}]}",
            "\"\\u8C37\\u6b4c\"",
            "\"\\ud83d\\ude01\"",
            "-0",
            "1e5",
            "1E+5",
            "true",
            "null",
            "\"\\/\\b\\f\\n\\r\\t\\\\\\\"\"",
            "\"\u{7f}é\"",
        ] {
            check(text, true);
        }
        for text in [
            "",
            "{",
            "[",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "-",
            "nul",
            "nullx",
            "truex",
            "True",
            "NaN",
            "Infinity",
            "\"\\x\"",
            "\"\\U8C37\"",
            "\"\\u12\"",
            "\"\\uXXXX\"",
            "\"\\ude01\\ud83d\"",
            "\"\\ud83d\"",
            "\"\\ud83dx\"",
            "\"",
            "\"\\",
            "\"a\nb\"",
            "// a\n{}",
            "{/**/}",
            "{\"a\"}",
            "{\"a\":}",
            "{}}",
            "{} {}",
            "{}x",
            "[}",
            "\u{feff}{}",
            "1 1",
            "\"\0\"",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn depth_and_elements_are_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Lexer::new(&nested(100), Limits::default()).skip().is_ok());
        assert!(Lexer::new(&nested(101), Limits::default()).skip().is_err());
        assert!(Lexer::new(&"[".repeat(1_000_000), Limits::default()).skip().is_err());
        let many = Limits { depth: 10, elements: 3 };
        assert!(Lexer::new("[1,2]", many).skip().is_ok());
        assert!(Lexer::new("[1,2,3]", many).skip().is_err());
    }
}
