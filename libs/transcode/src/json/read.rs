//! Proto JSON to the wire format, without building a message.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use crate::error::RequestError;
use crate::json::known;
use crate::json::lexer::{Lexer, Limits, Reason, Token};
use crate::scalar::{self, Payload};
use crate::shape::{Field, Form, Kind, Label, Message, MessageId, Shapes};
use crate::wire;

/// prost refuses to decode messages that are nested deeper. Map entries count as a level.
const MAX_WIRE_DEPTH: usize = 99;

/// Reads one JSON text.
pub struct Reader<'p, 'j> {
    shapes: &'p Shapes,
    lexer: Lexer<'j>,
    out: Vec<u8>,
    path: Vec<Step<'p>>,
    wire_depth: usize,
    /// The proto paths of the present fields, for a field mask; `None` inside lists.
    present: Option<Vec<String>>,
    /// Number of leading steps of `path` that are not part of field mask paths.
    mask_root: usize,
}

/// A step from the request to the value being read.
enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(String),
}

/// The result of reading a JSON text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The encoded message.
    pub wire: Vec<u8>,
    /// The paths of the present fields, in proto names, relative to the message.
    pub present: Vec<String>,
}

pub fn message(shapes: &Shapes, id: MessageId, json: &[u8]) -> Result<Read, RequestError> {
    let mut reader = Reader::new(shapes, json)?;
    let result = reader.message(id).and_then(|()| reader.lexer.end());
    reader.finish(result)
}

/// Reads the value of one field and encodes it with its tag. The paths of `present` are relative to
/// the field's message.
pub fn field(
    shapes: &Shapes,
    id: MessageId,
    index: usize,
    json: &[u8],
) -> Result<Read, RequestError> {
    let mut reader = Reader::new(shapes, json)?;
    reader.mask_root = 1;
    let field = &shapes.message(id).fields[index];
    reader.path.push(Step::Field(&field.name));
    let result = reader.field(field).and_then(|_| reader.lexer.end());
    reader.finish(result)
}

impl<'p, 'j> Reader<'p, 'j> {
    fn new(shapes: &'p Shapes, json: &'j [u8]) -> Result<Self, RequestError> {
        let text = std::str::from_utf8(json)
            .map_err(|_| RequestError::new("", "the body must be UTF-8"))?;
        Ok(Reader {
            shapes,
            lexer: Lexer::new(text, Limits::default()),
            out: Vec::with_capacity(text.len()),
            path: Vec::new(),
            wire_depth: 0,
            present: Some(Vec::new()),
            mask_root: 0,
        })
    }

    fn finish(self, result: Result<(), Reason>) -> Result<Read, RequestError> {
        match result {
            Ok(()) => Ok(Read { wire: self.out, present: self.present.unwrap_or_default() }),
            Err(reason) => {
                let message = format!("{reason} (at byte {} of the body)", self.lexer.offset());
                Err(RequestError { field: path_text(&self.path), message })
            }
        }
    }

    fn message(&mut self, id: MessageId) -> Result<(), Reason> {
        let message = self.shapes.message(id);
        match message.form {
            Form::Object => self.object(message, false),
            Form::Timestamp => self.span(known::parse_timestamp),
            Form::Duration => self.span(known::parse_duration),
            Form::FieldMask => {
                for path in known::parse_field_mask(&self.lexer.string()?, false)? {
                    wire::put_bytes(&mut self.out, 1, path.as_bytes());
                }
                Ok(())
            }
            Form::Wrapper => {
                let payload = self.scalar(message.fields[0].kind)?;
                if !payload.is_default() {
                    payload.put(&mut self.out, 1);
                }
                Ok(())
            }
            Form::Struct => self.structure(),
            Form::ListValue => self.list_value(),
            Form::Value => self.value(),
            Form::Any => self.any(),
        }
    }

