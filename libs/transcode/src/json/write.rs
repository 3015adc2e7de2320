//! The wire format to proto JSON, without building a message.
//!
//! On the wire, fields have any order and may be repeated (messages merge, lists append, the last
//! scalar wins). Encoders write them in the order of the descriptor, once each, so that a message is
//! converted while it is read ([`in_order`]). Any other message is first indexed.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::ResponseError;
use crate::json::known::{self, Span};
use crate::scalar::unzigzag;
use crate::shape::{Field, Form, Kind, Label, Message, MessageId, Shapes};
use crate::wire::{self, Malformed, Raw};

mod in_order;

const MAX_DEPTH: usize = 100;

/// Whether fields with their default value are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defaults {
    /// Writes every field without presence.
    #[default]
    Emit,
    /// Omits fields with their default value.
    Omit,
}

#[derive(Debug)]
pub struct Writer<'p> {
    shapes: &'p Shapes,
    defaults: Defaults,
    out: &'p mut Vec<u8>,
    depth: usize,
    /// No message so far had its fields out of order. A second attempt for every message would take
    /// exponential time in their depth.
    in_order: bool,
}

/// The fields of an encoded message: field index and value, sorted by index.
type Index<'w> = Vec<(usize, Raw<'w>)>;

impl From<Malformed> for ResponseError {
    fn from(_: Malformed) -> Self {
        ResponseError("malformed protobuf")
    }
}

impl<'p> Writer<'p> {
    /// Appends to `out`.
    pub fn new(shapes: &'p Shapes, defaults: Defaults, out: &'p mut Vec<u8>) -> Self {
        Writer { shapes, defaults, out, depth: 0, in_order: true }
    }

    pub fn message(&mut self, id: MessageId, bytes: &[u8]) -> Result<(), ResponseError> {
        self.nested(|it| it.message_value(it.shapes.message(id), bytes))
    }

