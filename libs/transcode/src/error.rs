//! What can go wrong: a plan that cannot be built, a request that is wrong, a response that is not
//! what its descriptor says.

use crate::template::TemplateError;

/// The descriptors do not make a plan. Found at start-up, never while serving.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The descriptor set itself is wrong.
    #[error("descriptor set: {0}")]
    Descriptors(String),
    /// A path template is wrong.
    #[error("{rpc}: {error}")]
    Template {
        /// The RPC's full name.
        rpc: String,
        /// What is wrong with the template.
        error: TemplateError,
    },
    /// A rule does not fit its messages.
    #[error("{rpc}: {reason}")]
    Rule {
        /// The RPC's full name.
        rpc: String,
        /// What does not fit.
        reason: String,
    },
    /// Two rules answer the same requests.
    #[error("{first} and {second} both answer {method} {template}")]
    Ambiguous {
        /// The RPC that came first.
        first: String,
        /// The RPC that came second.
        second: String,
        /// The HTTP method.
        method: String,
        /// The second one's template.
        template: String,
    },
}

/// A request that cannot be transcoded: always the client's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Fault {
    /// The path of the field in proto names; empty when no field is to blame.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault of a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { field: field.into(), message: message.into() }
    }
}

/// A message that proto JSON cannot represent: the server's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unwritable(pub &'static str);
