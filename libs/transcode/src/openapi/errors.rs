//! The schema and the response of errors.

use serde_json::{Value, json};

use crate::status;

/// `Error`: what [`status::status_json`] returns.
pub(super) fn error() -> Value {
    json!({
        "type": "object",
        "description": "An error: `google.rpc.Status` and the name of its code.",
        "required": ["code", "message", "status", "details"],
        "properties": {
            "code": {"type": "integer", "format": "int32", "description": "The gRPC code."},
            "message": {"type": "string", "description": "For people; may change."},
            "status": {
                "type": "string",
                "enum": status::CODES[1..],
                "description": "The name of the code.",
            },
            "details": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/ErrorDetail"},
                "description": "The reason, and the invalid fields or the time to wait.",
            },
        },
    })
}

/// `ErrorDetail`: one flat type, because generators differ in their support of unions.
pub(super) fn error_detail() -> Value {
    let violation = json!({
        "type": "object",
        "required": ["field", "description"],
        "properties": {
            "field": {"type": "string", "description": "The path of the request field."},
            "description": {"type": "string", "description": "What is wrong, and what is valid."},
        },
    });
    json!({
        "type": "object",
        "description": "A detail of an error. `@type` selects the fields that are present.",
        "required": ["@type"],
        "properties": {
            "@type": {
                "type": "string",
                "description": "`type.googleapis.com/` and `google.rpc.ErrorInfo`, \
                    `google.rpc.BadRequest`, `google.rpc.RetryInfo` or another type.",
            },
            "reason": {
                "type": "string",
                "description": "ErrorInfo: the reason of the error, for programs.",
            },
            "domain": {"type": "string", "description": "ErrorInfo: the domain of the reason."},
            "metadata": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "ErrorInfo: values that belong to the reason.",
            },
            "fieldViolations": {
                "type": "array",
                "items": violation,
                "description": "BadRequest: the invalid fields of the request.",
            },
            "retryDelay": {
                "type": "string",
                "pattern": "^[0-9]+(\\.[0-9]{1,9})?s$",
                "description": "RetryInfo: the time to wait before a retry.",
            },
            "value": {
                "type": "string",
                "contentEncoding": "base64",
                "description": "The encoded message of a type that the server cannot convert.",
            },
        },
    })
}

/// The response of every failed request.
pub(super) fn response() -> Value {
    let example = json!({
        "code": 5,
        "message": "problem not found",
        "status": "NOT_FOUND",
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "PROBLEM_NOT_FOUND",
            "domain": "agon",
            "metadata": {},
        }],
    });
    json!({
        "description": "An error. `Accept: application/problem+json` selects the problem details \
            of RFC 9457 instead.",
        "headers": {
            "Retry-After": {
                "description": "Seconds to wait before a retry.",
                "schema": {"type": "integer"},
            },
            "WWW-Authenticate": {"description": "Sent with 401.", "schema": {"type": "string"}},
        },
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Error"},
                "example": example,
            },
        },
    })
}
