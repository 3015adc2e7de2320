//! Every SQL statement of the service.

pub mod contests;
pub mod jury;
pub mod log;
pub mod participants;
pub mod rejudgings;
pub mod submissions;
