//! Every SQL statement of the service, one function each.

pub mod imports;
pub mod objects;
pub mod problems;
pub mod versions;
