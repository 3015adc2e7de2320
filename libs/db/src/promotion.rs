//! Promotion: copies a service's data from a SQLite file to a PostgreSQL schema.
//!
//! Both databases have run the same migrations, and list their own tables and columns. Progress is stored in the target
//! (table `promotion`), in the transaction of the copied rows, so that an interrupted promotion can be resumed.
//!
//! The result is verified by digests of the rows: see [`Content`].

mod content;
mod copy;
mod copy_text;
mod progress;
mod tables;

pub use content::{Content, content};
pub use copy::copy;
pub use progress::{BeginOutcome, Progress, begin, finish, is_unfinished, progress, save_progress};
pub(crate) use tables::quoted;
pub use tables::{Table, raise_sequences, tables};
