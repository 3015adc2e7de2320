//! One file per command.

pub mod admin;
pub mod backup;
pub mod config;
pub mod doctor;
pub mod events;
pub mod keys;
pub mod login;
pub mod migrate;
pub mod problem;
pub mod promote;
pub mod restore;
pub mod submit;
pub mod token;
