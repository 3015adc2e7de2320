//! Builds the OpenAPI 3.1 document from the plan that the router uses.

mod comments;
mod operation;
mod schema;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::plan::Plan;
use comments::Comments;
use schema::Schemas;

/// The OpenAPI 3.1 document of all routes.
pub fn openapi(plan: &Plan) -> Value {
    let comments = Comments::new(&plan.pool);
    let mut schemas = Schemas::new(plan, &comments);
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in &plan.routes {
        let (path, operation) = operation::operation(plan, &comments, &mut schemas, route);
        let method = route.method.to_ascii_lowercase();
        let methods = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];
        let item = paths.entry(path).or_default();
        if methods.contains(&method.as_str()) {
            item.entry(method).or_insert(operation);
        }
    }
    let components = json!({
        "schemas": schemas.finish(),
        "responses": {"Error": operation::error_response()},
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "An access token, returned by login and refresh.",
            },
        },
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Agon",
            "version": "v1",
            "description": "Competitive programming: problems, submissions and verdicts. Every \
                operation is also available as a gRPC method.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": components,
    })
}
