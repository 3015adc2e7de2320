//! The RPCs, each one call of a use case.

mod balloons;
mod clarifications;
mod contests;
mod jury;
mod results;
mod submissions;
