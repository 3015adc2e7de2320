//! Query parameters into request fields: dotted paths, repeated keys, maps as `m[k]`.

use crate::bind::{Encoded, from_text};
use crate::error::Fault;
use crate::json::read::map_key;
use crate::percent;
use crate::plan::{Body, Plan, Route};
use crate::shape::{Field, Form, Kind, Label, MessageId};

/// Encodes the fields that a raw query names.
pub(crate) fn bind(plan: &Plan, route: &Route, query: &str) -> Result<Vec<u8>, Fault> {
    let mut binder = Binder { plan, out: Vec::new(), given: Vec::new() };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let malformed = |name: &str| Fault::new(name, "the query is not percent-encoded UTF-8");
        let name = percent::decode_query(name).ok_or_else(|| malformed(name))?;
        let value = percent::decode_query(value).ok_or_else(|| malformed(&name))?;
        binder.parameter(route, &name, &value).map_err(|wrong| Fault::new(name, wrong))?;
    }
    Ok(binder.out)
}

struct Binder<'p> {
    plan: &'p Plan,
    out: Vec<u8>,
    /// What was given already, of which one may be given only once.
    given: Vec<Given>,
}

#[derive(PartialEq, Eq)]
enum Given {
    /// A single value.
    Field(Vec<u32>),
    /// A member of this oneof of the message at this path, by its number.
    Oneof(Vec<u32>, usize, u32),
    /// A key of a map.
    Key(Vec<u32>, Vec<u8>),
}

/// A field that a parameter names.
struct Named<'p> {
    field: &'p Field,
    numbers: Vec<u32>,
    oneofs: Vec<Given>,
}

impl<'p> Binder<'p> {
    fn parameter(&mut self, route: &Route, name: &str, value: &str) -> Result<(), String> {
        if route.body == Body::All {
            return Err(
                "there is no such query parameter: this request's fields stand in its body".into(),
            );
        }
        let (path, key) = match name.split_once('[') {
            Some((path, rest)) => (path, Some(rest.strip_suffix(']').ok_or("`]` is missing")?)),
            None => (name, None),
        };
        let named = self.resolve(route, path)?;
        for oneof in named.oneofs {
            self.take_oneof(oneof)?;
        }
        match (named.field.label, key) {
            (Label::Map, Some(key)) => self.map_entry(named.field, named.numbers, key, value),
            (Label::Map, None) => Err("is a map: write name[key]=value".into()),
            (_, Some(_)) => Err("is not a map".into()),
            (Label::Repeated { .. }, None) => {
                let value = self.value(named.field.kind, value)?;
                self.out.extend(value.field(&named.numbers));
                Ok(())
            }
            (Label::Implicit | Label::Explicit, None) => {
                let value = self.value(named.field.kind, value)?;
                let field = value.field(&named.numbers);
                self.take(Given::Field(named.numbers), "is given twice")?;
                self.out.extend(field);
                Ok(())
            }
        }
    }

    /// Follows a dotted path of proto or JSON names.
    fn resolve(&self, route: &Route, path: &str) -> Result<Named<'p>, String> {
        let unknown = "there is no such query parameter";
        let mut id: MessageId = route.input;
        let mut numbers = Vec::new();
        let mut oneofs = Vec::new();
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let (index, field) = self.plan.shapes.message(id).field(part).ok_or(unknown)?;
            if numbers.is_empty() && route.body == Body::Field(index) {
                return Err("is given by the body".into());
            }
            if let Some(oneof) = field.oneof {
                oneofs.push(Given::Oneof(numbers.clone(), oneof, field.number));
            }
            numbers.push(field.number);
            if parts.peek().is_none() {
                return Ok(Named { field, numbers, oneofs });
            }
            let single = matches!(field.label, Label::Implicit | Label::Explicit);
            match field.kind {
                Kind::Message(inner)
                    if single && self.plan.shapes.message(inner).form == Form::Object =>
                {
                    id = inner;
                }
                _ => return Err(unknown.into()),
            }
            // Every level nests the message once more.
            if numbers.len() > 32 {
                return Err("the path is too long".into());
            }
        }
        Err(unknown.into())
    }

    fn value(&self, kind: Kind, text: &str) -> Result<Encoded, String> {
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
            map_key(key_field.kind, key.into()).map_err(|wrong| format!("the key {wrong}"))?;
        let key = Encoded::Scalar(key).field(&[1]);
        let mut content = key.clone();
        content.extend(self.value(value_field.kind, value)?.field(&[2]));
        let field = Encoded::Message(content).field(&numbers);
        self.take(Given::Key(numbers, key), "the key is given twice")?;
        self.out.extend(field);
        Ok(())
    }

    fn take(&mut self, given: Given, wrong: &str) -> Result<(), String> {
        if self.given.contains(&given) {
            return Err(wrong.into());
        }
        self.given.push(given);
        Ok(())
    }

    /// Paths below one member of a oneof may be given one after the other; two members may not.
    fn take_oneof(&mut self, member: Given) -> Result<(), String> {
        let Given::Oneof(path, oneof, number) = &member else { return Ok(()) };
        for given in &self.given {
            if let Given::Oneof(other_path, other, other_number) = given
                && (path, oneof) == (other_path, other)
            {
                return if number == other_number {
                    Ok(())
                } else {
                    Err("another field of the same oneof is given, too".into())
                };
            }
        }
        self.given.push(member);
        Ok(())
    }
}
