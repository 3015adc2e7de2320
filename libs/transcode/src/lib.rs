//! HTTP and JSON to gRPC and back, from descriptors alone.
//!
//! Owns the `google.api.http` rules (templates, routing, binding), proto JSON in both directions
//! (bytes to bytes, no message is built), errors over HTTP and the OpenAPI document. A [`Plan`] is
//! built once from an encoded descriptor set; everything that can be wrong with a rule is found then.
//! Knows nothing of servers, transports or what the messages mean.

mod bind;
mod error;
pub mod json;
mod number;
mod openapi;
mod percent;
mod plan;
mod query;
mod router;
mod routes;
mod scalar;
pub mod shape;
mod status;
pub mod template;
mod wire;

pub use bind::Parts;
pub use error::{Fault, PlanError, Unwritable};
pub use json::lexer::Limits;
pub use json::write::Defaults;
pub use openapi::openapi;
pub use plan::{Body, HttpBody, Plan, Route};
pub use router::{ANY_METHOD, Found};
pub use routes::routes;
pub use status::{code_name, http_status, problem_json, status_json};
