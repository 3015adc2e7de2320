//! The settings of the echo service.

use serde::{Deserialize, Serialize};

/// The section `echo` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The first text of a new user.
    pub greeting: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { greeting: "Hello!".into() }
    }
}
