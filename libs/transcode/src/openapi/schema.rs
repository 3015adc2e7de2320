//! Message and enum types as JSON Schema, as proto JSON writes them.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::ReflectMessage as _;
use serde_json::{Map, Value, json};

use super::comments::Comments;
use crate::plan::Plan;
use crate::shape::{EnumId, Field, Form, Kind, Label, MessageId};

/// The schemas that were referred to, which grow while they are written.
pub(super) struct Schemas<'p> {
    plan: &'p Plan,
    comments: &'p Comments,
    done: BTreeMap<String, Value>,
    wanted: Vec<Wanted>,
    seen: BTreeSet<String>,
}

enum Wanted {
    Message(MessageId),
    Enum(EnumId),
}

impl<'p> Schemas<'p> {
    pub fn new(plan: &'p Plan, comments: &'p Comments) -> Self {
        let mut schemas = Schemas {
            plan,
            comments,
            done: BTreeMap::new(),
            wanted: Vec::new(),
            seen: BTreeSet::new(),
        };
        let errors = ["Status", "ErrorInfo", "BadRequest", "RetryInfo"];
        for id in errors.iter().filter_map(|name| plan.shapes.find(&format!("google.rpc.{name}"))) {
            schemas.message(id);
        }
        schemas
    }

    /// Writes everything that was referred to, and what that refers to.
    pub fn finish(mut self) -> BTreeMap<String, Value> {
        while let Some(wanted) = self.wanted.pop() {
            let (name, schema) = match wanted {
                Wanted::Message(id) => self.object(id),
                Wanted::Enum(id) => self.enumeration(id),
            };
            self.done.insert(name, schema);
        }
        self.done
    }

    /// The schema of a message type: a reference, or what a well-known type looks like.
    pub fn message(&mut self, id: MessageId) -> Value {
        let message = self.plan.shapes.message(id);
        match message.form {
            Form::Object => {}
            Form::Timestamp => return json!({"type": "string", "format": "date-time"}),
            Form::Duration => {
                return json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$"});
            }
            Form::FieldMask => {
                let text = "Field paths in JSON names, separated by commas; `*` for all.";
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
            self.wanted.push(Wanted::Message(id));
        }
        reference(&name)
    }

    /// The schema of one value.
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
                    self.wanted.push(Wanted::Enum(id));
                }
                reference(&name)
            }
        }
    }

    /// The schema of a field, with its comment.
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
        let behaviours = behaviours(self.plan, message, &field.name);
        if let Some(object) = schema.as_object_mut() {
            if behaviours.contains(&OUTPUT_ONLY) {
                object.insert("readOnly".into(), true.into());
            }
            if behaviours.contains(&INPUT_ONLY) {
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

const REQUIRED: i32 = 2;
const OUTPUT_ONLY: i32 = 3;
const INPUT_ONLY: i32 = 4;

/// Whether `google.api.field_behavior` calls a field required.
pub(super) fn is_required(plan: &Plan, message: &str, field: &str) -> bool {
    behaviours(plan, message, field).contains(&REQUIRED)
}

fn behaviours(plan: &Plan, message: &str, field: &str) -> Vec<i32> {
    let extension = plan.pool.get_extension_by_name("google.api.field_behavior");
    let message = plan.pool.get_message_by_name(message);
    let field = message.and_then(|message| message.get_field_by_name(field));
    let (Some(extension), Some(field)) = (extension, field) else { return Vec::new() };
    let options = field.options();
    debug_assert!(options.descriptor().full_name().ends_with("FieldOptions"));
    let given = options.get_extension(&extension);
    let list = given.as_list().unwrap_or_default();
    list.iter().filter_map(prost_reflect::Value::as_enum_number).collect()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn nullable(schema: &Value) -> Value {
    json!({"oneOf": [schema, {"type": "null"}]})
}
