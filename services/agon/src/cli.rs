//! The command line: arguments, commands, and what commands share.
//!
//! Commands talk to a server through gRPC, or read the configuration and the data directory.

#[macro_use]
pub mod output;

pub mod arguments;
pub mod client;
pub mod commands;
pub mod credentials;
pub mod diagnosis;
pub mod packing;
pub mod progress;
