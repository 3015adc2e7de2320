//! The service through its generated client, on every database.

mod access_matrix;
mod create;
mod fakes;
mod judging;
mod limits;
mod lists;
mod stale;
mod watch;
mod world;
