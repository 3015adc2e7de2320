//! Every SQL statement of the service.

pub mod awards;
pub mod balloons;
pub mod catalog;
pub mod clarifications;
pub mod contests;
pub mod duels;
pub mod jury;
pub mod log;
pub mod participants;
pub mod rejudgings;
pub mod submissions;
pub mod teams;
pub mod tickets;
