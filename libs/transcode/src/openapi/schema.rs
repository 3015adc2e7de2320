//! Converts message and enum types to JSON Schema, in their proto JSON form.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::comments::Comments;
use super::errors;
use crate::plan::{INPUT_ONLY, OUTPUT_ONLY, Plan, REQUIRED, field_behaviors};
use crate::shape::{EnumId, Field, Form, Kind, Label, MessageId};

/// The referenced schemas. Adding a schema may add further references.
pub(super) struct Schemas<'p> {
    plan: &'p Plan,
    comments: &'p Comments,
    done: BTreeMap<String, Value>,
    pending: Vec<Pending>,
    seen: BTreeSet<String>,
}

enum Pending {
    Message(MessageId),
    Enum(EnumId),
}

impl<'p> Schemas<'p> {
    pub fn new(plan: &'p Plan, comments: &'p Comments) -> Self {
        Schemas {
            plan,
            comments,
            done: BTreeMap::new(),
            pending: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    /// All referenced schemas by name, including indirect references, and those of errors.
    pub fn finish(mut self) -> BTreeMap<String, Value> {
        while let Some(pending) = self.pending.pop() {
            let (name, schema) = match pending {
                Pending::Message(id) => {
                    (self.plan.shapes.message(id).name.clone(), self.object(id, &[], false))
                }
                Pending::Enum(id) => self.enumeration(id),
            };
            self.done.insert(name, schema);
        }
        self.done.insert("Error".into(), errors::error());
        self.done.insert("ErrorDetail".into(), errors::error_detail());
        self.done
    }

    /// The schema of a message type: a reference, or the inline schema of a well-known type.
    pub fn message(&mut self, id: MessageId) -> Value {
        let message = self.plan.shapes.message(id);
        match message.form {
            Form::Object => {}
            Form::Timestamp => return json!({"type": "string", "format": "date-time"}),
            Form::Duration => {
                return json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$"});
            }
            Form::FieldMask => {
                let text = "Comma-separated field paths in JSON names; `*` selects all fields.";
                return json!({"type": "string", "description": text});
            }
            Form::Wrapper => return nullable(&self.kind(message.fields[0].kind)),
            Form::Struct => return json!({"type": "object"}),
            Form::Value => return json!({}),
            Form::ListValue => return json!({"type": "array", "items": {}}),
            Form::Any => {
                return json!({
                    "type": "object",
                    "properties": {"@type": {"type": "string"}},
                    "additionalProperties": true,
                });
            }
        }
        let name = message.name.clone();
        if self.seen.insert(name.clone()) {
            self.pending.push(Pending::Message(id));
        }
        reference(&name)
    }

    pub fn kind(&mut self, kind: Kind) -> Value {
        match kind {
            Kind::Double | Kind::Float => {
                let special = ["NaN", "Infinity", "-Infinity"];
                json!({"oneOf": [{"type": "number"}, {"type": "string", "enum": special}]})
            }
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({"type": "integer", "format": "int32"})
            }
            Kind::Uint32 | Kind::Fixed32 => {
                json!({"type": "integer", "format": "int64", "minimum": 0})
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({"type": "string", "format": "int64"})
            }
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Message(id) => self.message(id),
            Kind::Enum(id) => {
                let name = self.plan.shapes.enumeration(id).name.clone();
                if self.seen.insert(name.clone()) {
                    self.pending.push(Pending::Enum(id));
                }
                reference(&name)
            }
        }
    }

    /// The schema of a message in a request body: without the fields that the path sets (`in_path`,
    /// as field numbers), and without required fields if the request is partial.
    pub fn body(&mut self, id: MessageId, in_path: &[&[u32]], is_partial: bool) -> Value {
        let plan = self.plan;
        let message = plan.shapes.message(id);
        // Clients omit output-only fields anyway.
        let is_input = |path: &&[u32]| match path {
            [number] => message.field_index(*number).is_none_or(|index| {
                let field = &message.fields[index].name;
                !field_behaviors(&plan.pool, &message.name, field).contains(&OUTPUT_ONLY)
            }),
            _ => true,
        };
        let differs =
            in_path.iter().any(is_input) || (is_partial && self.has_required(id, in_path));
        if message.form == Form::Object && differs {
            self.object(id, in_path, is_partial)
        } else {
            self.message(id)
        }
    }

    /// Whether the message has a required field that the path does not set.
    pub fn has_required(&self, id: MessageId, in_path: &[&[u32]]) -> bool {
        let message = self.plan.shapes.message(id);
        message.fields.iter().any(|field| {
            below(field, in_path).is_empty() && is_required(self.plan, &message.name, &field.name)
        })
    }

    /// The schema of a field with its comment.
    pub fn field(&mut self, message: &str, field: &Field) -> Value {
        let schema = match (field.label, field.kind) {
            (Label::Map, Kind::Message(entry)) => {
                let value = self.plan.shapes.message(entry).fields.get(1).map(|field| field.kind);
                let value = value.map(|kind| self.kind(kind));
                json!({"type": "object", "additionalProperties": value})
            }
            (Label::Repeated { .. }, kind) => json!({"type": "array", "items": self.kind(kind)}),
            (_, kind) => self.kind(kind),
        };
        self.described(schema, message, field)
    }

    /// The schema of a request body that is one field of the request.
    pub fn body_field(
        &mut self,
        message: &str,
        field: &Field,
        in_path: &[&[u32]],
        is_partial: bool,
    ) -> Value {
        match field.kind {
            Kind::Message(id) if field.is_single() => {
                let schema = self.body(id, &below(field, in_path), is_partial);
                self.described(schema, message, field)
            }
            _ => self.field(message, field),
        }
    }

    /// Adds the comment and the behaviour of a field.
    fn described(&self, mut schema: Value, message: &str, field: &Field) -> Value {
        let name = format!("{message}.{}", field.name);
        if let (Some(comment), Some(object)) = (self.comments.get(&name), schema.as_object_mut()) {
            object.insert("description".into(), comment.into());
        }
        let behaviors = field_behaviors(&self.plan.pool, message, &field.name);
        if let Some(object) = schema.as_object_mut() {
            if behaviors.contains(&OUTPUT_ONLY) {
                object.insert("readOnly".into(), true.into());
            }
            if behaviors.contains(&INPUT_ONLY) {
                object.insert("writeOnly".into(), true.into());
            }
        }
        schema
    }

    fn object(&mut self, id: MessageId, in_path: &[&[u32]], is_partial: bool) -> Value {
        let plan = self.plan;
        let message = plan.shapes.message(id);
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in &message.fields {
            let below = below(field, in_path);
            if below.iter().any(|path| path.is_empty()) {
                continue;
            }
            let schema = if below.is_empty() {
                self.field(&message.name, field)
            } else {
                self.body_field(&message.name, field, in_path, is_partial)
            };
            properties.insert(field.json.clone(), schema);
            if !is_partial && below.is_empty() && is_required(plan, &message.name, &field.name) {
                required.push(field.json.clone());
            }
        }
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if let Some(comment) = self.comments.get(&message.name) {
            schema["description"] = comment.into();
        }
        schema
    }

    fn enumeration(&mut self, id: EnumId) -> (String, Value) {
        let of = self.plan.shapes.enumeration(id);
        if of.is_null {
            return (of.name.clone(), json!({"type": "null"}));
        }
        let names: Vec<&str> = of.values.iter().map(|(name, _)| name.as_str()).collect();
        let mut text = self.comments.get(&of.name).unwrap_or_default().to_owned();
        for name in &names {
            if let Some(comment) = self.comments.get(&format!("{}.{name}", of.name)) {
                text.push_str(&format!("\n- `{name}`: {comment}"));
            }
        }
        (of.name.clone(), json!({"type": "string", "enum": names, "description": text.trim()}))
    }
}

/// Whether `google.api.field_behavior` marks the field as required.
pub(super) fn is_required(plan: &Plan, message: &str, field: &str) -> bool {
    field_behaviors(&plan.pool, message, field).contains(&REQUIRED)
}

/// The rest of the paths of field numbers that begin with this field.
fn below<'n>(field: &Field, paths: &[&'n [u32]]) -> Vec<&'n [u32]> {
    let rest = |path: &&'n [u32]| path.strip_prefix(&[field.number]);
    paths.iter().filter_map(rest).collect()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn nullable(schema: &Value) -> Value {
    json!({"oneOf": [schema, {"type": "null"}]})
}
