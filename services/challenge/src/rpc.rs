//! The RPCs, each one call of a use case.

mod contests;
mod duels;
mod jury;
mod matchmaking;
mod submissions;
