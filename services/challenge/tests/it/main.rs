//! The service through its generated client, on every database.
#![expect(clippy::disallowed_methods, reason = "tests spawn as they like")]

mod access_matrix;
mod create;
mod fakes;
mod judging;
mod limits;
mod lists;
mod overdue;
mod watch;
mod world;
