//! Stories, told by clients of the whole program: a child process with its own data and ports.

mod answers;
mod backup;
mod command_line;
mod crash;
mod life;
mod players;
mod promotion;
mod stories;
mod world;
