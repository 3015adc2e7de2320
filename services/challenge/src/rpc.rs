//! The RPCs, each one call of a use case.

mod contests;
mod imports;
mod jury;
mod submissions;
mod teams;
