//! Converts a route to an OpenAPI operation.

use serde_json::{Map, Value, json};

use super::comments::Comments;
use super::schema::{Schemas, is_required};
use crate::plan::{Body, Plan, Route, access_level};
use crate::shape::{Field, Form, Kind, Label, MessageId};
use crate::template::Segment;

/// Maximum nesting of messages in dotted query parameters.
const QUERY_DEPTH: usize = 3;

/// Returns the OpenAPI path and the operation.
pub(super) fn operation(
    plan: &Plan,
    comments: &Comments,
    schemas: &mut Schemas<'_>,
    route: &Route,
) -> (String, Value) {
    let comment = comments.get(&route.rpc).unwrap_or_default();
    let service = route.rpc.rsplit('.').nth(1).unwrap_or_default();
    let method = route.rpc.rsplit('.').next().unwrap_or_default();
    let bindings = plan.routes.iter().filter(|other| other.rpc == route.rpc);
    let id = match bindings.take_while(|other| !std::ptr::eq(*other, route)).count() {
        0 => format!("{service}_{method}"),
        earlier => format!("{service}_{method}_{}", earlier + 1),
    };
    let mut operation = json!({
        "operationId": id,
        "tags": [service],
        "summary": summary(comment),
        "description": comment,
        "parameters": parameters(plan, comments, schemas, route),
        "responses": responses(plan, schemas, route),
    });
    if let Some(body) = request_body(plan, schemas, route) {
        operation["requestBody"] = body;
    }
    if access_level(&plan.pool, &route.rpc).as_deref() == Some("LEVEL_NONE") {
        operation["security"] = json!([{}, {"bearer": []}]);
    }
    (path(route), operation)
}

fn summary(comment: &str) -> &str {
    let end = comment.find(". ").or_else(|| comment.find(".\n")).unwrap_or(comment.len());
    comment[..end].trim_end_matches('.')
}

/// The template in OpenAPI syntax. A variable of several segments becomes its literals and one
/// parameter per wildcard.
fn path(route: &Route) -> String {
    let mut path = String::new();
    let template = &route.template;
    for (index, segment) in template.segments.iter().enumerate() {
        path.push('/');
        let variable = template.variables.iter().find(|v| (v.start..v.end).contains(&index));
        match (segment, variable) {
            (Segment::Literal(text), _) => path.push_str(text),
            (_, Some(variable)) => path.push_str(&format!("{{{}}}", variable.field_path.join("."))),
            (_, None) => path.push_str(&format!("{{segment{index}}}")),
        }
    }
    if !template.verb.is_empty() {
        path.push(':');
        path.push_str(&template.verb);
    }
    if path.is_empty() { "/".into() } else { path }
}

fn parameters(
    plan: &Plan,
    comments: &Comments,
    schemas: &mut Schemas<'_>,
    route: &Route,
) -> Vec<Value> {
    let mut all = Vec::new();
    for (variable, target) in route.template.variables.iter().zip(&route.variables) {
        let comment = leaf_comment(plan, comments, route.input, &variable.field_path);
        all.push(json!({
            "name": target.name,
            "in": "path",
            "required": true,
            "description": comment,
            "schema": schemas.kind(target.kind),
        }));
    }
    for (index, segment) in route.template.segments.iter().enumerate() {
        let bound = route.template.variables.iter().any(|v| (v.start..v.end).contains(&index));
        if !bound && !matches!(segment, Segment::Literal(_)) {
            let name = format!("segment{index}");
            all.push(
                json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
            );
        }
    }
    if route.body != Body::All {
        query(plan, schemas, route, route.input, &mut Vec::new(), &mut Vec::new(), &mut all);
    }
    let mut header = |name: &str, text: &str| {
        let schema = json!({"type": "string"});
        all.push(json!({"name": name, "in": "header", "description": text, "schema": schema}));
    };
    if route.request_id.is_some() {
        header(
            "Idempotency-Key",
            "Makes retries safe: a repeated request with the same key returns the same response.",
        );
    }
    if route.etag.is_some() {
        header(
            "If-Match",
            "The etag that the change is based on. The response is 412 if it is not current.",
        );
    }
    if route.reply_etag.is_some() && route.method == "GET" {
        header(
            "If-None-Match",
            "The etag of the client's copy. The response is 304 if it is still current.",
        );
    }
    if route.cursor.is_some() {
        header("Last-Event-ID", "Resumes an event stream after this event.");
    }
    all
}

fn leaf_comment(
    plan: &Plan,
    comments: &Comments,
    mut id: MessageId,
    path: &[String],
) -> Option<String> {
    let mut name = None;
    for part in path {
        let message = plan.shapes.message(id);
        let (_, field) = message.field(part)?;
        name = Some(format!("{}.{}", message.name, field.name));
        if let Kind::Message(inner) = field.kind {
            id = inner;
        }
    }
    comments.get(&name?).map(str::to_owned)
}

