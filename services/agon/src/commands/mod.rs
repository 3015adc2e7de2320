//! One file per command.

pub mod config;
pub mod doctor;
pub mod login;
pub mod problem;
pub mod submit;
