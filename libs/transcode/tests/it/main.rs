//! Tests of plans, binding and conversion with the protos in `tests/proto`.

mod bind;
mod conformance;
mod documents;
mod fixture;
mod oracle;
mod plans;
