//! One side of a comparison: a buffered reader that knows where it is.

use std::fmt;
use std::io::{self, Read};

use super::is_space;

/// Tokens up to this size are seen whole.
pub(super) const PIECE: usize = 32 << 10;
const BUFFER: usize = 4 * PIECE;

/// Where in a text something stands; counted from 1 when shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    line: u64,
    token: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, token {}", self.line + 1, self.token + 1)
    }
}

/// A token, or a part of [`PIECE`] bytes of a longer one.
pub(super) struct Piece<'a> {
    pub bytes: &'a [u8],
    /// The token ends here.
    pub last: bool,
}

pub(super) struct Side<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// Line, and tokens that ended on it.
    place: Place,
    had_token: bool,
}

impl<R: Read> Side<R> {
    pub(super) fn new(reader: R) -> Self {
        let place = Place::default();
        Side {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            at_end: false,
            place,
            had_token: false,
        }
    }

    /// What is buffered; reads when less than a piece is. Empty only at the end.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        while self.end - self.start <= PIECE && !self.at_end {
            self.read()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn read(&mut self) -> io::Result<()> {
        // Small at first: most outputs are a few bytes.
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

    /// Leaves `count` buffered bytes behind, which end at the end of a token or in white space.
    pub(super) fn advance(&mut self, count: usize) {
        let left = &self.buffer[self.start..self.start + count];
        self.start += count;
        // Tokens are counted on the last line only: lines can be counted much faster.
        let tail = match left.iter().rposition(|&byte| byte == b'\n') {
            Some(newline) => {
                self.place.line += left.iter().map(|&byte| u64::from(byte == b'\n')).sum::<u64>();
                self.place.token = 0;
                &left[newline + 1..]
            }
            None => left,
        };
        let tokens = tail.split(|&byte| is_space(byte)).filter(|token| !token.is_empty()).count();
        self.place.token += tokens as u64;
        self.had_token = self.had_token || left.iter().any(|&byte| !is_space(byte));
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

    /// The token that starts (or goes on) here.
    pub(super) fn piece(&mut self) -> io::Result<Piece<'_>> {
        let buffered = self.fill()?;
        let head = &buffered[..buffered.len().min(PIECE)];
        let length = head.iter().position(|&byte| is_space(byte)).unwrap_or(head.len());
        let last = buffered.get(length).is_none_or(|&byte| is_space(byte));
        Ok(Piece { bytes: &buffered[..length], last })
    }

    /// Leaves a piece behind.
    pub(super) fn take(&mut self, length: usize, last: bool) {
        self.start += length;
        self.place.token += u64::from(last);
        self.had_token = true;
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn had_token(&self) -> bool {
        self.had_token
    }
}

/// How many bytes at the start of both are the same.
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
