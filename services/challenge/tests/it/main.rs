//! The service through its generated client, on every database.

mod access_matrix;
mod balloons;
mod clarification_events;
mod clarifications;
mod contest_access;
mod contest_life;
mod contest_submissions;
mod contest_world;
mod create;
mod fakes;
mod judging;
mod jury;
mod leaks;
mod limits;
mod lists;
mod organiser_access;
mod results;
mod stale;
mod standings;
mod watch;
mod world;
