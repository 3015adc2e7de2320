//! The service through its generated client, on every database.

mod access_matrix;
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
mod rejudgings;
mod stale;
mod standings;
mod watch;
mod world;
