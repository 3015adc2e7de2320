//! Every SQL statement of auth. Reads take `impl Read` (`&Db`, or `&mut Tx` when a decision depends
//! on them), writes `&mut Tx`.
//!
//! Locks are taken in one order, so that transactions wait and do not deadlock: the user's row
//! before rows of their sessions.

pub mod audit;
pub mod bindings;
pub mod invitations;
pub mod keys;
pub mod revocations;
pub mod sessions;
pub mod users;
