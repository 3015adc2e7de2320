//! Builds the request message from path, query, body and the headers that map to fields.
//!
//! The body, the query and the path are appended to one encoded message, because encoded messages
//! merge by concatenation. A request is refused if the path and another part set a field to
//! different values.

use crate::error::{RequestError, ResponseError};
use crate::json::write::{Defaults, Writer};
use crate::json::{known, read};
use crate::plan::{Body, HttpBody, Plan, Route};
use crate::query;
use crate::scalar::{self, Payload};
use crate::shape::{Form, Kind, MessageId, Shapes};
use crate::wire::{self, Raw};

/// The parts of an HTTP request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'r> {
    /// The raw path segments that the router returned.
    pub segments: &'r [&'r str],
    /// The raw query without `?`.
    pub query: &'r str,
    /// Empty if there is no body.
    pub body: &'r [u8],
    /// The media type of a raw body.
    pub content_type: &'r str,
    /// `Idempotency-Key`, sets the `request_id` of the request.
    pub idempotency_key: Option<&'r str>,
    /// The entity tag of `If-Match`, sets the `etag` of the request.
    pub etag: Option<&'r str>,
    /// `Last-Event-ID`, sets the `cursor` of the request.
    pub last_event_id: Option<&'r str>,
}

impl Plan {
    /// Builds and encodes the request message.
    pub fn bind(&self, route: &Route, parts: &Parts<'_>) -> Result<Vec<u8>, RequestError> {
        let (mut message, present) = self.body(route, parts)?;
        message.extend(query::bind(self, route, parts.query)?);
        if let Some(mask) = &route.mask
            && wire::lookup(&message, &[mask.number]).is_none()
        {
            let is_within = |path: &str, parent: &str| {
                path.strip_prefix(parent)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let mut paths = Vec::new();
            for path in present.iter().filter(|path| !mask.skip.iter().any(|s| is_within(path, s)))
            {
                wire::put_bytes(&mut paths, 1, path.as_bytes());
            }
            wire::put_bytes(&mut message, mask.number, &paths);
        }
        for (variable, target) in route.template.variables.iter().zip(&route.variables) {
            let text = route.template.value(variable, parts.segments).ok_or_else(|| {
                RequestError::new(&*target.name, "the path has a malformed percent-encoding")
            })?;
            let value = from_text(&self.shapes, target.kind, &text)
                .map_err(|reason| RequestError::new(&*target.name, reason))?;
            append(&mut message, &target.numbers, &value, &target.name, "the path")?;
        }
        for (numbers, value, name, header) in [
            (route.request_id.as_slice(), parts.idempotency_key, "request_id", "Idempotency-Key"),
            (route.etag.as_deref().unwrap_or_default(), parts.etag, "etag", "If-Match"),
        ] {
            let Some(value) = value.filter(|_| !numbers.is_empty()) else { continue };
            let value = Payload::Bytes(value.as_bytes().to_vec());
            append(&mut message, numbers, &value, name, &format!("the header {header}"))?;
        }
        if let (Some((cursor, _)), Some(id)) = (route.cursor, parts.last_event_id) {
            // A browser reconnects with the original URL, so the header is newer than the query.
            wire::put_bytes(&mut message, cursor, id.as_bytes());
        }
        Ok(message)
    }

    fn body(
        &self,
        route: &Route,
        parts: &Parts<'_>,
    ) -> Result<(Vec<u8>, Vec<String>), RequestError> {
        if let Some(upload) = route.upload {
            return Ok((http_body(upload, parts.content_type, parts.body), Vec::new()));
        }
        let read = match route.body {
            _ if parts.body.is_empty() => return Ok(Default::default()),
            Body::None => return Err(RequestError::new("", "this request must not have a body")),
            Body::All => read::message(&self.shapes, route.input, parts.body)?,
            Body::Field(field) => read::field(&self.shapes, route.input, field, parts.body)?,
        };
        Ok((read.wire, read.present))
    }

    /// Encodes a message of an upload after the first one, with only the next bytes.
    pub fn chunk(&self, route: &Route, data: &[u8]) -> Vec<u8> {
        route.upload.map(|upload| http_body(upload, "", data)).unwrap_or_default()
    }

    /// Appends the HTTP body of a response as JSON.
    pub fn reply(
        &self,
        route: &Route,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ResponseError> {
        let mut writer = Writer::new(&self.shapes, Defaults::Emit, out);
        match route.response_body {
            Some(field) => writer.field(route.output, field, message),
            None => writer.message(route.output, message),
        }
    }

    /// The content type and data of the `google.api.HttpBody` in a response.
    pub fn download<'m>(
        &self,
        route: &Route,
        message: &'m [u8],
    ) -> Result<(&'m str, &'m [u8]), ResponseError> {
        let body = match route.download {
            Some(HttpBody::Field(number)) => bytes_at(message, &[number]).unwrap_or_default(),
            _ => message,
        };
        let content_type = std::str::from_utf8(bytes_at(body, &[1]).unwrap_or_default())
            .map_err(|_| ResponseError("the content type is not UTF-8"))?;
        Ok((content_type, bytes_at(body, &[2]).unwrap_or_default()))
    }

    /// The etag of a response, if it has one.
    pub fn etag<'m>(&self, route: &Route, message: &'m [u8]) -> Option<&'m str> {
        text_at(message, route.reply_etag.as_deref()?)
    }

    /// The cursor from which a stream can be resumed after this response.
    pub fn cursor<'m>(&self, route: &Route, message: &'m [u8]) -> Option<&'m str> {
        text_at(message, &[route.cursor?.1])
    }

    /// Reads a message of the named type from proto JSON.
    pub fn json_to_wire(&self, name: &str, json: &[u8]) -> Result<Vec<u8>, RequestError> {
        let unknown = || RequestError::new("", format!("unknown message type {name}"));
        let id = self.shapes.find(name).ok_or_else(unknown)?;
        Ok(read::message(&self.shapes, id, json)?.wire)
    }

    /// Writes a message of the named type as proto JSON.
    pub fn wire_to_json(
        &self,
        name: &str,
        message: &[u8],
        defaults: Defaults,
    ) -> Result<Vec<u8>, ResponseError> {
        let id = self.shapes.find(name).ok_or(ResponseError("unknown message type"))?;
        let mut out = Vec::new();
        Writer::new(&self.shapes, defaults, &mut out).message(id, message)?;
        Ok(out)
    }
}

