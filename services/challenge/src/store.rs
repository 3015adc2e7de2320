//! Every SQL statement of the service.

pub mod awards;
pub mod balloons;
pub mod clarifications;
pub mod contests;
pub mod jury;
pub mod log;
pub mod participants;
pub mod submissions;
