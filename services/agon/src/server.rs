//! `agon serve`: the roles of one process, their wiring and their listeners.
//!
//! Holds no rules of its own; those are in the services.

pub mod banner;
pub mod base;
pub mod databases;
pub mod dependencies;
pub mod event_fanout;
pub mod forward;
pub mod keys;
pub mod listeners;
pub mod metric_help;
pub mod roles;
pub mod samples;
pub mod secrets;
pub mod serve;
pub mod telemetry;
pub mod topics;
pub mod wire;
