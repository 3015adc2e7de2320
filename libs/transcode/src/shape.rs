//! Message and enum types in a form that is fast to convert: types are array indices, well-known
//! types are resolved. Built once from the descriptors.

use std::collections::HashMap;

use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind as Reflected};

/// A message type: an index into [`Shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(u32);

/// An enum type: an index into [`Shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnumId(u32);

/// Every message and enum type of a descriptor set.
#[derive(Debug)]
pub struct Shapes {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    by_name: HashMap<String, MessageId>,
}

#[derive(Debug)]
pub struct Message {
    /// The full name, `package.Message`.
    pub name: String,
    /// The fields, in the order of the descriptor.
    pub fields: Vec<Field>,
    /// The proto JSON form of the type.
    pub form: Form,
    by_name: HashMap<String, usize>,
    /// Field numbers and indices, ascending.
    by_number: Vec<(u32, usize)>,
}

/// The proto JSON form of a message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An object with a member per field.
    Object,
    /// `google.protobuf.Timestamp`: a string.
    Timestamp,
    /// `google.protobuf.Duration`: a string.
    Duration,
    /// `google.protobuf.FieldMask`: a string.
    FieldMask,
    /// A wrapper such as `google.protobuf.StringValue`: its value.
    Wrapper,
    /// `google.protobuf.Struct`: any object.
    Struct,
    /// `google.protobuf.Value`: any value.
    Value,
    /// `google.protobuf.ListValue`: any array.
    ListValue,
    /// `google.protobuf.Any`: an object with `@type`.
    Any,
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub json: String,
    /// The JSON name as an object key, with quotes and colon.
    pub key: String,
    pub number: u32,
    /// The type of one value.
    pub kind: Kind,
    /// The number of values, and whether the field has presence.
    pub label: Label,
    /// The oneof of the field; `None` for the synthetic oneof of an `optional` field.
    pub oneof: Option<usize>,
}

/// The number of values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// One value without presence: absence means the default.
    Implicit,
    /// One value with presence.
    Explicit,
    /// Any number of values.
    Repeated {
        /// Whether the values are written packed.
        packed: bool,
    },
    /// A map. The kind is the entry message, whose fields are the key and the value.
    Map,
}

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
}

#[derive(Debug)]
pub struct Enum {
    /// The full name.
    pub name: String,
    /// `google.protobuf.NullValue`, whose JSON is `null`.
    pub is_null: bool,
    /// The values in the order of the file, including aliases.
    pub values: Vec<(String, i32)>,
    by_name: HashMap<String, i32>,
    /// Numbers and the indices of their first values, ascending.
    by_number: Vec<(i32, usize)>,
}

impl Shapes {
    pub fn new(pool: &DescriptorPool) -> Shapes {
        let number = |index: usize| u32::try_from(index).expect("fewer than 2^32 types");
        let mut message_ids = HashMap::new();
        for (index, message) in pool.all_messages().enumerate() {
            message_ids.insert(message.full_name().to_owned(), MessageId(number(index)));
        }
        let mut enum_ids = HashMap::new();
        let mut enums = Vec::new();
        for (index, reflected) in pool.all_enums().enumerate() {
            enum_ids.insert(reflected.full_name().to_owned(), EnumId(number(index)));
            enums.push(Enum::new(&reflected));
        }
        let kind = |field: &FieldDescriptor| kind(&field.kind(), &message_ids, &enum_ids);
        let messages = pool.all_messages().map(|message| Message::new(&message, kind)).collect();
        Shapes { messages, enums, by_name: message_ids }
    }

    /// The message type with this full name.
    pub fn find(&self, name: &str) -> Option<MessageId> {
        self.by_name.get(name).copied()
    }

    pub fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0 as usize]
    }

    pub fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.0 as usize]
    }
}

