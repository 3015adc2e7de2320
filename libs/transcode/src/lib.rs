//! Transcodes HTTP and JSON to gRPC and back, by descriptors.
//!
//! Owns the `google.api.http` rules (templates, routing, binding), the conversion between proto
//! JSON and the wire format (without building messages), errors over HTTP and the OpenAPI document.
//! A [`Plan`] is built once from an encoded descriptor set; that is when invalid rules are
//! reported. Must not know servers, transports or the meaning of messages.

mod bind;
mod error;
mod json;
mod number;
mod openapi;
mod percent;
mod plan;
mod query;
mod router;
mod routes;
mod scalar;
mod shape;
mod status;
mod template;
mod wire;

pub use bind::Parts;
pub use error::{PlanError, RequestError, ResponseError};
pub use json::write::Defaults;
pub use openapi::openapi;
pub use plan::{Body, HttpBody, Plan, Route};
pub use router::Found;
pub use routes::routes;
pub use status::{code_name, http_status, problem_json, status_json};
