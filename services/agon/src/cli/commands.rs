//! One file per command. `serve`, `promote`, `backup` and `restore` are in `server` and `migrate`.

pub mod admin;
pub mod config;
pub mod contest;
pub mod doctor;
pub mod events;
pub mod keys;
pub mod login;
pub mod migrate;
pub mod problem;
pub mod submit;
pub mod token;
pub mod user;
