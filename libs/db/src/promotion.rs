//! Moving a service's data from a SQLite file to a PostgreSQL schema.
//!
//! Which tables and columns there are is asked of the two databases, which were brought up to date by the same
//! migrations. How far it has come is kept in the target (table `promotion`), in the transaction of what was
//! copied, so that it can be interrupted at any moment and go on.
//!
//! A row is compared by its text, which is the same on both sides: see [`Content`].

mod cell;
mod content;
mod copy;
mod mark;
mod tables;

pub use content::{Content, content};
pub use copy::copy;
pub use mark::{Begun, Mark, begin, finish, is_unfinished, mark, marked};
pub(crate) use tables::quoted;
pub use tables::{Table, raise_sequences, tables};
