//! Proto JSON, both ways, bytes to bytes.

pub mod known;
pub mod lexer;
pub mod read;
pub mod write;
