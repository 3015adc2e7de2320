//! Stories, told by clients of the whole program: a child process with its own data and ports.

mod cluster;
mod command_line;
mod crash;
mod engines;
mod faults;
mod life;
mod players;
mod stories;
mod world;
