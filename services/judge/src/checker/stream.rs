//! A buffered token reader that tracks its position.

use std::fmt;
use std::io::{self, Read};

use super::is_space;

/// Tokens up to this size are returned in one piece.
pub(super) const PIECE: usize = 32 << 10;
const BUFFER: usize = 4 * PIECE;

/// A position in a text; displayed from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    line: u64,
    token: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, token {}", self.line + 1, self.token + 1)
    }
}

/// A token, or a part of [`PIECE`] bytes of a longer token.
pub(super) struct Piece<'a> {
    pub bytes: &'a [u8],
    /// Whether the token ends here.
    pub last: bool,
}

pub(super) struct TokenReader<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// The line, and the number of tokens that ended on it.
    position: Position,
    had_token: bool,
}

impl<R: Read> TokenReader<R> {
    pub(super) fn new(reader: R) -> Self {
        let position = Position::default();
        TokenReader {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            at_end: false,
            position,
            had_token: false,
        }
    }

    /// The buffered bytes, more than a piece unless the end is reached.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        while self.end - self.start <= PIECE && !self.at_end {
            self.read()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn read(&mut self) -> io::Result<()> {
        // Most outputs are small.
        if self.buffer.is_empty() {
            self.buffer.resize(4096, 0);
        }
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() < BUFFER {
                self.buffer.resize(BUFFER, 0);
            }
        }
        match self.reader.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.at_end = true,
            Ok(count) => self.end += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.start == self.end {
            self.fill()?;
        }
        Ok((self.start < self.end).then(|| self.buffer[self.start]))
    }

    /// Skips `count` buffered bytes, which must end at the end of a token or in white space.
    pub(super) fn advance(&mut self, count: usize) {
        let skipped = &self.buffer[self.start..self.start + count];
        self.start += count;
        // Count tokens on the last line only: counting lines is much faster.
        let tail = match skipped.iter().rposition(|&byte| byte == b'\n') {
            Some(newline) => {
                self.position.line +=
                    skipped.iter().map(|&byte| u64::from(byte == b'\n')).sum::<u64>();
                self.position.token = 0;
                &skipped[newline + 1..]
            }
            None => skipped,
        };
        let tokens = tail.split(|&byte| is_space(byte)).filter(|token| !token.is_empty()).count();
        self.position.token += tokens as u64;
        self.had_token = self.had_token || skipped.iter().any(|&byte| !is_space(byte));
    }

    pub(super) fn skip_space(&mut self) -> io::Result<()> {
        loop {
            let buffered = self.fill()?;
            let count = buffered.iter().take_while(|&&byte| is_space(byte)).count();
            let all = count > 0 && count == buffered.len();
            self.advance(count);
            if !all {
                return Ok(());
            }
        }
    }

    /// The token that starts or continues here.
    pub(super) fn piece(&mut self) -> io::Result<Piece<'_>> {
        let buffered = self.fill()?;
        let head = &buffered[..buffered.len().min(PIECE)];
        let length = head.iter().position(|&byte| is_space(byte)).unwrap_or(head.len());
        let last = buffered.get(length).is_none_or(|&byte| is_space(byte));
        Ok(Piece { bytes: &buffered[..length], last })
    }

    pub(super) fn advance_piece(&mut self, length: usize, last: bool) {
        self.start += length;
        self.position.token += u64::from(last);
        self.had_token = true;
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn had_token(&self) -> bool {
        self.had_token
    }
}

pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const CHUNK: usize = 256;
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let same = a.chunks(CHUNK).zip(b.chunks(CHUNK)).take_while(|(a, b)| a == b).count() * CHUNK;
    if same >= length {
        return length;
    }
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}
