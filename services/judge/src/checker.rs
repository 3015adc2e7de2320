//! The default checker: compares a program's output with the jury's answer, token by token.
//!
//! Owns the rules of the ICPC package format 2025-09, "Default output validator". Streams both sides
//! with bounded memory, so that a flood of output costs time only. Knows nothing of where either
//! side comes from.

mod decimal;
mod number;
mod stream;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

pub use number::Tolerance;
use stream::{Place, Side};

/// How outputs are compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checker {
    /// Letters must match in case, too.
    pub case_sensitive: bool,
    /// White space must match in kind and amount, too.
    pub space_change_sensitive: bool,
    /// Answers that are decimal numbers may be missed by this much; `None` compares them as text.
    pub tolerance: Option<Tolerance>,
}

/// What the checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The output is right.
    Accepted,
    /// The output has no token, the answer has one.
    NoOutput,
    /// The output is wrong; the text names the first difference.
    Wrong(String),
}

impl Checker {
    /// Compares all of `output` with all of `answer`. Fails only when reading does.
    pub fn check(&self, output: impl Read, answer: impl Read) -> io::Result<Finding> {
        let mut run = Run { rules: self, output: Side::new(output), answer: Side::new(answer) };
        run.all()
    }

    fn same_text(&self, got: &[u8], want: &[u8]) -> bool {
        match self.case_sensitive {
            true => got == want,
            false => got.eq_ignore_ascii_case(want),
        }
    }
}

struct Run<'a, O, A> {
    rules: &'a Checker,
    output: Side<O>,
    answer: Side<A>,
}

impl<O: Read, A: Read> Run<'_, O, A> {
    fn all(&mut self) -> io::Result<Finding> {
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

    /// What is the same, byte for byte, is right under every rule: most outputs end here, at the
    /// speed of comparing memory.
    fn skip_equal(&mut self) -> io::Result<()> {
        loop {
            let (output, answer) = (self.output.fill()?, self.answer.fill()?);
            let same = stream::common_prefix(output, answer);
            // Only whole tokens can be skipped: the next byte decides how a token goes on.
            let Some(last) = output[..same].iter().rposition(|&byte| is_space(byte)) else {
                return Ok(());
            };
            let all = same == output.len().min(answer.len());
            self.output.advance(last + 1);
            self.answer.advance(last + 1);
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
            let place = self.output.place();
            let got = self.output.peek()?.filter(|&byte| is_space(byte));
            let want = self.answer.peek()?.filter(|&byte| is_space(byte));
            if got != want {
                let text = format!("{place}: {}, expected {}", space(got), space(want));
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
        let (rules, place) = (self.rules, self.output.place());
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
            if let Err(why) = verdict {
                let text = format!("{place}: {} {why}", quote(got.bytes));
                return Ok(Some(Finding::Wrong(text)));
            }
        } else if !rules.same_text(got.bytes, want.bytes) || got.last != want.last {
            let (got, want) = (quote(got.bytes), quote(want.bytes));
            return Ok(Some(Finding::Wrong(format!("{place}: got {got}, expected {want}"))));
        }
        let (got_length, got_last) = (got.bytes.len(), got.last);
        let (want_length, want_last) = (want.bytes.len(), want.last);
        self.output.take(got_length, got_last);
        self.answer.take(want_length, want_last);
        if got_last && want_last { Ok(None) } else { self.rest_of_token(place) }
    }

    /// The later pieces of a token longer than the buffer, which is text, never a number.
    fn rest_of_token(&mut self, place: Place) -> io::Result<Option<Finding>> {
        let rules = self.rules;
        loop {
            let (got, want) = (self.output.piece()?, self.answer.piece()?);
            if got.last != want.last || !rules.same_text(got.bytes, want.bytes) {
                let text = format!("{place}: differs late in a very long token");
                return Ok(Some(Finding::Wrong(text)));
            }
            let (length, last) = (got.bytes.len(), got.last);
            self.output.take(length, last);
            self.answer.take(length, last);
            if last {
                return Ok(None);
            }
        }
    }

    fn too_short(&mut self) -> io::Result<Finding> {
        if !self.output.had_token() {
            return Ok(Finding::NoOutput);
        }
        let place = self.output.place();
        let want = quote(self.answer.piece()?.bytes);
        Ok(Finding::Wrong(format!("{place}: the output ends, expected {want}")))
    }

    fn too_long(&mut self) -> io::Result<Finding> {
        let place = self.output.place();
        let got = quote(self.output.piece()?.bytes);
        Ok(Finding::Wrong(format!("{place}: got {got}, expected the end of the output")))
    }
}

/// The white space of the package format, whatever the locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// A token for people: shortened, and what is not printable ASCII escaped.
fn quote(token: &[u8]) -> String {
    const SHOWN: usize = 40;
    let shown = &token[..token.len().min(SHOWN)];
    let dots = if token.len() > SHOWN { "…" } else { "" };
    format!("`{}{dots}`", shown.escape_ascii())
}

fn space(byte: Option<u8>) -> String {
    byte.map_or_else(
        || "no white space".to_owned(),
        |b| format!("white space `{}`", b.escape_ascii()),
    )
}