    /// Reads an object with a member per field. `in_any` skips `@type`, which was read before.
    fn object(&mut self, message: &'p Message, in_any: bool) -> Result<(), Reason> {
        self.lexer.enter(Token::Object)?;
        let mut seen = vec![false; message.fields.len()];
        let mut oneofs: Vec<usize> = Vec::new();
        while let Some(key) = self.lexer.key()? {
            if in_any && key == "@type" {
                self.lexer.skip()?;
                continue;
            }
            let Some((index, field)) = message.field(&key) else {
                self.path.push(Step::Key(key.into_owned()));
                return Err("unknown field");
            };
            self.path.push(Step::Field(&field.name));
            if std::mem::replace(&mut seen[index], true) {
                return Err("the field must not be repeated");
            }
            let before = self.present.as_ref().map(Vec::len);
            let is_set = self.field(field)?;
            if is_set && let Some(oneof) = field.oneof {
                if oneofs.contains(&oneof) {
                    return Err("only one field of the oneof may be set");
                }
                oneofs.push(oneof);
            }
            self.record_present(before);
            self.path.pop();
        }
        Ok(())
    }

    /// Adds the current path to `present`, unless a path below it was added since `before`.
    fn record_present(&mut self, before: Option<usize>) {
        let names = self.path[self.mask_root..].iter().map(|step| match step {
            Step::Field(name) => Some(*name),
            Step::Index(_) | Step::Key(_) => None,
        });
        if let Some(present) = &mut self.present
            && before == Some(present.len())
            && let Some(names) = names.collect::<Option<Vec<_>>>()
        {
            present.push(names.join("."));
        }
    }

    /// Reads the value of a field and writes it with its tag. Returns false for `null`.
    fn field(&mut self, field: &'p Field) -> Result<bool, Reason> {
        let token = self.lexer.peek()?;
        if token == Token::Null && !(self.takes_null(field.kind) && field.is_single()) {
            self.lexer.null()?;
            return Ok(false);
        }
        match field.label {
            Label::Repeated { packed } => self.untracked(|it| it.list(field, packed))?,
            Label::Map => self.untracked(|it| it.map(field))?,
            Label::Explicit | Label::Implicit => match field.kind {
                Kind::Message(id) if self.shapes.message(id).form == Form::Object => {
                    self.nested(field.number, |it| it.message(id))?;
                }
                Kind::Message(id) => {
                    self.untracked(|it| it.nested(field.number, |it| it.message(id)))?;
                }
                kind => {
                    let payload = self.scalar(kind)?;
                    if field.label == Label::Explicit || !payload.is_default() {
                        payload.put(&mut self.out, field.number);
                    }
                }
            },
        }
        Ok(true)
    }

