//! Errors over HTTP: the HTTP status of each gRPC code, `google.rpc.Status` as JSON, problem
//! details.

use prost_reflect::{DescriptorError, DescriptorPool};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MessageOptions};
use serde_json::{Value, json};

use crate::json::write::Defaults;
use crate::plan::Plan;
use crate::wire;

pub(crate) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a gRPC code; `UNKNOWN` for an unknown number.
pub fn code_name(code: i32) -> &'static str {
    usize::try_from(code).ok().and_then(|code| CODES.get(code)).copied().unwrap_or("UNKNOWN")
}

/// The HTTP status of a gRPC code; 500 for an unknown number.
pub fn http_status(code: i32) -> u16 {
    match code {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// An error as `google.rpc.Status`. `details` is the encoded Status of `grpc-status-details-bin`,
/// of which only the details are used; malformed ones are omitted.
pub fn status_json(plan: &Plan, code: i32, message: &str, details: &[u8]) -> Value {
    json!({
        "code": code,
        "message": message,
        "status": code_name(code),
        "details": details_json(plan, details),
    })
}

/// An error as RFC 9457 problem details. The arguments are those of [`status_json`].
pub fn problem_json(plan: &Plan, http: u16, code: i32, message: &str, details: &[u8]) -> Value {
    let details = details_json(plan, details);
    let reason = details.iter().find_map(|detail| detail.get("reason")).cloned();
    json!({
        "type": "about:blank",
        "title": reason.unwrap_or_else(|| code_name(code).into()),
        "status": http,
        "detail": message,
        "code": code_name(code),
        "details": details,
    })
}

fn details_json(plan: &Plan, details: &[u8]) -> Vec<Value> {
    let mut all = Vec::new();
    let mut reader = wire::Reader::new(details);
    while let Ok(Some((number, raw))) = reader.field() {
        if let (3, wire::Raw::Bytes(any)) = (number, raw)
            && let Ok(json) = plan.wire_to_json("google.protobuf.Any", any, Defaults::Emit)
            && let Ok(value) = serde_json::from_slice(&json)
        {
            all.push(value);
        }
    }
    all
}

/// The `google.rpc` types of errors: the message and its fields as `name:number:type`. The type is
/// `s` (string), `i` (int32), `S` (repeated string), `m` (map of strings) or the name of a message,
/// after `*` if repeated.
const TYPES: &[(&str, &str)] = &[
    ("Status", "code:1:i message:2:s details:3:*google.protobuf.Any"),
    ("ErrorInfo", "reason:1:s domain:2:s metadata:3:m"),
    ("RetryInfo", "retry_delay:1:google.protobuf.Duration"),
    ("DebugInfo", "stack_entries:1:S detail:2:s"),
    ("QuotaFailure", "violations:1:*google.rpc.QuotaFailure.Violation"),
    ("QuotaFailure.Violation", "subject:1:s description:2:s"),
    ("PreconditionFailure", "violations:1:*google.rpc.PreconditionFailure.Violation"),
    ("PreconditionFailure.Violation", "type:1:s subject:2:s description:3:s"),
    ("BadRequest", "field_violations:1:*google.rpc.BadRequest.FieldViolation"),
    (
        "BadRequest.FieldViolation",
        "field:1:s description:2:s reason:3:s localized_message:4:google.rpc.LocalizedMessage",
    ),
    ("RequestInfo", "request_id:1:s serving_data:2:s"),
    ("ResourceInfo", "resource_type:1:s resource_name:2:s owner:3:s description:4:s"),
    ("Help", "links:1:*google.rpc.Help.Link"),
    ("Help.Link", "description:1:s url:2:s"),
    ("LocalizedMessage", "locale:1:s message:2:s"),
];

/// Adds the types of errors that the descriptor set does not have.
pub(crate) fn add_types(pool: &mut DescriptorPool) -> Result<(), DescriptorError> {
    for name in ["google/protobuf/any.proto", "google/protobuf/duration.proto"] {
        if pool.get_file_by_name(name).is_none()
            && let Some(file) = DescriptorPool::global().get_file_by_name(name)
        {
            pool.add_file_descriptor_proto(file.file_descriptor_proto().clone())?;
        }
    }
    if pool.get_message_by_name("google.rpc.Status").is_some() {
        return Ok(());
    }
    let mut messages: Vec<DescriptorProto> = Vec::new();
    for (name, fields) in TYPES {
        let (parent, name) = name.rsplit_once('.').map_or((None, *name), |(p, n)| (Some(p), n));
        let message = message(name, parent, fields);
        match parent.and_then(|parent| messages.iter_mut().find(|m| m.name() == parent)) {
            Some(parent) => parent.nested_type.push(message),
            None => messages.push(message),
        }
    }
    pool.add_file_descriptor_proto(FileDescriptorProto {
        name: Some("agon/edge/google_rpc.proto".into()),
        package: Some("google.rpc".into()),
        dependency: vec![
            "google/protobuf/any.proto".into(),
            "google/protobuf/duration.proto".into(),
        ],
        message_type: messages,
        syntax: Some("proto3".into()),
        ..Default::default()
    })
}

fn message(name: &str, parent: Option<&str>, fields: &str) -> DescriptorProto {
    let mut message = DescriptorProto { name: Some(name.into()), ..Default::default() };
    for field in fields.split(' ') {
        let mut parts = field.split(':');
        let (name_part, number, kind) = (parts.next(), parts.next(), parts.next());
        let number = number.and_then(|number| number.parse().ok());
        let kind = kind.unwrap_or_default();
        let (repeated, type_name) = match kind {
            "s" | "i" => (false, None),
            "S" => (true, None),
            "m" => {
                message.nested_type.push(map_entry());
                let scope = parent.map(|parent| format!("{parent}.")).unwrap_or_default();
                (true, Some(format!(".google.rpc.{scope}{name}.MetadataEntry")))
            }
            other => (other.starts_with('*'), Some(format!(".{}", other.trim_start_matches('*')))),
        };
        let r#type = match (&type_name, kind) {
            (Some(_), _) => Type::Message,
            (None, "i") => Type::Int32,
            _ => Type::String,
        };
        message.field.push(FieldDescriptorProto {
            name: name_part.map(str::to_owned),
            number,
            label: Some(if repeated { Label::Repeated } else { Label::Optional } as i32),
            r#type: Some(r#type as i32),
            type_name,
            ..Default::default()
        });
    }
    message
}

fn map_entry() -> DescriptorProto {
    let mut entry = message("MetadataEntry", None, "key:1:s value:2:s");
    entry.options = Some(MessageOptions { map_entry: Some(true), ..Default::default() });
    entry
}
