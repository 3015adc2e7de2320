//! Integration tests of the export of traces.

mod collector;
mod traces;
