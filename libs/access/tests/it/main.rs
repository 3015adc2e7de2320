//! The layer and the verifiers, as requests meet them.

mod layer;
mod remote;
