//! The RPCs, each one call of a use case.

mod balloons;
mod clarifications;
mod contests;
mod duels;
mod imports;
mod jury;
mod matchmaking;
mod rejudgings;
mod results;
mod submissions;
mod teams;
