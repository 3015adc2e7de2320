//! Converts message and enum types to JSON Schema, in their proto JSON form.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::comments::Comments;
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
        let mut schemas = Schemas {
            plan,
            comments,
            done: BTreeMap::new(),
            pending: Vec::new(),
            seen: BTreeSet::new(),
        };
        let errors = ["Status", "ErrorInfo", "BadRequest", "RetryInfo"];
        for id in errors.iter().filter_map(|name| plan.shapes.find(&format!("google.rpc.{name}"))) {
            schemas.message(id);
        }
        schemas
    }

    /// All referenced schemas by name, including indirect references.
    pub fn finish(mut self) -> BTreeMap<String, Value> {
        while let Some(pending) = self.pending.pop() {
            let (name, schema) = match pending {
                Pending::Message(id) => self.object(id),
                Pending::Enum(id) => self.enumeration(id),
            };
            self.done.insert(name, schema);
        }
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
                json!({"oneOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]})
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

    /// The schema of a field with its comment.
    pub fn field(&mut self, message: &str, field: &Field) -> Value {
        let mut schema = match (field.label, field.kind) {
            (Label::Map, Kind::Message(entry)) => {
                let value = self.plan.shapes.message(entry).fields.get(1).map(|field| field.kind);
                let value = value.map(|kind| self.kind(kind));
                json!({"type": "object", "additionalProperties": value})
            }
            (Label::Repeated { .. }, kind) => json!({"type": "array", "items": self.kind(kind)}),
            (_, kind) => self.kind(kind),
        };
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

    fn object(&mut self, id: MessageId) -> (String, Value) {
        let plan = self.plan;
        let message = plan.shapes.message(id);
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in &message.fields {
            properties.insert(field.json.clone(), self.field(&message.name, field));
            if is_required(plan, &message.name, &field.name) {
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
        (message.name.clone(), schema)
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

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn nullable(schema: &Value) -> Value {
    json!({"oneOf": [schema, {"type": "null"}]})
}
