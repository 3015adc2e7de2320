//! Whole installations: `agon promote`, `agon backup`, `agon restore`.
//!
//! Knows the parts of an installation. How each part is copied is in the libraries and services.

mod archive;
pub mod backup;
mod events;
mod manifest;
mod objects;
mod plan;
pub mod promote;
pub mod restore;
mod source_id;
mod step;
mod tables;
mod unpack;
