//! Binds query parameters to request fields: dotted paths, repeated keys, maps as `m[k]`.

use std::collections::{HashMap, HashSet};

use crate::bind::from_text;
use crate::error::RequestError;
use crate::json::read::map_key;
use crate::percent;
use crate::plan::{Body, Plan, Route};
use crate::scalar::Payload;
use crate::shape::{Field, Form, Kind, Label, MessageId};

/// Encodes the fields of a raw query.
pub(crate) fn bind(plan: &Plan, route: &Route, query: &str) -> Result<Vec<u8>, RequestError> {
    let (seen, oneofs) = (HashSet::new(), HashMap::new());
    let mut binder = Binder { plan, out: Vec::new(), seen, oneofs };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let malformed =
            |name: &str| RequestError::new(name, "the query must be percent-encoded UTF-8");
        let name = percent::decode_query(name).ok_or_else(|| malformed(name))?;
        let value = percent::decode_query(value).ok_or_else(|| malformed(&name))?;
        binder.parameter(route, &name, &value).map_err(|reason| RequestError::new(name, reason))?;
    }
    Ok(binder.out)
}

struct Binder<'p> {
    plan: &'p Plan,
    out: Vec<u8>,
    /// The values that must not be repeated.
    seen: HashSet<Seen>,
    /// The number of the field that is set in each oneof. Several parameters may set parts of it.
    oneofs: HashMap<Oneof, u32>,
}

/// The path of the message, and the oneof.
type Oneof = (Vec<u32>, usize);

#[derive(PartialEq, Eq, Hash)]
enum Seen {
    Field(Vec<u32>),
    /// The path of the map and the encoded key.
    Key(Vec<u32>, Vec<u8>),
}

struct Resolved<'p> {
    field: &'p Field,
    numbers: Vec<u32>,
    oneofs: Vec<(Oneof, u32)>,
}

impl<'p> Binder<'p> {
    fn parameter(&mut self, route: &Route, name: &str, value: &str) -> Result<(), String> {
        if route.body == Body::All {
            return Err(
                "unknown query parameter: the fields of this request are in its body".into()
            );
        }
        let (path, key) = match name.split_once('[') {
            Some((path, rest)) => (path, Some(rest.strip_suffix(']').ok_or("must end with `]`")?)),
            None => (name, None),
        };
        let Resolved { field, numbers, oneofs } = self.resolve(route, path)?;
        for (oneof, number) in oneofs {
            if self.oneofs.insert(oneof, number).is_some_and(|other| other != number) {
                return Err("only one field of the oneof may be set".into());
            }
        }
        match (field.label, key) {
            (Label::Map, Some(key)) => self.map_entry(field, numbers, key, value),
            (Label::Map, None) => Err("is a map: use name[key]=value".into()),
            (_, Some(_)) => Err("is not a map".into()),
            (Label::Repeated { .. }, None) => {
                let value = self.value(field.kind, value)?;
                self.out.extend(value.field(&numbers));
                Ok(())
            }
            (Label::Implicit | Label::Explicit, None) => {
                let encoded = self.value(field.kind, value)?.field(&numbers);
                self.set_once(Seen::Field(numbers), "must not be repeated")?;
                self.out.extend(encoded);
                Ok(())
            }
        }
    }

    /// Follows a dotted path of proto or JSON names.
    fn resolve(&self, route: &Route, path: &str) -> Result<Resolved<'p>, String> {
        let unknown = "unknown query parameter";
        let mut id: MessageId = route.input;
        let mut numbers = Vec::new();
        let mut oneofs = Vec::new();
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let (index, field) = self.plan.shapes.message(id).field(part).ok_or(unknown)?;
            if numbers.is_empty() && route.body == Body::Field(index) {
                return Err("must be in the body".into());
            }
            if let Some(oneof) = field.oneof {
                oneofs.push(((numbers.clone(), oneof), field.number));
            }
            numbers.push(field.number);
            if parts.peek().is_none() {
                return Ok(Resolved { field, numbers, oneofs });
            }
            match field.kind {
                Kind::Message(inner)
                    if field.is_single()
                        && self.plan.shapes.message(inner).form == Form::Object =>
                {
                    id = inner;
                }
                _ => return Err(unknown.into()),
            }
            // Every level adds one level of nesting to the message.
            if numbers.len() > 32 {
                return Err("the path must have at most 32 levels".into());
            }
        }
        Err(unknown.into())
    }

    fn value(&self, kind: Kind, text: &str) -> Result<Payload, String> {
        from_text(&self.plan.shapes, kind, text)
    }

    fn map_entry(
        &mut self,
        field: &Field,
        numbers: Vec<u32>,
        key: &str,
        value: &str,
    ) -> Result<(), String> {
        let Kind::Message(entry) = field.kind else { return Err("is not a map".into()) };
        let [key_field, value_field] = &self.plan.shapes.message(entry).fields[..] else {
            return Err("is not a map".into());
        };
        let key =
            map_key(key_field.kind, key.into()).map_err(|reason| format!("the key {reason}"))?;
        let key = key.field(&[1]);
        let mut content = key.clone();
        content.extend(self.value(value_field.kind, value)?.field(&[2]));
        let field = Payload::Bytes(content).field(&numbers);
        self.set_once(Seen::Key(numbers, key), "the key must not be repeated")?;
        self.out.extend(field);
        Ok(())
    }

    fn set_once(&mut self, value: Seen, reason: &str) -> Result<(), String> {
        if self.seen.insert(value) { Ok(()) } else { Err(reason.into()) }
    }
}