/// Appends a value; fails if the message has a different one. `source` is for the error text.
fn append(
    message: &mut Vec<u8>,
    numbers: &[u32],
    value: &Payload,
    name: &str,
    source: &str,
) -> Result<(), RequestError> {
    match wire::lookup(message, numbers) {
        Some(other) if other != value.raw() => {
            Err(RequestError::new(name, format!("differs from the value in {source}")))
        }
        _ => {
            message.extend(value.field(numbers));
            Ok(())
        }
    }
}

fn http_body(target: HttpBody, content_type: &str, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(data.len() + content_type.len() + 16);
    if !content_type.is_empty() {
        wire::put_bytes(&mut body, 1, content_type.as_bytes());
    }
    wire::put_bytes(&mut body, 2, data);
    match target {
        HttpBody::Whole => body,
        HttpBody::Field(number) => wire::nest(&[number], body),
    }
}

fn bytes_at<'m>(message: &'m [u8], path: &[u32]) -> Option<&'m [u8]> {
    match wire::lookup(message, path)? {
        Raw::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn text_at<'m>(message: &'m [u8], path: &[u32]) -> Option<&'m str> {
    let text = std::str::from_utf8(bytes_at(message, path)?).ok()?;
    (!text.is_empty()).then_some(text)
}

/// Encodes the text of a path segment or query parameter.
pub(crate) fn from_text(shapes: &Shapes, kind: Kind, text: &str) -> Result<Payload, String> {
    let scalar = match kind {
        Kind::String => Ok(Payload::Bytes(text.as_bytes().to_vec())),
        Kind::Bool => scalar::boolean(text),
        Kind::Bytes => scalar::bytes(text),
        Kind::Enum(id) => {
            scalar::enum_name(shapes.enumeration(id), text).or_else(|_| scalar::enum_number(text))
        }
        Kind::Message(id) => return well_known(shapes, id, text).map(Payload::Bytes),
        kind => scalar::number(kind, text),
    };
    scalar.map_err(str::to_owned)
}

fn well_known(shapes: &Shapes, id: MessageId, text: &str) -> Result<Vec<u8>, String> {
    let message = shapes.message(id);
    let mut out = Vec::new();
    match message.form {
        Form::Timestamp => known::parse_timestamp(text)?.put(&mut out),
        Form::Duration => known::parse_duration(text)?.put(&mut out),
        Form::FieldMask => {
            for path in known::parse_field_mask(text, true)? {
                wire::put_bytes(&mut out, 1, path.as_bytes());
            }
        }
        Form::Wrapper => {
            let payload = from_text(shapes, message.fields[0].kind, text)?;
            if !payload.is_default() {
                payload.put(&mut out, 1);
            }
        }
        Form::Struct | Form::Value | Form::ListValue => {
            let read = read::message(shapes, id, text.as_bytes());
            out = read.map_err(|error| format!("must be JSON: {}", error.message))?.wire;
        }
        Form::Object | Form::Any => {
            return Err("is a message: set one of its fields, such as a.b".into());
        }
    }
    Ok(out)
}
