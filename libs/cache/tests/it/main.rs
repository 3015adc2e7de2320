//! The cache through its interface.
#![expect(clippy::disallowed_methods, reason = "tests spawn as they like")]

mod away;
mod both;
mod memory;
mod server;
mod shared;
mod url;
