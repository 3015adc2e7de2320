//! The plan, the binding and the converter, over test protos compiled here.

mod bind;
mod conformance;
mod documents;
mod fixture;
mod oracle;
mod plans;