    /// Runs `read` without recording present fields.
    fn untracked<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let present = self.present.take();
        let result = read(self);
        self.present = present;
        result
    }

    fn nested(
        &mut self,
        number: u32,
        read: impl FnOnce(&mut Self) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        self.wire_depth += 1;
        if self.wire_depth > MAX_WIRE_DEPTH {
            return Err("the message is nested too deeply");
        }
        let start = wire::open(&mut self.out, number);
        read(self)?;
        wire::close(&mut self.out, start);
        self.wire_depth -= 1;
        Ok(())
    }

    /// Whether `null` is a value of the kind and does not mean absence.
    fn takes_null(&self, kind: Kind) -> bool {
        match kind {
            Kind::Message(id) => self.shapes.message(id).form == Form::Value,
            Kind::Enum(id) => self.shapes.enumeration(id).is_null,
            _ => false,
        }
    }

    fn list(&mut self, field: &'p Field, packed: bool) -> Result<(), Reason> {
        self.lexer.enter(Token::Array)?;
        let mut start = None;
        let mut index = 0;
        while self.lexer.element()? {
            self.path.push(Step::Index(index));
            self.refuse_null(field.kind)?;
            match field.kind {
                Kind::Message(id) => self.nested(field.number, |it| it.message(id))?,
                kind if packed => {
                    start.get_or_insert_with(|| wire::open(&mut self.out, field.number));
                    self.scalar(kind)?.put_bare(&mut self.out);
                }
                kind => self.scalar(kind)?.put(&mut self.out, field.number),
            }
            self.path.pop();
            index += 1;
        }
        if let Some(start) = start {
            wire::close(&mut self.out, start);
        }
        Ok(())
    }

    fn map(&mut self, field: &'p Field) -> Result<(), Reason> {
        let Kind::Message(entry) = field.kind else { return Err("is not a map") };
        let [key_field, value_field] = &self.shapes.message(entry).fields[..] else {
            return Err("is not a map");
        };
        self.lexer.enter(Token::Object)?;
        let mut seen = HashSet::new();
        while let Some(key) = self.lexer.key()? {
            self.path.push(Step::Key(key.clone().into_owned()));
            let key = map_key(key_field.kind, key)?;
            if seen.contains(&key) {
                return Err("the key must not be repeated");
            }
            self.refuse_null(value_field.kind)?;
            self.nested(field.number, |it| {
                if !key.is_default() {
                    key.put(&mut it.out, 1);
                }
                match value_field.kind {
                    Kind::Message(id) => it.nested(2, |it| it.message(id)),
                    kind => {
                        let payload = it.scalar(kind)?;
                        if !payload.is_default() {
                            payload.put(&mut it.out, 2);
                        }
                        Ok(())
                    }
                }
            })?;
            seen.insert(key);
            self.path.pop();
        }
        Ok(())
    }

    fn refuse_null(&mut self, kind: Kind) -> Result<(), Reason> {
        if self.lexer.peek()? == Token::Null && !self.takes_null(kind) {
            return Err("must not be null");
        }
        Ok(())
    }

    fn scalar(&mut self, kind: Kind) -> Result<Payload, Reason> {
        let token = self.lexer.peek()?;
        match (kind, token) {
            (Kind::Bool, Token::Bool) => scalar::boolean(self.lexer.boolean()?),
            (Kind::Bool, _) => Err("must be true or false"),
            (Kind::String, Token::Text) => {
                Ok(Payload::Bytes(self.lexer.string()?.into_owned().into_bytes()))
            }
            (Kind::String, _) => Err("must be a string"),
            (Kind::Bytes, Token::Text) => scalar::bytes(&self.lexer.string()?),
            (Kind::Bytes, _) => Err("must be a base64 string"),
            (Kind::Enum(id), Token::Null) if self.shapes.enumeration(id).is_null => {
                self.lexer.null().map(|()| Payload::Varint(0))
            }
            (Kind::Enum(id), Token::Text) => {
                scalar::enum_name(self.shapes.enumeration(id), &self.lexer.string()?)
            }
            (Kind::Enum(_), Token::Number) => scalar::enum_number(self.lexer.number()?),
            (Kind::Enum(_), _) => Err("must be the name or number of an enum value"),
            (Kind::Message(_), _) => Err("is not a scalar"),
            (kind, Token::Number) => scalar::number(kind, self.lexer.number()?),
            (kind, Token::Text) => scalar::number(kind, &self.lexer.string()?),
            _ => Err("must be a number"),
        }
    }

    fn span(&mut self, parse: fn(&str) -> Result<known::Span, Reason>) -> Result<(), Reason> {
        parse(&self.lexer.string()?)?.put(&mut self.out);
        Ok(())
    }

    fn structure(&mut self) -> Result<(), Reason> {
        self.lexer.enter(Token::Object)?;
        let mut seen = HashSet::new();
        while let Some(key) = self.lexer.key()? {
            self.path.push(Step::Key(key.clone().into_owned()));
            if seen.contains(&key) {
                return Err("the key must not be repeated");
            }
            self.nested(1, |it| {
                wire::put_bytes(&mut it.out, 1, key.as_bytes());
                it.nested(2, Self::value)
            })?;
            seen.insert(key);
            self.path.pop();
        }
        Ok(())
    }

    fn list_value(&mut self) -> Result<(), Reason> {
        self.lexer.enter(Token::Array)?;
        let mut index = 0;
        while self.lexer.element()? {
            self.path.push(Step::Index(index));
            self.nested(1, Self::value)?;
            self.path.pop();
            index += 1;
        }
        Ok(())
    }

    fn value(&mut self) -> Result<(), Reason> {
        match self.lexer.peek()? {
            Token::Null => {
                self.lexer.null()?;
                Payload::Varint(0).put(&mut self.out, 1);
            }
            Token::Number => {
                scalar::number(Kind::Double, self.lexer.number()?)?.put(&mut self.out, 2);
            }
            Token::Text => wire::put_bytes(&mut self.out, 3, self.lexer.string()?.as_bytes()),
            Token::Bool => scalar::boolean(self.lexer.boolean()?)?.put(&mut self.out, 4),
            Token::Object => self.nested(5, Self::structure)?,
            Token::Array => self.nested(6, Self::list_value)?,
        }
        Ok(())
    }

    fn any(&mut self) -> Result<(), Reason> {
        let Some(url) = self.find_type()? else {
            self.lexer.enter(Token::Object)?;
            return match self.lexer.key()? {
                None => Ok(()),
                Some(_) => Err("an Any must have @type"),
            };
        };
        let (_, name) =
            url.rsplit_once('/').ok_or("@type must be a URL that ends with a type name")?;
        let id = self.shapes.find(name).ok_or("@type is an unknown type")?;
        wire::put_bytes(&mut self.out, 1, url.as_bytes());
        let message = self.shapes.message(id);
        self.untracked(|it| {
            it.nested(2, |it| match message.is_special() {
                true => it.any_value(id),
                false => it.object(message, true),
            })
        })
    }

    /// Reads `{"@type": …, "value": …}`; `value` is optional for Empty.
    fn any_value(&mut self, id: MessageId) -> Result<(), Reason> {
        self.lexer.enter(Token::Object)?;
        let mut complete = self.shapes.message(id).form == Form::Object;
        let mut seen = false;
        while let Some(key) = self.lexer.key()? {
            match &*key {
                "@type" => self.lexer.skip()?,
                "value" if !std::mem::replace(&mut seen, true) => {
                    self.path.push(Step::Field("value"));
                    self.message(id)?;
                    self.path.pop();
                    complete = true;
                }
                "value" => return Err("value must not be repeated"),
                _ => return Err("an Any of this type may only have @type and value"),
            }
        }
        if complete { Ok(()) } else { Err("an Any of this type must have value") }
    }

    /// Finds the `@type` of the next object without consuming the object.
    fn find_type(&mut self) -> Result<Option<Cow<'j, str>>, Reason> {
        let start = self.lexer.clone();
        self.lexer.enter(Token::Object)?;
        let mut found = None;
        while let Some(key) = self.lexer.key()? {
            if key != "@type" {
                self.lexer.skip()?;
            } else if found.replace(self.lexer.string()?).is_some() {
                return Err("@type must not be repeated");
            }
        }
        self.lexer.rewind(&start);
        Ok(found)
    }
}

pub(crate) fn map_key(kind: Kind, key: Cow<'_, str>) -> Result<Payload, Reason> {
    match kind {
        Kind::String => Ok(Payload::Bytes(key.into_owned().into_bytes())),
        Kind::Bool => scalar::boolean(&key),
        kind => scalar::number(kind, &key),
    }
}

fn path_text(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        let result = match step {
            Step::Field(name) if text.is_empty() => write!(text, "{name}"),
            Step::Field(name) => write!(text, ".{name}"),
            Step::Index(index) => write!(text, "[{index}]"),
            Step::Key(key) if text.is_empty() => write!(text, "{key}"),
            Step::Key(key) => write!(text, ".{key}"),
        };
        result.expect("writing to a string does not fail");
    }
    // Keys may be as long as the body.
    if text.len() > 512 {
        let end = text.floor_char_boundary(512);
        text.truncate(end);
        text.push('…');
    }
    text
}
