//! Messages and enums as the converters want them: arrays addressed by number, names already looked
//! up, well-known types recognised. Built once from the descriptors.

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

/// A message type.
#[derive(Debug)]
pub struct Message {
    /// The full name, `package.Message`.
    pub name: String,
    /// The fields, by number.
    pub fields: Vec<Field>,
    /// How proto JSON treats the type.
    pub form: Form,
    by_name: HashMap<String, usize>,
    /// Field numbers and indices, ascending.
    by_number: Vec<(u32, usize)>,
}

/// How proto JSON represents a message type.
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
    /// A wrapper such as `google.protobuf.StringValue`: its bare value.
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

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// The name in the proto file.
    pub name: String,
    /// The JSON name.
    pub json: String,
    /// The JSON name as an object key, quoted and with its colon.
    pub key: String,
    /// The field number.
    pub number: u32,
    /// The type of one value.
    pub kind: Kind,
    /// How many values, and whether absence is different from the default.
    pub label: Label,
    /// The (real) oneof the field belongs to.
    pub oneof: Option<usize>,
}

/// How many values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// One value; absent means the default.
    Implicit,
    /// One value or none.
    Explicit,
    /// Any number of values.
    Repeated {
        /// Whether we write them packed.
        packed: bool,
    },
    /// A map; the kind is the entry message, whose fields are the key and the value.
    Map,
}

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `double`
    Double,
    /// `float`
    Float,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `uint32`
    Uint32,
    /// `uint64`
    Uint64,
    /// `sint32`
    Sint32,
    /// `sint64`
    Sint64,
    /// `fixed32`
    Fixed32,
    /// `fixed64`
    Fixed64,
    /// `sfixed32`
    Sfixed32,
    /// `sfixed64`
    Sfixed64,
    /// `bool`
    Bool,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// An enum.
    Enum(EnumId),
    /// A message.
    Message(MessageId),
}

/// An enum type.
#[derive(Debug)]
pub struct Enum {
    /// The full name.
    pub name: String,
    /// `google.protobuf.NullValue`, whose JSON is `null`.
    pub is_null: bool,
    /// The values in the order of the file, aliases included.
    pub values: Vec<(String, i32)>,
    by_name: HashMap<String, i32>,
    by_number: HashMap<i32, usize>,
}

impl Shapes {
    /// Reads every type of a pool.
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

    /// The message type of that full name.
    pub fn find(&self, name: &str) -> Option<MessageId> {
        self.by_name.get(name).copied()
    }

    /// A message type.
    pub fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0 as usize]
    }

    /// An enum type.
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

    /// The field of that JSON name or proto name.
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        let index = *self.by_name.get(name)?;
        Some((index, &self.fields[index]))
    }

    /// The index of the field of that number.
    pub fn field_index(&self, number: u32) -> Option<usize> {
        let at = self.by_number.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.by_number[at].1)
    }

    /// Whether proto JSON writes the type inside an Any as `{"@type", "value"}`.
    pub fn is_special(&self) -> bool {
        self.form != Form::Object || self.name == "google.protobuf.Empty"
    }
}

impl Enum {
    fn new(reflected: &prost_reflect::EnumDescriptor) -> Enum {
        // The descriptor's own list keeps the order of the file, in which the first alias wins.
        let values: Vec<(String, i32)> = reflected
            .enum_descriptor_proto()
            .value
            .iter()
            .map(|value| (value.name().to_owned(), value.number()))
            .collect();
        let mut by_number = HashMap::new();
        for (index, (_, number)) in values.iter().enumerate() {
            by_number.entry(*number).or_insert(index);
        }
        Enum {
            name: reflected.full_name().to_owned(),
            is_null: reflected.full_name() == "google.protobuf.NullValue",
            by_name: values.iter().cloned().collect(),
            by_number,
            values,
        }
    }

    /// The number of a value's name.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.by_name.get(name).copied()
    }

    /// The (first) name of a number.
    pub fn name_of(&self, number: i32) -> Option<&str> {
        self.by_number.get(&number).map(|index| self.values[*index].0.as_str())
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
