//! Tests of the service through its generated clients, on every database, with a scripted judge.
#![expect(clippy::disallowed_methods, reason = "tests may spawn tasks")]

mod access_matrix;
mod housekeeping;
mod imports;
mod invalid_input;
mod judge;
mod objects;
mod package;
mod problems;
mod verification;
mod world;
