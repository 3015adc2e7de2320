//! The default checker: compares the output of a program with the jury's answer, token by token.
//!
//! Owns the rules of the ICPC package format 2025-09, "Default output validator". Reads both streams with bounded
//! memory. Must not know where the streams come from.

mod decimal;
mod number;
mod stream;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

pub use number::Tolerance;
use stream::{Position, TokenReader};

/// The comparison rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checker {
    /// Whether the case of letters matters.
    pub case_sensitive: bool,
    /// Whether the kind and amount of white space matter.
    pub space_change_sensitive: bool,
    /// The tolerance for decimal numbers; `None` compares numbers as text.
    pub tolerance: Option<Tolerance>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Accepted,
    /// The output has no token, but the answer has.
    NoOutput,
    /// The output is wrong; the text describes the first difference.
    Wrong(String),
}

impl Checker {
    /// Compares `output` with `answer`. Fails only if reading fails.
    pub fn check(&self, output: impl Read, answer: impl Read) -> io::Result<Finding> {
        let (output, answer) = (TokenReader::new(output), TokenReader::new(answer));
        Comparison { rules: self, output, answer }.run()
    }

    fn same_text(&self, got: &[u8], want: &[u8]) -> bool {
        match self.case_sensitive {
            true => got == want,
            false => got.eq_ignore_ascii_case(want),
        }
    }
}

struct Comparison<'a, O, A> {
    rules: &'a Checker,
    output: TokenReader<O>,
    answer: TokenReader<A>,
}

impl<O: Read, A: Read> Comparison<'_, O, A> {
    fn run(mut self) -> io::Result<Finding> {
        loop {
            self.skip_equal()?;
            if let Some(wrong) = self.skip_space()? {
                return Ok(wrong);
            }
            match (self.output.peek()?.is_some(), self.answer.peek()?.is_some()) {
                (false, false) => return Ok(Finding::Accepted),
                (false, true) => return self.too_short(),
                (true, false) => return self.too_long(),
                (true, true) => {}
            }
            if let Some(wrong) = self.token()? {
                return Ok(wrong);
            }
        }
    }

    /// Skips equal bytes, which are correct under every rule. A fast path: most outputs are equal to the answer.
    fn skip_equal(&mut self) -> io::Result<()> {
        loop {
            let (output, answer) = (self.output.fill()?, self.answer.fill()?);
            let same = stream::common_prefix(output, answer);
            // Only complete tokens can be skipped.
            let Some(last_space) = output[..same].iter().rposition(|&byte| is_space(byte)) else {
                return Ok(());
            };
            let all = same == output.len().min(answer.len());
            self.output.advance(last_space + 1);
            self.answer.advance(last_space + 1);
            if !all {
                return Ok(());
            }
        }
    }

    fn skip_space(&mut self) -> io::Result<Option<Finding>> {
        if !self.rules.space_change_sensitive {
            self.output.skip_space()?;
            self.answer.skip_space()?;
            return Ok(None);
        }
        loop {
            let position = self.output.position();
            let got = self.output.peek()?.filter(|&byte| is_space(byte));
            let want = self.answer.peek()?.filter(|&byte| is_space(byte));
            if got != want {
                let text = format!(
                    "{position}: {}, expected {}",
                    describe_space(got),
                    describe_space(want)
                );
                return Ok(Some(Finding::Wrong(text)));
            }
            if got.is_none() {
                return Ok(None);
            }
            self.output.advance(1);
            self.answer.advance(1);
        }
    }

    fn token(&mut self) -> io::Result<Option<Finding>> {
        let (rules, position) = (self.rules, self.output.position());
        let got = self.output.piece()?;
        let want = self.answer.piece()?;
        if let Some(tolerance) = &rules.tolerance
            && want.last
            && number::is_decimal(want.bytes)
        {
            let verdict = match got.last {
                true => tolerance.compare(got.bytes, want.bytes),
                false => Err("is not a number".to_owned()),
            };
            if let Err(reason) = verdict {
                let text = format!("{position}: {} {reason}", quote(got.bytes));
                return Ok(Some(Finding::Wrong(text)));
            }
        } else if !rules.same_text(got.bytes, want.bytes) || got.last != want.last {
            let (got, want) = (quote(got.bytes), quote(want.bytes));
            return Ok(Some(Finding::Wrong(format!("{position}: got {got}, expected {want}"))));
        }
        let (got_length, got_last) = (got.bytes.len(), got.last);
        let (want_length, want_last) = (want.bytes.len(), want.last);
        self.output.advance_piece(got_length, got_last);
        self.answer.advance_piece(want_length, want_last);
        if got_last && want_last { Ok(None) } else { self.rest_of_token(position) }
    }

    /// Compares the remaining pieces of a token that is longer than the buffer, as text.
    fn rest_of_token(&mut self, position: Position) -> io::Result<Option<Finding>> {
        let rules = self.rules;
        loop {
            let (got, want) = (self.output.piece()?, self.answer.piece()?);
            if got.last != want.last || !rules.same_text(got.bytes, want.bytes) {
                let text = format!("{position}: differs after the first 32 KiB of a token");
                return Ok(Some(Finding::Wrong(text)));
            }
            let (length, last) = (got.bytes.len(), got.last);
            self.output.advance_piece(length, last);
            self.answer.advance_piece(length, last);
            if last {
                return Ok(None);
            }
        }
    }

    fn too_short(&mut self) -> io::Result<Finding> {
        if !self.output.had_token() {
            return Ok(Finding::NoOutput);
        }
        let position = self.output.position();
        let want = quote(self.answer.piece()?.bytes);
        Ok(Finding::Wrong(format!("{position}: the output ends, expected {want}")))
    }

    fn too_long(&mut self) -> io::Result<Finding> {
        let position = self.output.position();
        let got = quote(self.output.piece()?.bytes);
        Ok(Finding::Wrong(format!("{position}: got {got}, expected the end of the output")))
    }
}

/// White space as in the package format, independent of the locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// A token for messages: truncated, with non-printable bytes escaped.
fn quote(token: &[u8]) -> String {
    const MAX_SHOWN: usize = 40;
    let shown = &token[..token.len().min(MAX_SHOWN)];
    let dots = if token.len() > MAX_SHOWN { "…" } else { "" };
    format!("`{}{dots}`", shown.escape_ascii())
}

fn describe_space(byte: Option<u8>) -> String {
    byte.map_or_else(
        || "no white space".to_owned(),
        |b| format!("white space `{}`", b.escape_ascii()),
    )
}
