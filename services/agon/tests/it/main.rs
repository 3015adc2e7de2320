//! Tests of the whole program as a child process with its own data directory and ports.

mod attacks;
mod backup;
mod ccs;
mod cluster;
#[path = "../../../../libs/runtime/tests/it/collector.rs"]
mod collector;
mod command_line;
mod contests;
mod crash;
mod duels;
mod end_to_end;
mod engines;
mod faults;
mod lifecycle;
mod openmetrics;
mod outages;
mod players;
mod promotion;
mod responses;
mod samples;
mod server;
mod traces;
mod world;
