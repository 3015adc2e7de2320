//! The service through its generated client, on every database.

mod access_matrix;
mod contest_access;
mod contest_life;
mod contest_submissions;
mod contest_world;
mod create;
mod fakes;
mod imports;
mod judging;
mod jury;
mod leaks;
mod limits;
mod lists;
mod stale;
mod standings;
mod standings_parts;
mod team_contests;
mod teams;
mod watch;
mod world;
