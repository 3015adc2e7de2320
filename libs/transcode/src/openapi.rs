//! The OpenAPI document of a plan.

use serde_json::{Value, json};

use crate::plan::Plan;

/// The OpenAPI 3.1 document of every binding.
pub fn openapi(plan: &Plan) -> Value {
    json!({"openapi": "3.1.0", "paths": {}, "x-routes": plan.routes().len()})
}
