//! Converts between proto JSON and the wire format without building messages.

pub mod known;
pub mod lexer;
pub mod read;
pub mod write;
