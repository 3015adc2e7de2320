//! Stories, told by clients of the whole program: a child process with its own data and ports.

mod answers;
mod backup;
mod cluster;
#[path = "../../../../libs/runtime/tests/it/collector.rs"]
mod collector;
mod command_line;
mod crash;
mod engines;
mod faults;
mod life;
mod openmetrics;
mod players;
mod promotion;
mod server;
mod stories;
mod traces;
mod world;
