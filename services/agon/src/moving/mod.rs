//! Moving whole installations: from a data directory to other engines, into a file and back.
//!
//! Knows which parts an installation has; how each of them is copied, the libraries and services know.

pub mod archive;
pub mod events;
pub mod identity;
pub mod manifest;
pub mod objects;
pub mod pace;
pub mod plan;
pub mod tables;
pub mod unpack;
