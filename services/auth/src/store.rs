//! All SQL statements of auth. Reads take `impl Read` (`&Db`, or `&mut Tx` when a write depends on
//! them), writes take `&mut Tx`.
//!
//! Lock order, to prevent deadlocks: the user's row before the rows of their sessions.

pub mod accounts;
pub mod audit;
pub mod bindings;
pub mod invitations;
pub mod keys;
pub mod revocations;
pub mod sessions;
pub mod users;
