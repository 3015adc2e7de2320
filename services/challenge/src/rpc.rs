//! The RPCs, each one call of a use case.

mod contests;
mod jury;
mod rejudgings;
mod submissions;
