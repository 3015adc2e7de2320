//! Converts a route to an OpenAPI operation.

use serde_json::{Value, json};

use super::comments::Comments;
use super::path::Path;
use super::schema::{Schemas, is_required};
use crate::plan::{Body, Plan, Route, access_level};
use crate::shape::{Field, Form, Kind, Label, MessageId};

/// Maximum nesting of messages in dotted query parameters.
const QUERY_DEPTH: usize = 3;

/// The operation of a route at a path.
pub(super) fn operation(
    plan: &Plan,
    comments: &Comments,
    schemas: &mut Schemas<'_>,
    route: &Route,
    path: &Path,
) -> Value {
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
        "parameters": parameters(plan, comments, schemas, route, path),
        "responses": responses(plan, schemas, route),
    });
    if let Some(body) = request_body(plan, schemas, route) {
        operation["requestBody"] = body;
    }
    if access_level(&plan.pool, &route.rpc).as_deref() == Some("LEVEL_NONE") {
        operation["security"] = json!([{}, {"bearer": []}]);
    }
    operation
}

fn summary(comment: &str) -> &str {
    let end = comment.find(". ").or_else(|| comment.find(".\n")).unwrap_or(comment.len());
    comment[..end].trim_end_matches('.')
}

fn parameters(
    plan: &Plan,
    comments: &Comments,
    schemas: &mut Schemas<'_>,
    route: &Route,
    path: &Path,
) -> Vec<Value> {
    let mut all = Vec::new();
    for parameter in &path.parameters {
        let target = parameter.variable.map(|index| &route.variables[index]);
        let (schema, description) = match (target, parameter.variable) {
            (Some(target), Some(index)) if parameter.is_whole => {
                let field_path = &route.template.variables[index].field_path;
                let comment = leaf_comment(plan, comments, route.input, field_path);
                (schemas.kind(target.kind), comment)
            }
            (Some(target), _) => {
                (json!({"type": "string"}), Some(format!("A part of `{}`.", target.name)))
            }
            _ => (json!({"type": "string"}), None),
        };
        let mut value =
            json!({"name": parameter.name, "in": "path", "required": true, "schema": schema});
        if let Some(description) = description {
            value["description"] = description.into();
        }
        all.push(value);
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

/// The request body. It is required if the request has no meaning without it.
fn request_body(plan: &Plan, schemas: &mut Schemas<'_>, route: &Route) -> Option<Value> {
    let message = plan.shapes.message(route.input);
    let is_required_field = |index: usize| {
        let field: &Field = &message.fields[index];
        is_required(plan, &message.name, &field.name)
    };
    let in_path: Vec<&[u32]> = route.variables.iter().map(|v| v.numbers.as_slice()).collect();
    let is_partial = route.mask.is_some();
    let json = |schema: Value| json!({"application/json": {"schema": schema}});
    let (required, content) = match route.body {
        Body::None => return None,
        Body::All if route.upload.is_some() => (true, upload(route)),
        Body::Field(index) if route.upload.is_some() => (is_required_field(index), upload(route)),
        Body::All => {
            let schema = schemas.body(route.input, &in_path, is_partial);
            (schemas.has_required(route.input, &in_path), json(schema))
        }
        Body::Field(index) => {
            let field = &message.fields[index];
            let schema = schemas.body_field(&message.name, field, &in_path, is_partial);
            (is_required_field(index), json(schema))
        }
    };
    Some(json!({"required": required, "content": content}))
}

fn upload(route: &Route) -> Value {
    let mut content = json!({"*/*": {}});
    if route.client_streaming {
        let file = json!({"type": "string", "contentMediaType": "application/octet-stream"});
        let form = json!({"type": "object", "properties": {"file": file}, "required": ["file"]});
        content["multipart/form-data"] = json!({"schema": form});
    }
    content
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
        "4XX": {"$ref": "#/components/responses/Error"},
        "default": {"$ref": "#/components/responses/Error"},
    });
    if route.reply_etag.is_some() && route.method == "GET" {
        responses["304"] = json!({"description": "Not modified"});
    }
    responses
}
