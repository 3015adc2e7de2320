//! Errors: invalid descriptors, invalid requests, and responses that do not match their descriptor.

use crate::template::TemplateError;

/// The descriptors are invalid. Occurs only at start-up.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The descriptor set cannot be decoded.
    #[error("descriptor set: {0}")]
    Descriptors(String),
    #[error("{rpc}: {error}")]
    Template {
        /// The RPC's full name.
        rpc: String,
        error: TemplateError,
    },
    /// A rule does not match its messages.
    #[error("{rpc}: {reason}")]
    Rule {
        /// The RPC's full name.
        rpc: String,
        reason: String,
    },
    /// Two rules match the same requests.
    #[error("{first} and {second} both match {method} {template}")]
    Ambiguous {
        /// The RPC of the earlier rule.
        first: String,
        /// The RPC of the later rule.
        second: String,
        method: String,
        /// The template of the later rule.
        template: String,
    },
}

/// An invalid request: an error of the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct RequestError {
    /// The path of the field in proto names; empty if the error is not about a field.
    pub field: String,
    /// What is invalid and what is expected.
    pub message: String,
}

impl RequestError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        RequestError { field: field.into(), message: message.into() }
    }
}

/// A message that proto JSON cannot represent: an error of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ResponseError(pub &'static str);
