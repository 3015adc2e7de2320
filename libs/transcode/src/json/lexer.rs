//! JSON text, token by token, exactly as RFC 8259 has it: no comments, no trailing commas, no lone
//! surrogates. Counts depth and elements, so that a small body cannot cost much.

use std::borrow::Cow;

use crate::number;

/// What JSON may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How deep objects and arrays may nest.
    pub depth: usize,
    /// How many values the text may hold in all.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { depth: 100, elements: 250_000 }
    }
}

/// What stands next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    Text,
    /// A digit or `-`.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

/// What is wrong with the text.
pub type Wrong = &'static str;

/// A position in a JSON text.
#[derive(Clone, Debug)]
pub struct Lexer<'j> {
    text: &'j str,
    at: usize,
    depth: usize,
    elements: usize,
    limits: Limits,
}

impl<'j> Lexer<'j> {
    /// Starts at the beginning.
    pub fn new(text: &'j str, limits: Limits) -> Self {
        Lexer { text, at: 0, depth: 0, elements: 0, limits }
    }

    /// How many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes back to where `earlier` stood. What was read since stays counted.
    pub fn rewind(&mut self, earlier: &Lexer<'j>) {
        self.at = earlier.at;
        self.depth = earlier.depth;
    }

    /// The kind of the next value.
    pub fn peek(&mut self) -> Result<Token, Wrong> {
        Ok(match self.next_byte() {
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b'"') => Token::Text,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b't' | b'f') => Token::Bool,
            Some(b'n') => Token::Null,
            Some(_) => return Err("a JSON value was expected"),
            None => return Err("the JSON text ends too early"),
        })
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<(), Wrong> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err("there is more after the JSON value"),
        }
    }

    /// Enters an object or array.
    pub fn enter(&mut self, token: Token) -> Result<(), Wrong> {
        self.count()?;
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err("the JSON text is nested too deeply");
        }
        let (open, wrong) = match token {
            Token::Array => (b'[', "an array was expected"),
            _ => (b'{', "an object was expected"),
        };
        if self.eat(open) { Ok(()) } else { Err(wrong) }
    }

    /// The next key of an object, or `None` at its end. `first` says whether it is the first.
    pub fn key(&mut self, first: bool) -> Result<Option<Cow<'j, str>>, Wrong> {
        if self.eat(b'}') {
            self.depth -= 1;
            return Ok(None);
        }
        if !first && !self.eat(b',') {
            return Err("`,` or `}` was expected");
        }
        if self.next_byte() != Some(b'"') {
            return Err("an object key in double quotes was expected");
        }
        let key = self.raw_string()?;
        if !self.eat(b':') {
            return Err("`:` was expected");
        }
        Ok(Some(key))
    }

    /// Whether another element of an array follows.
    pub fn element(&mut self, first: bool) -> Result<bool, Wrong> {
        if self.eat(b']') {
            self.depth -= 1;
            return Ok(false);
        }
        if !first && !self.eat(b',') {
            return Err("`,` or `]` was expected");
        }
        if !first && self.next_byte() == Some(b']') {
            return Err("a JSON value was expected");
        }
        Ok(true)
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<Cow<'j, str>, Wrong> {
        self.count()?;
        if self.next_byte() != Some(b'"') {
            return Err("a string was expected");
        }
        self.raw_string()
    }

    /// Reads a number, as its text.
    pub fn number(&mut self) -> Result<&'j str, Wrong> {
        self.count()?;
        self.next_byte();
        let wrong = "a number was expected";
        let length = number::json_number_length(self.rest()).ok_or(wrong)?;
        let text = &self.text[self.at..self.at + length];
        self.at += length;
        match self.rest().first() {
            Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'+' | b'-') => Err(wrong),
            _ => Ok(text),
        }
    }

    /// Reads `true` or `false`, as its text.
    pub fn boolean(&mut self) -> Result<&'static str, Wrong> {
        self.count()?;
        self.next_byte();
        ["true", "false"]
            .into_iter()
            .find(|word| self.word(word))
            .ok_or("true or false was expected")
    }

    /// Reads `null`.
    pub fn null(&mut self) -> Result<(), Wrong> {
        self.count()?;
        self.next_byte();
        if self.word("null") { Ok(()) } else { Err("null was expected") }
    }

    /// Reads over one value of any kind.
    pub fn skip(&mut self) -> Result<(), Wrong> {
        match self.peek()? {
            Token::Object => {
                self.enter(Token::Object)?;
                let mut first = true;
                while self.key(first)?.is_some() {
                    self.skip()?;
                    first = false;
                }
            }
            Token::Array => {
                self.enter(Token::Array)?;
                let mut first = true;
                while self.element(first)? {
                    self.skip()?;
                    first = false;
                }
            }
            Token::Text => drop(self.string()?),
            Token::Number => drop(self.number()?),
            Token::Bool => drop(self.boolean()?),
            Token::Null => self.null()?,
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Wrong> {
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err("the JSON text holds too many values");
        }
        Ok(())
    }

    fn rest(&self) -> &'j [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn next_byte(&mut self) -> Option<u8> {
        let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.rest().iter().take_while(blank).count();
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

    /// Reads the string whose opening quote stands next.
    fn raw_string(&mut self) -> Result<Cow<'j, str>, Wrong> {
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
                Some(_) => return Err("a string holds a raw control character"),
                None => return Err("a string is not closed"),
            }
            let start = self.at;
            self.at += self.rest().iter().take_while(plain).count();
            owned.push_str(&self.text[start..self.at]);
        }
    }

    fn escape(&mut self) -> Result<char, Wrong> {
        let wrong = "a string holds an unknown escape";
        let letter = *self.rest().get(1).ok_or("a string is not closed")?;
        self.at += 2;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(wrong),
        })
    }

    fn unicode(&mut self) -> Result<char, Wrong> {
        let lone = "a string holds half of a surrogate pair";
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

    fn hex4(&mut self) -> Result<u32, Wrong> {
        let wrong = "a \\u escape needs four hex digits";
        let digits = self.rest().get(..4).ok_or(wrong)?;
        let mut value = 0;
        for digit in digits {
            value = value * 16 + char::from(*digit).to_digit(16).ok_or(wrong)?;
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
    fn grammar() {
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
    fn depth_and_elements_are_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Lexer::new(&nested(100), Limits::default()).skip().is_ok());
        assert!(Lexer::new(&nested(101), Limits::default()).skip().is_err());
        assert!(Lexer::new(&"[".repeat(1_000_000), Limits::default()).skip().is_err());
        let many = Limits { depth: 10, elements: 3 };
        assert!(Lexer::new("[1,2]", many).skip().is_ok());
        assert!(Lexer::new("[1,2,3]", many).skip().is_err());
    }
}
