//! Proto JSON to the wire, without building a message.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use crate::error::Fault;
use crate::json::known;
use crate::json::lexer::{Lexer, Limits, Token, Wrong};
use crate::scalar::{self, Payload};
use crate::shape::{Field, Form, Kind, Label, Message, MessageId, Shapes};
use crate::wire;

/// prost refuses to decode messages that nest deeper, and map entries count.
const MAX_WIRE_DEPTH: usize = 99;

/// Reads one JSON text.
pub struct Reader<'p, 'j> {
    shapes: &'p Shapes,
    lexer: Lexer<'j>,
    out: Vec<u8>,
    path: Vec<Step<'p>>,
    wire_depth: usize,
    /// The proto paths of the fields that were given, for a field mask; `None` inside lists.
    touched: Option<Vec<String>>,
    /// How many steps of `path` stand above the message that a field mask is about.
    mask_root: usize,
}

/// A step from the request to the value being read.
enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(String),
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The encoded message.
    pub wire: Vec<u8>,
    /// The paths of the fields that were given, in proto names, relative to the message.
    pub touched: Vec<String>,
}

/// Reads a whole message.
pub fn message(shapes: &Shapes, id: MessageId, json: &[u8], limits: Limits) -> Result<Read, Fault> {
    let mut reader = Reader::new(shapes, json, limits)?;
    let result = reader.message(id).and_then(|()| reader.lexer.end());
    reader.finish(result)
}

/// Reads the value of one field; the result holds the field with its tag. The paths of `touched` are
/// relative to the field's message.
pub fn field(
    shapes: &Shapes,
    id: MessageId,
    index: usize,
    json: &[u8],
    limits: Limits,
) -> Result<Read, Fault> {
    let mut reader = Reader::new(shapes, json, limits)?;
    reader.mask_root = 1;
    let field = &shapes.message(id).fields[index];
    reader.path.push(Step::Field(&field.name));
    let result = reader.field(field).and_then(|_| reader.lexer.end());
    reader.finish(result)
}

impl<'p, 'j> Reader<'p, 'j> {
    fn new(shapes: &'p Shapes, json: &'j [u8], limits: Limits) -> Result<Self, Fault> {
        let text =
            std::str::from_utf8(json).map_err(|_| Fault::new("", "the body is not UTF-8"))?;
        Ok(Reader {
            shapes,
            lexer: Lexer::new(text, limits),
            out: Vec::with_capacity(text.len()),
            path: Vec::new(),
            wire_depth: 0,
            touched: Some(Vec::new()),
            mask_root: 0,
        })
    }

    fn finish(self, result: Result<(), Wrong>) -> Result<Read, Fault> {
        match result {
            Ok(()) => Ok(Read { wire: self.out, touched: self.touched.unwrap_or_default() }),
            Err(wrong) => {
                let message = format!("{wrong} (at byte {} of the body)", self.lexer.at());
                Err(Fault { field: show(&self.path), message })
            }
        }
    }