impl Message {
    fn new(
        reflected: &prost_reflect::MessageDescriptor,
        kind: impl Fn(&FieldDescriptor) -> Kind,
    ) -> Message {
        let mut real_oneofs = HashMap::new();
        for oneof in reflected.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            real_oneofs.insert(oneof.full_name().to_owned(), real_oneofs.len());
        }
        let mut fields = Vec::new();
        let mut by_name = HashMap::new();
        let mut by_number = Vec::new();
        for (index, field) in reflected.fields().enumerate() {
            by_name.insert(field.json_name().to_owned(), index);
            by_number.push((field.number(), index));
            let oneof = field.containing_oneof();
            fields.push(Field {
                name: field.name().to_owned(),
                json: field.json_name().to_owned(),
                key: format!("{}:", serde_json::Value::from(field.json_name())),
                number: field.number(),
                kind: kind(&field),
                label: label(&field),
                oneof: oneof.and_then(|oneof| real_oneofs.get(oneof.full_name()).copied()),
            });
        }
        for (index, field) in reflected.fields().enumerate() {
            by_name.entry(field.name().to_owned()).or_insert(index);
        }
        by_number.sort_unstable();
        let form = form(reflected.full_name());
        Message { name: reflected.full_name().to_owned(), fields, form, by_name, by_number }
    }

    /// The field with this JSON name or proto name.
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        let index = *self.by_name.get(name)?;
        Some((index, &self.fields[index]))
    }

    pub fn field_index(&self, number: u32) -> Option<usize> {
        // Most messages number their fields from 1 without gaps.
        match self.by_number.get((number as usize).wrapping_sub(1)) {
            Some((found, index)) if *found == number => return Some(*index),
            _ => {}
        }
        let at = self.by_number.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.by_number[at].1)
    }

    /// Whether proto JSON writes the type inside an Any as `{"@type", "value"}`.
    pub fn is_special(&self) -> bool {
        self.form != Form::Object || self.name == "google.protobuf.Empty"
    }
}

impl Field {
    /// Whether the field is neither repeated nor a map.
    pub fn is_single(&self) -> bool {
        matches!(self.label, Label::Implicit | Label::Explicit)
    }
}

impl Enum {
    fn new(reflected: &prost_reflect::EnumDescriptor) -> Enum {
        // The descriptor lists the values in the order of the file; the first alias takes
        // precedence.
        let values: Vec<(String, i32)> = reflected
            .enum_descriptor_proto()
            .value
            .iter()
            .map(|value| (value.name().to_owned(), value.number()))
            .collect();
        let numbers = values.iter().map(|(_, number)| *number);
        let mut by_number: Vec<(i32, usize)> = numbers.zip(0..).collect();
        by_number.sort_unstable();
        by_number.dedup_by_key(|(number, _)| *number);
        Enum {
            name: reflected.full_name().to_owned(),
            is_null: reflected.full_name() == "google.protobuf.NullValue",
            by_name: values.iter().cloned().collect(),
            by_number,
            values,
        }
    }

    pub fn number(&self, name: &str) -> Option<i32> {
        self.by_name.get(name).copied()
    }

    /// The first name of a number.
    pub fn name_of(&self, number: i32) -> Option<&str> {
        let at = self.by_number.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.values[self.by_number[at].1].0.as_str())
    }
}

fn label(field: &FieldDescriptor) -> Label {
    if field.is_map() {
        Label::Map
    } else if field.cardinality() == Cardinality::Repeated {
        Label::Repeated { packed: field.is_packed() }
    } else if field.supports_presence() {
        Label::Explicit
    } else {
        Label::Implicit
    }
}

fn kind(
    reflected: &Reflected,
    messages: &HashMap<String, MessageId>,
    enums: &HashMap<String, EnumId>,
) -> Kind {
    match reflected {
        Reflected::Double => Kind::Double,
        Reflected::Float => Kind::Float,
        Reflected::Int32 => Kind::Int32,
        Reflected::Int64 => Kind::Int64,
        Reflected::Uint32 => Kind::Uint32,
        Reflected::Uint64 => Kind::Uint64,
        Reflected::Sint32 => Kind::Sint32,
        Reflected::Sint64 => Kind::Sint64,
        Reflected::Fixed32 => Kind::Fixed32,
        Reflected::Fixed64 => Kind::Fixed64,
        Reflected::Sfixed32 => Kind::Sfixed32,
        Reflected::Sfixed64 => Kind::Sfixed64,
        Reflected::Bool => Kind::Bool,
        Reflected::String => Kind::String,
        Reflected::Bytes => Kind::Bytes,
        Reflected::Message(message) => Kind::Message(messages[message.full_name()]),
        Reflected::Enum(reflected) => Kind::Enum(enums[reflected.full_name()]),
    }
}

fn form(name: &str) -> Form {
    let Some(name) = name.strip_prefix("google.protobuf.") else { return Form::Object };
    match name {
        "Timestamp" => Form::Timestamp,
        "Duration" => Form::Duration,
        "FieldMask" => Form::FieldMask,
        "Struct" => Form::Struct,
        "Value" => Form::Value,
        "ListValue" => Form::ListValue,
        "Any" => Form::Any,
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
        | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue" => Form::Wrapper,
        _ => Form::Object,
    }
}
