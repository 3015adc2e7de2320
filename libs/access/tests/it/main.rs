//! Tests of the access layer and of remote verifiers.

mod layer;
mod remote;
mod streams;