    /// Reads a message's content.
    fn message(&mut self, id: MessageId) -> Result<(), Wrong> {
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

    /// Reads an object with a member per field. Inside an Any, `@type` was read already.
    fn object(&mut self, message: &'p Message, in_any: bool) -> Result<(), Wrong> {
        self.lexer.enter(Token::Object)?;
        let mut seen = vec![false; message.fields.len()];
        let mut oneofs: Vec<usize> = Vec::new();
        let mut first = true;
        while let Some(key) = self.lexer.key(first)? {
            first = false;
            if in_any && key == "@type" {
                self.lexer.skip()?;
                continue;
            }
            let Some((index, field)) = message.field(&key) else {
                self.path.push(Step::Key(key.into_owned()));
                return Err("there is no such field");
            };
            self.path.push(Step::Field(&field.name));
            if std::mem::replace(&mut seen[index], true) {
                return Err("the field is given twice");
            }
            let before = self.touched.as_ref().map(Vec::len);
            let given = self.field(field)?;
            if given && let Some(oneof) = field.oneof {
                if oneofs.contains(&oneof) {
                    return Err("another field of the same oneof is given, too");
                }
                oneofs.push(oneof);
            }
            self.touch(before);
            self.path.pop();
        }
        Ok(())
    }

    /// Notes the current path unless paths below it were noted since.
    fn touch(&mut self, before: Option<usize>) {
        let names = self.path[self.mask_root..].iter().map(|step| match step {
            Step::Field(name) => Some(*name),
            Step::Index(_) | Step::Key(_) => None,
        });
        if let Some(touched) = &mut self.touched
            && before == Some(touched.len())
            && let Some(names) = names.collect::<Option<Vec<_>>>()
        {
            touched.push(names.join("."));
        }
    }

    /// Reads a field's value and writes it with its tag; tells whether it was more than `null`.
    fn field(&mut self, field: &'p Field) -> Result<bool, Wrong> {
        let token = self.lexer.peek()?;
        if token == Token::Null && !(self.takes_null(field.kind) && is_single(field)) {
            self.lexer.null()?;
            return Ok(false);
        }
        match field.label {
            Label::Repeated { packed } => self.without_touching(|it| it.list(field, packed))?,
            Label::Map => self.without_touching(|it| it.map(field))?,
            Label::Explicit | Label::Implicit => match field.kind {
                Kind::Message(id) if self.shapes.message(id).form == Form::Object => {
                    self.nested(field.number, |it| it.message(id))?;
                }
                Kind::Message(id) => {
                    self.without_touching(|it| it.nested(field.number, |it| it.message(id)))?;
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

    fn without_touching<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        let touched = self.touched.take();
        let result = read(self);
        self.touched = touched;
        result
    }

    fn nested(
        &mut self,
        number: u32,
        read: impl FnOnce(&mut Self) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
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

    /// Whether `null` is a value of the kind rather than its absence.
    fn takes_null(&self, kind: Kind) -> bool {
        match kind {
            Kind::Message(id) => self.shapes.message(id).form == Form::Value,
            Kind::Enum(id) => self.shapes.enumeration(id).is_null,
            _ => false,
        }
    }

    fn list(&mut self, field: &'p Field, packed: bool) -> Result<(), Wrong> {
        self.lexer.enter(Token::Array)?;
        let mut start = None;
        let mut index = 0;
        while self.lexer.element(index == 0)? {
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

    fn map(&mut self, field: &'p Field) -> Result<(), Wrong> {
        let Kind::Message(entry) = field.kind else { return Err("is not a map") };
        let [key_field, value_field] = &self.shapes.message(entry).fields[..] else {
            return Err("is not a map");
        };
        self.lexer.enter(Token::Object)?;
        let mut seen = HashSet::new();
        while let Some(key) = self.lexer.key(seen.is_empty())? {
            self.path.push(Step::Key(key.clone().into_owned()));
            let key = map_key(key_field.kind, key)?;
            if seen.contains(&key) {
                return Err("the key is given twice");
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

    fn refuse_null(&mut self, kind: Kind) -> Result<(), Wrong> {
        if self.lexer.peek()? == Token::Null && !self.takes_null(kind) {
            return Err("must not be null");
        }
        Ok(())
    }

    fn scalar(&mut self, kind: Kind) -> Result<Payload, Wrong> {
        let token = self.lexer.peek()?;
        match (kind, token) {
            (Kind::Bool, Token::Bool) => scalar::boolean(self.lexer.boolean()?),
            (Kind::Bool, _) => Err("must be true or false"),
            (Kind::String, Token::Text) => {
                Ok(Payload::Bytes(self.lexer.string()?.into_owned().into_bytes()))
            }
            (Kind::String, _) => Err("must be a string"),
            (Kind::Bytes, Token::Text) => scalar::bytes(&self.lexer.string()?),
            (Kind::Bytes, _) => Err("must be a string of base64"),
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

    fn span(&mut self, parse: fn(&str) -> Result<known::Span, Wrong>) -> Result<(), Wrong> {
        let span = parse(&self.lexer.string()?)?;
        for (number, part) in [(1, span.seconds), (2, i64::from(span.nanos))] {
            if part != 0 {
                Payload::Varint(part as u64).put(&mut self.out, number);
            }
        }
        Ok(())
    }

    fn structure(&mut self) -> Result<(), Wrong> {
        self.lexer.enter(Token::Object)?;
        let mut seen = HashSet::new();
        while let Some(key) = self.lexer.key(seen.is_empty())? {
            self.path.push(Step::Key(key.clone().into_owned()));
            if seen.contains(&key) {
                return Err("the key is given twice");
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

    fn list_value(&mut self) -> Result<(), Wrong> {
        self.lexer.enter(Token::Array)?;
        let mut index = 0;
        while self.lexer.element(index == 0)? {
            self.path.push(Step::Index(index));
            self.nested(1, Self::value)?;
            self.path.pop();
            index += 1;
        }
        Ok(())
    }

    fn value(&mut self) -> Result<(), Wrong> {
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

    fn any(&mut self) -> Result<(), Wrong> {
        let Some(url) = self.find_type()? else {
            self.lexer.enter(Token::Object)?;
            return match self.lexer.key(true)? {
                None => Ok(()),
                Some(_) => Err("an Any needs @type"),
            };
        };
        let (_, name) =
            url.rsplit_once('/').ok_or("@type must be a URL that ends in a type name")?;
        let id = self.shapes.find(name).ok_or("@type names an unknown type")?;
        wire::put_bytes(&mut self.out, 1, url.as_bytes());
        let message = self.shapes.message(id);
        self.without_touching(|it| {
            it.nested(2, |it| match message.is_special() {
                true => it.any_value(id),
                false => it.object(message, true),
            })
        })
    }

    /// Reads `{"@type": …, "value": …}`; the value of an Empty may be left out.
    fn any_value(&mut self, id: MessageId) -> Result<(), Wrong> {
        self.lexer.enter(Token::Object)?;
        let mut first = true;
        let mut given = self.shapes.message(id).form == Form::Object;
        let mut twice = false;
        while let Some(key) = self.lexer.key(first)? {
            first = false;
            match &*key {
                "@type" => self.lexer.skip()?,
                "value" if !std::mem::replace(&mut twice, true) => {
                    self.path.push(Step::Field("value"));
                    self.message(id)?;
                    self.path.pop();
                    given = true;
                }
                "value" => return Err("value is given twice"),
                _ => return Err("an Any of this type holds @type and value only"),
            }
        }
        if given { Ok(()) } else { Err("an Any of this type needs value") }
    }

    /// Looks ahead for the `@type` of the object that stands next.
    fn find_type(&mut self) -> Result<Option<Cow<'j, str>>, Wrong> {
        let start = self.lexer.clone();
        self.lexer.enter(Token::Object)?;
        let mut found = None;
        let mut first = true;
        while let Some(key) = self.lexer.key(first)? {
            first = false;
            if key != "@type" {
                self.lexer.skip()?;
            } else if found.replace(self.lexer.string()?).is_some() {
                return Err("@type is given twice");
            }
        }
        self.lexer.rewind(&start);
        Ok(found)
    }
}

fn is_single(field: &Field) -> bool {
    matches!(field.label, Label::Implicit | Label::Explicit)
}

/// Reads a map key from an object key.
pub(crate) fn map_key(kind: Kind, key: Cow<'_, str>) -> Result<Payload, Wrong> {
    match kind {
        Kind::String => Ok(Payload::Bytes(key.into_owned().into_bytes())),
        Kind::Bool => scalar::boolean(&key),
        kind => scalar::number(kind, &key),
    }
}

fn show(path: &[Step<'_>]) -> String {
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
    // A hostile key could be as long as the body.
    if text.len() > 512 {
        let end = text.floor_char_boundary(512);
        text.truncate(end);
        text.push('…');
    }
    text
}
