//! Builds the OpenAPI 3.1 document from the plan that the router uses.

mod comments;
mod errors;
mod operation;
mod path;
mod schema;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::plan::Plan;
use comments::Comments;
use path::Path;
use schema::Schemas;

/// The OpenAPI 3.1 document of all routes.
pub fn openapi(plan: &Plan) -> Value {
    let comments = Comments::new(&plan.pool);
    let mut schemas = Schemas::new(plan, &comments);
    let paths = paths(plan, &comments, &mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Agon",
            "version": "v1",
            "description": "Competitive programming: problems, submissions and verdicts. Every \
                operation is also available as a gRPC method.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": tags(plan, &comments),
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "responses": {"Error": errors::response()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token, returned by login and refresh.",
                },
            },
        },
    })
}

/// The operations by path. Templates that differ in variable names only share the path and the
/// parameter names of the first one.
fn paths(
    plan: &Plan,
    comments: &Comments,
    schemas: &mut Schemas<'_>,
) -> BTreeMap<String, Map<String, Value>> {
    let methods = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut shapes: HashMap<String, Path> = HashMap::new();
    for route in &plan.routes {
        let method = route.method.to_ascii_lowercase();
        if !methods.contains(&method.as_str()) {
            continue;
        }
        let mut path = Path::new(&route.template);
        match shapes.get(&path.shape) {
            Some(first) => path.rename(first),
            None => drop(shapes.insert(path.shape.clone(), path.clone())),
        }
        let operation = operation::operation(plan, comments, schemas, route, &path);
        paths.entry(path.text()).or_default().insert(method, operation);
    }
    paths
}

/// The services, in the order of their names.
fn tags(plan: &Plan, comments: &Comments) -> Vec<Value> {
    let services = plan.routes.iter().filter_map(|route| route.rpc.rsplit_once('.'));
    let services: BTreeSet<&str> = services.map(|(service, _)| service).collect();
    let tag = |service: &&str| {
        let name = service.rsplit('.').next();
        json!({"name": name, "description": comments.get(service).unwrap_or_default()})
    };
    services.iter().map(tag).collect()
}