/// Adds a parameter for each field that is neither in the path nor in the body.
fn query(
    plan: &Plan,
    schemas: &mut Schemas<'_>,
    route: &Route,
    id: MessageId,
    path: &mut Vec<String>,
    numbers: &mut Vec<u32>,
    all: &mut Vec<Value>,
) {
    let message = plan.shapes.message(id);
    for (index, field) in message.fields.iter().enumerate() {
        if numbers.is_empty() && route.body == Body::Field(index) {
            continue;
        }
        path.push(field.json.clone());
        numbers.push(field.number);
        let in_path = route.variables.iter().any(|target| target.numbers == *numbers);
        match object(plan, field) {
            Some(inner) if numbers.len() < QUERY_DEPTH => {
                query(plan, schemas, route, inner, path, numbers, all);
            }
            Some(_) => {}
            None if in_path || field.label == Label::Map || is_message_list(plan, field) => {}
            None => {
                let mut schema = schemas.field(&message.name, field);
                let description = schema.as_object_mut().and_then(|o| o.remove("description"));
                let required = is_required(plan, &message.name, &field.name);
                let mut parameter =
                    json!({"name": path.join("."), "in": "query", "schema": schema});
                if let Some(description) = description {
                    parameter["description"] = description;
                }
                if required && numbers.len() == 1 {
                    parameter["required"] = true.into();
                }
                all.push(parameter);
            }
        }
        path.pop();
        numbers.pop();
    }
}

/// The message type of a single field whose JSON is an object.
fn object(plan: &Plan, field: &Field) -> Option<MessageId> {
    match field.kind {
        Kind::Message(id) if field.is_single() && plan.shapes.message(id).form == Form::Object => {
            Some(id)
        }
        _ => None,
    }
}

fn is_message_list(plan: &Plan, field: &Field) -> bool {
    let of_objects = matches!(field.kind, Kind::Message(id)
        if matches!(plan.shapes.message(id).form, Form::Object | Form::Any));
    of_objects && matches!(field.label, Label::Repeated { .. })
}

fn request_body(plan: &Plan, schemas: &mut Schemas<'_>, route: &Route) -> Option<Value> {
    if route.upload.is_some() {
        let file = json!({"type": "string", "contentMediaType": "application/octet-stream"});
        let mut content = Map::new();
        content.insert("*/*".into(), json!({}));
        if route.client_streaming {
            let form =
                json!({"type": "object", "properties": {"file": file}, "required": ["file"]});
            content.insert("multipart/form-data".into(), json!({"schema": form}));
        }
        return Some(json!({"required": true, "content": content}));
    }
    let schema = match route.body {
        Body::None => return None,
        Body::All => schemas.message(route.input),
        Body::Field(index) => {
            let message = plan.shapes.message(route.input);
            schemas.field(&message.name, &message.fields[index])
        }
    };
    Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}))
}

fn responses(plan: &Plan, schemas: &mut Schemas<'_>, route: &Route) -> Value {
    let content = if route.download.is_some() {
        json!({"*/*": {}})
    } else {
        let schema = match route.response_body {
            None => schemas.message(route.output),
            Some(index) => {
                let message = plan.shapes.message(route.output);
                schemas.field(&message.name, &message.fields[index])
            }
        };
        if route.server_streaming {
            json!({
                "application/x-ndjson": {"schema": schema},
                "text/event-stream": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "array", "items": schema}},
            })
        } else {
            json!({"application/json": {"schema": schema}})
        }
    };
    let mut responses = json!({
        "200": {"description": "OK", "content": content},
        "default": {"$ref": "#/components/responses/Error"},
    });
    if route.reply_etag.is_some() && route.method == "GET" {
        responses["304"] = json!({"description": "Not modified"});
    }
    responses
}

pub(super) fn error_response() -> Value {
    let status = json!({
        "allOf": [{"$ref": "#/components/schemas/google.rpc.Status"}],
        "properties": {"status": {"type": "string", "description": "The name of the code."}},
    });
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
    let problem = json!({
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string"},
            "details": {"type": "array", "items": {"type": "object"}},
        },
    });
    json!({
        "description": "An error. `Accept: application/problem+json` selects RFC 9457 problem details.",
        "headers": {
            "Retry-After": {"description": "Seconds to wait before a retry.", "schema": {"type": "integer"}},
            "WWW-Authenticate": {"description": "Sent with 401.", "schema": {"type": "string"}},
        },
        "content": {
            "application/json": {"schema": status, "example": example},
            "application/problem+json": {"schema": problem},
        },
    })
}