    fn nested(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), ResponseError>,
    ) -> Result<(), ResponseError> {
        if self.depth >= MAX_DEPTH {
            return Err(ResponseError("the message is nested too deeply"));
        }
        self.depth += 1;
        let result = write(self);
        self.depth -= 1;
        result
    }

    fn message_value(&mut self, message: &Message, bytes: &[u8]) -> Result<(), ResponseError> {
        match message.form {
            Form::Any => return self.any(bytes),
            Form::Object => return self.object(message, bytes, b'{'),
            Form::Timestamp => {
                return known::put_timestamp(self.out, span(bytes)?)
                    .ok_or(ResponseError("timestamp out of range"));
            }
            Form::Duration => {
                let text = known::duration_text(span(bytes)?)
                    .ok_or(ResponseError("duration out of range"))?;
                put_quoted(self.out, &text);
                return Ok(());
            }
            _ => {}
        }
        let index = index(message, bytes)?;
        match message.form {
            Form::FieldMask => put_quoted(self.out, &field_mask(&index)?),
            Form::Wrapper => return self.single(&message.fields[0], &index),
            Form::Struct => return self.map(&message.fields[0], &index),
            Form::ListValue => return self.list(&message.fields[0], &index),
            Form::Value => return self.value(message, &index),
            Form::Object | Form::Any | Form::Timestamp | Form::Duration => {}
        }
        Ok(())
    }

    /// Appends the value of one field of a message: `null` for an absent optional scalar, an empty
    /// object for an absent message.
    pub fn field(
        &mut self,
        id: MessageId,
        field: usize,
        bytes: &[u8],
    ) -> Result<(), ResponseError> {
        let message = self.shapes.message(id);
        let mut index = index(message, bytes)?;
        index.retain(|(number, _)| *number == field);
        let field = &message.fields[field];
        if field.label != Label::Explicit || !index.is_empty() {
            return self.field_value(field, &index);
        }
        match field.kind {
            Kind::Message(id) if self.shapes.message(id).form == Form::Object => {
                self.message(id, &[])
            }
            _ => {
                self.out.extend_from_slice(b"null");
                Ok(())
            }
        }
    }

    /// `open` is `{`, or `,` if the caller has started the object.
    fn object(&mut self, message: &Message, bytes: &[u8], open: u8) -> Result<(), ResponseError> {
        if self.in_order {
            let start = self.out.len();
            if self.object_in_order(message, bytes, open)? {
                return Ok(());
            }
            self.in_order = false;
            self.out.truncate(start);
        }
        let index = index(message, bytes)?;
        let mut rest = &index[..];
        let mut separator = open;
        for (number, field) in message.fields.iter().enumerate() {
            let count = rest.iter().take_while(|(found, _)| *found == number).count();
            let (values, after) = rest.split_at(count);
            rest = after;
            if self.omits(field, values) {
                continue;
            }
            self.out.push(separator);
            separator = b',';
            self.out.extend_from_slice(field.key.as_bytes());
            self.field_value(field, values)?;
        }
        if separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        Ok(())
    }

    fn omits(&self, field: &Field, values: &[(usize, Raw<'_>)]) -> bool {
        let omits_defaults = self.defaults == Defaults::Omit;
        match field.label {
            Label::Explicit => values.is_empty(),
            Label::Repeated { .. } | Label::Map => omits_defaults && values.is_empty(),
            Label::Implicit => omits_defaults && values.last().is_none_or(|(_, raw)| is_zero(raw)),
        }
    }

    fn field_value(
        &mut self,
        field: &Field,
        values: &[(usize, Raw<'_>)],
    ) -> Result<(), ResponseError> {
        match field.label {
            Label::Repeated { .. } => self.list(field, values),
            Label::Map => self.map(field, values),
            Label::Implicit | Label::Explicit => self.single(field, values),
        }
    }

    fn single(&mut self, field: &Field, values: &[(usize, Raw<'_>)]) -> Result<(), ResponseError> {
        if let Kind::Message(id) = field.kind {
            return self.message(id, &merged(values)?);
        }
        let raw = values.last().map(|(_, raw)| *raw);
        self.scalar(field.kind, raw.unwrap_or_else(|| zero(field.kind)))
    }

    fn list(&mut self, field: &Field, values: &[(usize, Raw<'_>)]) -> Result<(), ResponseError> {
        let mut separator = b'[';
        for (_, raw) in values {
            match raw {
                Raw::Bytes(packed) if is_packable(field.kind) => {
                    let mut reader = wire::Reader::new(packed);
                    while !reader.is_empty() {
                        let raw = match zero(field.kind) {
                            Raw::Fixed64(_) => Raw::Fixed64(reader.fixed64()?),
                            Raw::Fixed32(_) => Raw::Fixed32(reader.fixed32()?),
                            _ => Raw::Varint(reader.varint()?),
                        };
                        self.element(field.kind, raw, &mut separator)?;
                    }
                }
                raw => self.element(field.kind, *raw, &mut separator)?,
            }
        }
        if separator == b'[' {
            self.out.push(b'[');
        }
        self.out.push(b']');
        Ok(())
    }

    fn element(
        &mut self,
        kind: Kind,
        raw: Raw<'_>,
        separator: &mut u8,
    ) -> Result<(), ResponseError> {
        self.out.push(std::mem::replace(separator, b','));
        match (kind, raw) {
            (Kind::Message(id), Raw::Bytes(bytes)) => self.message(id, bytes),
            (kind, raw) => self.scalar(kind, raw),
        }
    }

    fn map(&mut self, field: &Field, values: &[(usize, Raw<'_>)]) -> Result<(), ResponseError> {
        let Kind::Message(entry) = field.kind else { return Err(ResponseError("is not a map")) };
        let entry = self.shapes.message(entry);
        let [key_field, value_field] = &entry.fields[..] else {
            return Err(ResponseError("is not a map"));
        };
        // The last entry of a key wins, at the position of the first one.
        let mut entries: Vec<(String, Index<'_>)> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        for (_, raw) in values {
            let Raw::Bytes(bytes) = raw else { return Err(Malformed.into()) };
            let entry = index(entry, bytes)?;
            let key = entry.iter().rfind(|(field, _)| *field == 0).map(|(_, raw)| *raw);
            let mut text = Vec::new();
            Writer::new(self.shapes, self.defaults, &mut text)
                .scalar(key_field.kind, key.unwrap_or_else(|| zero(key_field.kind)))?;
            let mut text =
                String::from_utf8(text).map_err(|_| ResponseError("text is not UTF-8"))?;
            if !text.starts_with('"') {
                text = format!("\"{text}\"");
            }
            match positions.get(&text) {
                Some(position) => entries[*position].1 = entry,
                None => {
                    positions.insert(text.clone(), entries.len());
                    entries.push((text, entry));
                }
            }
        }
        self.out.push(b'{');
        for (position, (key, entry)) in entries.iter().enumerate() {
            if position > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(key.as_bytes());
            self.out.push(b':');
            let value = entry.iter().position(|(field, _)| *field == 1).unwrap_or(entry.len());
            self.single(value_field, &entry[value..])?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn value(&mut self, message: &Message, index: &Index<'_>) -> Result<(), ResponseError> {
        let Some((field, raw)) = index.last() else {
            self.out.extend_from_slice(b"null");
            return Ok(());
        };
        let field = &message.fields[*field];
        if let (Kind::Double, Raw::Fixed64(bits)) = (field.kind, raw)
            && !f64::from_bits(*bits).is_finite()
        {
            return Err(ResponseError("a Value has a number that JSON cannot represent"));
        }
        let from =
            index.iter().position(|(found, _)| message.fields[*found].number == field.number);
        self.single(field, &index[from.unwrap_or(0)..])
    }

    /// An Any of an unknown type, or with malformed content, is written as base64.
    fn any(&mut self, bytes: &[u8]) -> Result<(), ResponseError> {
        let (mut url, mut value): (&[u8], &[u8]) = (b"", b"");
        let mut reader = wire::Reader::new(bytes);
        while let Some((number, raw)) = reader.field()? {
            match (number, raw) {
                (1, Raw::Bytes(bytes)) => url = bytes,
                (2, Raw::Bytes(bytes)) => value = bytes,
                _ => {}
            }
        }
        let url = std::str::from_utf8(url).map_err(|_| ResponseError("text is not UTF-8"))?;
        if url.is_empty() && value.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        self.out.extend_from_slice(b"{\"@type\":");
        put_string(self.out, url);
        let start = self.out.len();
        let known = url.rsplit('/').next().and_then(|name| self.shapes.find(name));
        if let Some(id) = known {
            match self.any_value(id, value) {
                Ok(()) => return Ok(()),
                Err(_) => self.out.truncate(start),
            }
        }
        self.out.extend_from_slice(b",\"value\":");
        put_quoted(self.out, &STANDARD.encode(value));
        self.out.push(b'}');
        Ok(())
    }

    fn any_value(&mut self, id: MessageId, value: &[u8]) -> Result<(), ResponseError> {
        let message = self.shapes.message(id);
        if !message.is_special() {
            return self.nested(|it| it.object(message, value, b','));
        }
        self.out.extend_from_slice(b",\"value\":");
        self.message(id, value)?;
        self.out.push(b'}');
        Ok(())
    }

    fn scalar(&mut self, kind: Kind, raw: Raw<'_>) -> Result<(), ResponseError> {
        let out = &mut *self.out;
        match (kind, raw) {
            (Kind::Double, Raw::Fixed64(bits)) => {
                let value = f64::from_bits(bits);
                put_float(out, value, serde_json::Number::from_f64(value).map(|n| n.to_string()));
            }
            (Kind::Float, Raw::Fixed32(bits)) => {
                let value = f32::from_bits(bits);
                let text = value.is_finite().then(|| serde_json::to_string(&value).ok()).flatten();
                put_float(out, f64::from(value), text);
            }
            (Kind::Int32, Raw::Varint(bits)) => put_integer(out, bits as i32),
            (Kind::Uint32, Raw::Varint(bits)) => put_integer(out, bits as u32),
            (Kind::Sint32, Raw::Varint(bits)) => put_integer(out, unzigzag(bits) as i32),
            (Kind::Int64, Raw::Varint(bits)) => put_quoted_integer(out, bits as i64),
            (Kind::Uint64, Raw::Varint(bits)) => put_quoted_integer(out, bits),
            (Kind::Sint64, Raw::Varint(bits)) => put_quoted_integer(out, unzigzag(bits)),
            (Kind::Fixed32, Raw::Fixed32(bits)) => put_integer(out, bits),
            (Kind::Sfixed32, Raw::Fixed32(bits)) => put_integer(out, bits as i32),
            (Kind::Fixed64, Raw::Fixed64(bits)) => put_quoted_integer(out, bits),
            (Kind::Sfixed64, Raw::Fixed64(bits)) => put_quoted_integer(out, bits as i64),
            (Kind::Bool, Raw::Varint(0)) => out.extend_from_slice(b"false"),
            (Kind::Bool, Raw::Varint(_)) => out.extend_from_slice(b"true"),
            (Kind::String, Raw::Bytes(bytes)) => {
                let text = std::str::from_utf8(bytes);
                put_string(out, text.map_err(|_| ResponseError("text is not UTF-8"))?);
            }
            (Kind::Bytes, Raw::Bytes(bytes)) => put_quoted(out, &STANDARD.encode(bytes)),
            (Kind::Enum(id), Raw::Varint(bits)) => {
                let of = self.shapes.enumeration(id);
                match of.name_of(bits as i32) {
                    _ if of.is_null => out.extend_from_slice(b"null"),
                    Some(name) => put_quoted(out, name),
                    None => put_integer(out, bits as i32),
                }
            }
            _ => return Err(Malformed.into()),
        }
        Ok(())
    }
}

/// Indexes a message. Of the fields of a oneof, only the last one is kept.
fn index<'w>(message: &Message, bytes: &'w [u8]) -> Result<Index<'w>, Malformed> {
    let mut index: Index<'w> = Vec::with_capacity(message.fields.len());
    let mut sorted = true;
    let mut reader = wire::Reader::new(bytes);
    while let Some((number, raw)) = reader.field()? {
        let Some(field) = message.field_index(number) else { continue };
        if let Some(oneof) = message.fields[field].oneof {
            index.retain(|(earlier, _)| {
                *earlier == field || message.fields[*earlier].oneof != Some(oneof)
            });
        }
        sorted &= index.last().is_none_or(|(last, _)| *last <= field);
        index.push((field, raw));
    }
    if !sorted {
        index.sort_by_key(|(field, _)| *field);
    }
    Ok(index)
}

/// The content of a message field. Its occurrences merge, which is concatenation on the wire.
fn merged<'w>(values: &[(usize, Raw<'w>)]) -> Result<Cow<'w, [u8]>, Malformed> {
    let bytes = |raw: &(usize, Raw<'w>)| match raw.1 {
        Raw::Bytes(bytes) => Ok(bytes),
        _ => Err(Malformed),
    };
    match values {
        [] => Ok(Cow::Borrowed(&[])),
        [one] => bytes(one).map(Cow::Borrowed),
        many => Ok(Cow::Owned(many.iter().map(bytes).collect::<Result<Vec<_>, _>>()?.concat())),
    }
}

/// The content of a Timestamp or a Duration.
fn span(bytes: &[u8]) -> Result<Span, Malformed> {
    let mut span = Span { seconds: 0, nanos: 0 };
    let mut reader = wire::Reader::new(bytes);
    while let Some((number, raw)) = reader.field()? {
        match (number, raw) {
            (1, Raw::Varint(bits)) => span.seconds = bits as i64,
            (2, Raw::Varint(bits)) => span.nanos = bits as i32,
            _ => {}
        }
    }
    Ok(span)
}

fn field_mask(index: &Index<'_>) -> Result<String, ResponseError> {
    let mut paths = Vec::with_capacity(index.len());
    for (_, raw) in index {
        let Raw::Bytes(bytes) = raw else { return Err(Malformed.into()) };
        let path = std::str::from_utf8(bytes).ok().and_then(known::camel_path);
        paths
            .push(path.ok_or(ResponseError("a field mask has a path that JSON cannot represent"))?);
    }
    Ok(paths.join(","))
}

fn is_zero(raw: &Raw<'_>) -> bool {
    match raw {
        Raw::Varint(bits) | Raw::Fixed64(bits) => *bits == 0,
        Raw::Fixed32(bits) => *bits == 0,
        Raw::Bytes(bytes) => bytes.is_empty(),
    }
}

fn zero(kind: Kind) -> Raw<'static> {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Raw::Fixed64(0),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Raw::Fixed32(0),
        Kind::String | Kind::Bytes | Kind::Message(_) => Raw::Bytes(&[]),
        _ => Raw::Varint(0),
    }
}

fn is_packable(kind: Kind) -> bool {
    !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_))
}

fn put_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn put_quoted_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    put_quoted(out, itoa::Buffer::new().format(value));
}

fn put_float(out: &mut Vec<u8>, value: f64, finite: Option<String>) {
    match finite {
        Some(text) => out.extend_from_slice(text.strip_suffix(".0").unwrap_or(&text).as_bytes()),
        None if value.is_nan() => put_quoted(out, "NaN"),
        None if value > 0.0 => put_quoted(out, "Infinity"),
        None => put_quoted(out, "-Infinity"),
    }
}

/// Appends a text without characters that need escapes.
fn put_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        return put_quoted(out, text);
    }
    serde_json::to_writer(out, text).expect("writing a string to a vector does not fail");
}

/// Whether no character of a text needs an escape. Without branches within a chunk, so that the
/// compiler can use vector instructions.
fn is_plain(text: &str) -> bool {
    let chunks = text.as_bytes().chunks(32);
    let special =
        |special, byte: &u8| special | (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
    chunks.map(|chunk| chunk.iter().fold(false, special)).all(|special| !special)
}
