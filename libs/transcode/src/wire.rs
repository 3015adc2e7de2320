//! The protobuf wire format: tags, varints, lengths. Must not know message types.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    Fixed32 = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw<'w> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// Strings, bytes, messages and packed lists.
    Bytes(&'w [u8]),
}

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_tag(out: &mut Vec<u8>, number: u32, wire: WireType) {
    put_varint(out, u64::from(number) << 3 | wire as u64);
}

/// Appends a length-delimited field.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, WireType::Length);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Starts a length-delimited field of unknown length; pass the result to [`close`].
pub fn open(out: &mut Vec<u8>, number: u32) -> usize {
    put_tag(out, number, WireType::Length);
    out.push(0);
    out.len()
}

/// Ends the field that [`open`] started. One byte is reserved for the length; if it needs more, the
/// content is moved, which is cheaper than measuring every message first.
pub fn close(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    if let Ok(short) = u8::try_from(length)
        && short < 0x80
    {
        out[start - 1] = short;
        return;
    }
    let mut prefix = Vec::with_capacity(5);
    put_varint(&mut prefix, length as u64);
    out.splice(start - 1..start, prefix);
}

/// Wraps `payload`, the content of the innermost message, in the fields `numbers`, outermost first.
pub fn nest(numbers: &[u32], payload: Vec<u8>) -> Vec<u8> {
    numbers.iter().rev().fold(payload, |inner, number| {
        let mut outer = Vec::with_capacity(inner.len() + 6);
        put_bytes(&mut outer, *number, &inner);
        outer
    })
}

/// Reads the fields of an encoded message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'w>(&'w [u8]);

/// The bytes are not a valid encoded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf")]
pub struct Malformed;

impl<'w> Reader<'w> {
    pub fn new(bytes: &'w [u8]) -> Self {
        Reader(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next field number and value; groups are skipped.
    pub fn field(&mut self) -> Result<Option<(u32, Raw<'w>)>, Malformed> {
        while !self.0.is_empty() {
            let tag = self.varint()?;
            let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0).ok_or(Malformed)?;
            match tag & 7 {
                0 => return Ok(Some((number, Raw::Varint(self.varint()?)))),
                1 => return Ok(Some((number, Raw::Fixed64(self.fixed64()?)))),
                2 => return Ok(Some((number, Raw::Bytes(self.bytes()?)))),
                5 => return Ok(Some((number, Raw::Fixed32(self.fixed32()?)))),
                3 => self.skip_group(number, 0)?,
                _ => return Err(Malformed),
            }
        }
        Ok(None)
    }

    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.0 = &self.0[index + 1..];
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    pub fn fixed64(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    pub fn fixed32(&mut self) -> Result<u32, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn bytes(&mut self) -> Result<&'w [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn skip_group(&mut self, group: u32, depth: u32) -> Result<(), Malformed> {
        loop {
            let tag = self.varint()?;
            let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
            match tag & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.fixed64()?),
                2 => drop(self.bytes()?),
                5 => drop(self.fixed32()?),
                3 if depth < 64 => self.skip_group(number, depth + 1)?,
                4 if number == group => return Ok(()),
                _ => return Err(Malformed),
            }
        }
    }
}

/// The last value at a path of field numbers, searched in all occurrences of the parent messages,
/// because they merge.
pub fn lookup<'w>(message: &'w [u8], path: &[u32]) -> Option<Raw<'w>> {
    let (first, rest) = path.split_first()?;
    let mut reader = Reader::new(message);
    let mut last = None;
    while let Ok(Some((number, raw))) = reader.field() {
        if number != *first {
            continue;
        }
        match raw {
            _ if rest.is_empty() => last = Some(raw),
            Raw::Bytes(inner) => last = lookup(inner, rest).or(last),
            _ => {}
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_prefixes_of_all_sizes_are_correct() {
        for length in [0, 1, 127, 128, 16_383, 16_384] {
            let mut out = Vec::new();
            let start = open(&mut out, 3);
            out.extend(std::iter::repeat_n(7, length));
            close(&mut out, start);
            let mut expected = Vec::new();
            put_bytes(&mut expected, 3, &vec![7; length]);
            assert_eq!(out, expected, "{length}");
        }
    }

    #[test]
    fn lookup_searches_all_occurrences() {
        let mut inner = Vec::new();
        put_bytes(&mut inner, 2, b"old");
        let mut message = nest(&[1], inner);
        let mut newer = Vec::new();
        put_bytes(&mut newer, 2, b"new");
        message.extend(nest(&[1], newer));
        message.extend(nest(&[1], Vec::new()));
        assert_eq!(lookup(&message, &[1, 2]), Some(Raw::Bytes(b"new")));
        assert_eq!(lookup(&message, &[1, 3]), None);
        assert_eq!(lookup(&message, &[2]), None);
    }

    #[test]
    fn malformed_bytes_are_refused() {
        for bytes in [&[0x08][..], &[0x0a, 5, 1], &[0x00, 1], &[0x0c], &[0x0f, 1], &[0x08; 11]] {
            let mut reader = Reader::new(bytes);
            let mut result = reader.field();
            while let Ok(Some(_)) = result {
                result = reader.field();
            }
            assert_eq!(result, Err(Malformed), "{bytes:?}");
        }
        let group = [0x0b, 0x10, 1, 0x0c, 0x18, 5];
        assert_eq!(Reader::new(&group).field(), Ok(Some((3, Raw::Varint(5)))));
    }
}
