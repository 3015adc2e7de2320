//! The service through its generated clients, on every database, with a judge that does as it is told.
#![expect(clippy::disallowed_methods, reason = "tests spawn as they like")]

mod access_matrix;
mod garbage;
mod imports;
mod judge;
mod objects;
mod package;
mod problems;
mod upkeep;
mod verification;
mod world;
