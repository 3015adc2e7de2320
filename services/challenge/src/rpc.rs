//! The RPCs, each one call of a use case.

mod contests;
mod jury;
mod submissions;
mod teams;
